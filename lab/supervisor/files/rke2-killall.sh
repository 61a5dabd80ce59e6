#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Does on a lab host what RKE2's script of this name does: every pod of the node is killed, workloads too.
set -x

RKE2_DATA_DIR=${RKE2_DATA_DIR:-/var/lib/rancher/rke2}

systemctl stop rke2-server.service
systemctl stop rke2-agent.service

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
    ps -e -o pid= -o args= | sed -e 's/^ *//; s/\s\s*/\t/;' | grep -w "${RKE2_DATA_DIR}"'/data/[^/]*/bin/containerd-shim' | cut -f1
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

rm -rf "${RKE2_DATA_DIR}"/agent/pod-manifests/*

iptables-save 2>/dev/null | grep -v KUBE- | grep -v CNI- | grep -v cali- | grep -v CILIUM_ | grep -v flannel | iptables-restore 2>/dev/null
set +x

cat <<'HINT'
If this cluster was upgraded from an older release of the Canal CNI, you may need to manually remove some flannel iptables rules:
-e 	export cluster_cidr=YOUR-CLUSTER-CIDR
-e 	iptables -D POSTROUTING -s $cluster_cidr -j MASQUERADE --random-fully
-e 	iptables -D POSTROUTING ! -s $cluster_cidr -d  -j MASQUERADE --random-fully
HINT
exit 0
