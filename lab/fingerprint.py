# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is at a moment: equal before and after means that nothing was touched."""

from __future__ import annotations

from lab.labs import Lab

# Left out: logs that programs go on writing, and what a unit that restarts again and again changes by itself.
_SCRIPT = r"""
cd /
find etc/rancher var/lib/rancher etc/systemd usr/local/lib/systemd tmp run/requorum -type f \
  ! -path '*/agent/logs/*' ! -path '*/containerd/*' ! -name '*.log' ! -path '*/db/etcd*/member/*' 2>/dev/null \
  | sort | xargs -r sha256sum
find var/lib/rancher -path '*/db/etcd*/member/*' -type f -printf '%p %s\n' | sort
find var/lib/rancher -type d ! -path '*/containerd*' -printf '%p %m %U\n' | sort
systemctl list-unit-files --no-legend --no-pager | sort
"""
_PROCESSES = r"""
for p in /proc/[0-9]*; do
  read -r name < $p/comm 2>/dev/null || continue
  case $name in etcd|kube-*|kubelet|containerd*|pause|sleep) ;; *) continue ;; esac
  line=$(cat $p/stat 2>/dev/null) || continue
  set -- ${line##*) }
  [ "$name" = sleep ] && [ "$(tr '\0' ' ' <$p/cmdline)" != 'sleep infinity ' ] && continue
  echo "$name ${p#/proc/} ${20}"
done | sort
ss -Hltn | awk '{print $4}' | grep -v ':22$' | sort
"""


def files(lab: Lab, host: str) -> str:
    """Hashes of everything that belongs to the cluster, and the state of every unit file."""
    return lab.sh(host, _SCRIPT).ok(f"fingerprint of {host}").out


def processes(lab: Lab, host: str) -> str:
    """Name, pid and start time of the cluster's processes and workloads, and every listening address."""
    return lab.sh(host, _PROCESSES).ok(f"processes of {host}").out
