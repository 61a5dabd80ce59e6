#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# A recovery as an expert types it, one command after the other: stop, killall, copy, reset, start, wait, rejoin, rejoin.
# The steps are those of which times by hand on real servers are known: RKE2 with killall on the survivor and a reset that
# restores its own datastore, K3s without killall and with a plain reset; peers are stopped, each is started and waited for.
# It checks nothing, proves no backup and asks nobody: what recover.yml is measured against, never to be used on a cluster.
# Usage: SSH="ssh OPTIONS -l USER" by_hand.sh rke2|k3s BACKUP-FILE SURVIVOR PEER...   (addresses)
# Prints seconds since the start, and the step that has ended.
set -eu
distro=$1 copy=$2 first=$3
shift 3
data=/var/lib/rancher/$distro
case $distro in
  rke2) unit=rke2-server restore=/root/by-hand.db ;;
  *) unit=k3s restore= ;;
esac
begun=$(date +%s%3N)

on() { $SSH "$1" sudo sh -c "'$2'" </dev/null; }
ended() { ms=$(($(date +%s%3N) - begun)); printf '%d.%03d %s\n' $((ms / 1000)) $((ms % 1000)) "$*"; }
# seen WHAT HOST COMMAND PATTERN: looks twice a second until a line of the answer has it.
seen() {
  n=0
  until on "$2" "$3" 2>/dev/null | grep -q "$4"; do
    n=$((n + 1))
    [ $n -lt 600 ] || { echo "$1 never came" >&2; exit 1; }
    sleep 0.5
  done
  ended "$1"
}
kubectl="/opt/lab/bin/kubectl --kubeconfig=/etc/rancher/$distro/$distro.yaml --request-timeout=5s"
tls=$data/server/tls/etcd
etcdctl="/opt/lab/bin/etcdctl --endpoints=https://127.0.0.1:2379 --cacert=$tls/server-ca.crt --cert=$tls/server-client.crt --key=$tls/server-client.key"

for host in "$@" "$first"; do on "$host" "systemctl stop $unit" || true; done
[ -z "$restore" ] || on "$first" "rke2-killall.sh >/dev/null 2>&1" || true
ended "stopped everywhere"
on "$first" "tar -C $data/server -cf - db/etcd tls cred token" >"$copy"
ended "copied off the node"
if [ -n "$restore" ]; then # a snapshot is the file with its hash, as 32 bytes, behind it
  on "$first" "cp $data/server/db/etcd/member/snap/db $restore"
  on "$first" "/usr/bin/printf \"\$(sha256sum $restore | cut -c1-64 | sed \"s/../\\\\\\\\x&/g\")\" >>$restore"
fi
on "$first" "$distro server --cluster-reset ${restore:+--cluster-reset-restore-path=$restore} >/root/reset.log 2>&1"
ended "reset"
on "$first" "systemctl start --no-block $unit"
seen "API answers" "$first" "$kubectl get --raw /readyz" ok
on "$first" "systemctl start $unit"
ended "survivor is active"
for host in "$@"; do
  name=$(on "$host" hostname)
  on "$host" "mv $data/server/db/etcd $data/server/db/etcd-by-hand-$begun && systemctl start $unit"
  ended "$name is active"
  seen "$name is a voter" "$first" "$etcdctl member list" " $name-.*, false"
  seen "$name is Ready" "$first" "$kubectl get node $name" " Ready "
done
