# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for `rke2` and `k3s`: their supervisor around a real etcd and a real kube-apiserver."""
