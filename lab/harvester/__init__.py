# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Harvester face of a lab: its kinds, its objects, and controllers that answer us as the real ones do."""
