# The ends of the logs of this node, packed; changes nothing. Set by the caller: MARK, BYTES (of each log), TOTAL (of all), WITHIN
# (seconds for all journals), SIDE (server|agent). Output: base64, of gzip where there is one, of: "MARK SOURCE FILE" and the end of that
# log, one after the other; "MARK! SOURCE WHY" behind one that could not be read, "MARK- SOURCE" for one that is not there, at last
# "MARK." alone.
find_distro || die "neither rke2 nor k3s is installed here"
until=$(($(date +%s) + WITHIN))
absent() { printf '\n%s- %s\n' "$MARK" "$1"; }
unread() { printf '\n%s! %s %s\n' "$MARK" "$1" "$2"; }
# file SOURCE PATH: from the first whole line on
file() {
  [ -f "$2" ] || { absent "$1"; return 0; }
  printf '\n%s %s %s\n' "$MARK" "$1" "$2"
  { tail -c "$BYTES" "$2" 2>/dev/null || unread "$1" "$2 cannot be read"; } | sed "$(full "$2" && echo 1d)"
}
# full PATH: there is more of it than is brought
full() { [ "$(stat -Lc %s "$1" 2>/dev/null || echo 0)" -gt "$BYTES" ]; }
# journal SOURCE ARGUMENTS of journalctl; one that hangs leaves the others their time
journal() {
  s=$1
  shift
  printf '\n%s %s %s\n' "$MARK" "$s" "journalctl $*"
  left=$((until - $(date +%s)))
  [ "$left" -le 5 ] || left=5
  [ "$left" -gt 0 ] || { unread "$s" "no time was left for it"; return 0; }
  {
    timeout "$left" journalctl -q --no-pager -o short-iso -n 4000 "$@" 2>/dev/null || unread "$s" "journalctl ended with $? within $left s"
  } | tail -c "$BYTES"
}
# unit NAME: its journal, where there is such a unit
unit() {
  if [ "$(systemctl show "$1" -p LoadState --value 2>/dev/null)" = loaded ]; then journal "$1" -u "$1"; else absent "$1"; fi
}
# pod NAME CONTAINER SOURCE: of a pod of this node its newest log, and where that is short the one before, in which a crash stands
pod() {
  # shellcheck disable=SC2012,SC2046,SC2086  # the kubelet's names have no blanks, and $1 is a pattern
  set -- "$3" $(ls -t /var/log/pods/$1*/"$2"/*.log 2>/dev/null | head -n 2)
  file "$1" "${2:-}"
  [ -z "${3:-}" ] || full "$2" || file "$1" "$3"
}
all() {
  for u in "$UNIT" "$AGENT" rancherd rancher-system-agent; do unit "$u"; done
  for c in etcd kube-apiserver kube-controller-manager kube-scheduler; do pod "kube-system_$c-" "$c" "$c"; done
  file kubelet "$DATA/agent/logs/kubelet.log"
  file containerd "$DATA/agent/containerd/containerd.log"
  journal kernel -k -b
  pod cattle-provisioning-capi-system_capi-controller-manager- manager capi
  pod 'cattle-system_rancher-[0-9a-f]' rancher rancher
  pod cattle-fleet-local-system_fleet-agent- fleet-agent fleet-agent
  pod 'harvester-system_harvester-[0-9a-f]' apiserver harvester
  pod harvester-system_harvester-webhook- harvester-webhook harvester-webhook
  pod longhorn-system_longhorn-manager- longhorn-manager longhorn-manager
  pod cattle-system_system-upgrade-controller- system-upgrade-controller suc
  file console /var/log/console.log
  for f in /var/log/pods/harvester-system_hvst-upgrade-*/apply/*.log; do file upgrade-job "$f"; done
  printf '\n%s.\n' "$MARK"
}
all | head -c "$TOTAL" | if command -v gzip >/dev/null 2>&1; then gzip -1; else cat; fi | base64
