# The ends of the logs of this node, packed; changes nothing. Set by the caller: MARK, BYTES (of each log), SIDE (server|agent).
# Output: base64, of gzip where there is one, of: "MARK SOURCE FILE" and the end of that log, one after the other; behind a log that
# could not be read "MARK! SOURCE WHY". Of a log that is not there nothing is said.
find_distro || die "neither rke2 nor k3s is installed here"
# tail of a file from the first whole line on
file() {
  [ -f "$2" ] || return 0
  printf '\n%s %s %s\n' "$MARK" "$1" "$2"
  tail -c "$BYTES" "$2" | sed "$([ "$(stat -c %s "$2")" -gt "$BYTES" ] && echo 1d)" || printf '\n%s! %s %s cannot be read\n' "$MARK" "$1" "$2"
}
# journal SOURCE ARGUMENTS of journalctl
journal() {
  s=$1
  shift
  printf '\n%s %s %s\n' "$MARK" "$s" "journalctl $*"
  timeout 10 journalctl -q --no-pager -o short-iso -n 4000 "$@" 2>/dev/null | tail -c "$BYTES"
}
# unit NAME: its journal, where there is such a unit
unit() { [ "$(systemctl show "$1" -p LoadState --value 2>/dev/null)" != loaded ] || journal "$1" -u "$1"; }
# newest FILE...: the one that was written last
newest() {
  n=
  for f in "$@"; do
    [ -f "$f" ] || continue
    [ -n "$n" ] && [ -n "$(find "$n" -newer "$f" 2>/dev/null)" ] || n=$f
  done
  [ -z "$n" ] || printf '%s\n' "$n"
}
# pod NAME CONTAINER: of a static pod or another one of this node
pod() {
  f=$(newest /var/log/pods/"$1"*/"$2"/*.log)
  [ -z "$f" ] || file "$3" "$f"
}
all() {
  for u in "$UNIT" "$AGENT" rancherd rancher-system-agent; do unit "$u"; done
  for c in etcd kube-apiserver kube-controller-manager kube-scheduler; do pod "kube-system_$c-" "$c" "$c"; done
  file kubelet "$DATA/agent/logs/kubelet.log"
  file containerd "$DATA/agent/containerd/containerd.log"
  pod cattle-provisioning-capi-system_capi-controller-manager- manager capi
  pod cattle-system_rancher-[0-9a-f] rancher rancher
  pod cattle-fleet-local-system_fleet-agent- fleet-agent fleet-agent
  pod harvester-system_harvester-[0-9a-f] apiserver harvester
  pod harvester-system_harvester-webhook- harvester-webhook harvester-webhook
  pod longhorn-system_longhorn-manager- longhorn-manager longhorn-manager
  for f in /var/log/pods/harvester-system_hvst-upgrade-*/apply/*.log; do file upgrade-job "$f"; done
  pod cattle-system_system-upgrade-controller- system-upgrade-controller suc
  journal kernel -k -b
}
all | if command -v gzip >/dev/null 2>&1; then gzip -1; else cat; fi | base64
