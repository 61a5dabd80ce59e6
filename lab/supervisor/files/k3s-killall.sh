#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Does on a lab host what K3s' script of this name does: every pod of the node is killed, workloads too.
set -x

K3S_DATA_DIR=${K3S_DATA_DIR:-/var/lib/rancher/k3s}

for unit in /etc/systemd/system/k3s*.service; do
    [ ! -s "$unit" ] || systemctl stop "$(basename "$unit")"
done

pschildren() {
    ps -e -o ppid= -o pid= | sed -e 's/^\s*//g; s/\s\s*/\t/g;' | grep -w "^$1" | cut -f2
}

pstree() {
    for pid in "$@"; do
        echo "$pid"
        for child in $(pschildren "$pid"); do
            pstree "$child"
        done
    done
}

getshims() {
    ps -e -o pid= -o args= | sed -e 's/^ *//; s/\s\s*/\t/;' | grep -w "${K3S_DATA_DIR}"'/data/[^/]*/bin/containerd-shim' | cut -f1
}

do_unmount() {
    awk -v path="$1" '$2 ~ ("^" path) { print $2 }' /proc/self/mounts | sort -r |
        while read -r mount; do umount "$mount"; done
}

# shellcheck disable=SC2046  # one word for each process
for pid in $(pstree $(getshims)); do
    kill -9 "$pid" 2>/dev/null
done

do_unmount /run/k3s
do_unmount /var/lib/kubelet/pods
do_unmount /run/netns/cni-

ip link show 2>/dev/null | grep 'master cni0' | while read -r _ interface _; do
    interface=${interface%%@*}
    [ -z "$interface" ] || ip link delete "$interface"
done
for interface in cni0 flannel.1 flannel.4096 flannel-v6.1 flannel-v6.4096 flannel-wg flannel-wg-v6 vxlan.calico vxlan-v6.calico cilium_vxlan cilium_net cilium_wg0 kube-ipvs0; do
    ip link delete "$interface" 2>/dev/null
done
rm -rf /var/lib/cni/

iptables-save 2>/dev/null | grep -v KUBE- | grep -v CNI- | grep -v cali- | grep -v CILIUM_ | grep -v flannel | iptables-restore 2>/dev/null
exit 0
