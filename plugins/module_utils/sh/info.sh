# Reads everything about this node in one call and changes nothing.
# Output: blocks "@@ NAME RC", every line of payload after one space. A block that hangs is cut by its own timeout.
block() {
  n=$1
  shift
  o=$("$@" 2>&1)
  rc=$?
  printf '@@ %s %s\n' "$n" "$rc"
  [ -z "$o" ] || printf '%s\n' "$o" | sed 's/^/ /'
}

# Programs that our scripts call and that are not there; where SELinux is on, what sets labels too.
tools() {
  for n in awk base64 cat chmod cp cut date dd df find grep head mkdir mv od rm sed sha256sum sleep sort stat systemctl \
    systemd-run tail tar tee timeout tr; do
    command -v "$n" >/dev/null 2>&1 || printf ' %s\n' "$n"
  done
  ! selinux || command -v restorecon >/dev/null 2>&1 || echo ' restorecon'
}

about() {
  printf 'hostname=%s\n' "$(cat /proc/sys/kernel/hostname)"
  printf 'clock=%s\n' "$(date +%s.%N)"
  printf 'boot_id=%s\n' "$(cat /proc/sys/kernel/random/boot_id)"
  printf 'uid=%s\n' "$(id -u)"
  printf 'addresses=%s\n' "$(ip -o addr show 2>/dev/null | sed -n 's/.* inet6\{0,1\} \([^/ ]*\).*/\1/p' | tr '\n' ' ')"
  sed -n 's/^PRETTY_NAME=/os_image=/p' /etc/os-release
  sed -n 's/^\([A-Za-z]*\): *"\{0,1\}\([^"]*\)"\{0,1\}$/release_\1=\2/p' /etc/harvester-release.yaml 2>/dev/null
  [ ! -f /etc/harvester-release.yaml ] || harvester
  true
}

# What else tells the state of a Harvester host: Rancher's agent, an OS that fell back, what an upgrade has left, whether the
# installer's files are there and tell the network, bytes of the partition of the OS images.
harvester() {
  printf 'release_system_agent=%s\n' "$(timeout 5 systemctl is-active rancher-system-agent)"
  grep -Eq 'cos-img/filename=/cOS/passive\.img|upgrade_failure' /proc/cmdline && printf 'release_fallback=yes\n'
  printf 'release_left=%s\n' "$(stat -c %n /usr/local/upgrade_tmp /run/systemd/system/rancher-system-agent.service.d 2>/dev/null | tr '\n' ' ')"
  printf 'release_custom=%s\n' "$(custom /oem)"
  printf 'release_network=%s\n' "$(network /oem/harvester.config)"
  printf 'release_cos_state=%s\n' "$(timeout 5 lsblk -bnro SIZE,LABEL 2>/dev/null | sed -n 's/^\([0-9]*\) COS_STATE$/\1/p' | head -n 1)"
}

# custom FOLDER: there, renamed (by 1.0 as 99_custom.yaml) or missing
custom() {
  if [ -f "$1/90_custom.yaml" ]; then echo there; elif [ -f "$1/99_custom.yaml" ]; then echo renamed; else echo missing; fi
}

# network FILE: how it tells the management interface: there, old (the form of 1.0), none; or the file is missing
network() {
  [ -f "$1" ] || { echo missing; return; }
  i=$(sed -n '/^install:/,/^[^ #]/p' "$1" | sed 1d)
  if printf '%s\n' "$i" | grep -Eq '^ +networks:( *$| *\{.*:)'; then
    echo old
  elif printf '%s\n' "$i" | grep -Eiq '^ +management_?interface:( *$| *\{.*:)'; then
    echo there
  else
    echo none
  fi
}

program() {
  printf 'distro=%s\nbinary=%s\ndata_dir=%s\nconfig=%s\nnode_name=%s\nnode_ip=%s\n' \
    "$DISTRO" "$BIN" "$DATA" "$CONFIG" "$(config_value node-name)" "$(config_value node-ip)"
  [ -n "$BIN" ] && printf 'version=%s\n' "$(timeout 5 "$BIN" --version 2>/dev/null | head -n 1)"
}

unit() {
  timeout 5 systemctl show "$1" -p LoadState -p ActiveState -p SubState -p UnitFileState -p MainPID -p NRestarts -p Result \
    -p ExecMainStatus -p ActiveEnterTimestamp -p FragmentPath
}

# pid parent state start-time name [arguments of those that matter]; start time and pid together identify a process
processes() {
  for p in /proc/[0-9]*; do
    l=
    read -r l 2>/dev/null <"$p/stat" || continue
    r=${l##*) }
    c=${l#*(}
    c=${c%)*}
    # shellcheck disable=SC2086
    set -- $r
    [ "$2" = 2 ] && continue
    case $c in
      etcd | kube-* | kubelet | containerd* | rke2* | k3s* | pause | requorum* | qemu*)
        a=$(tr '\0' ' ' 2>/dev/null <"$p/cmdline" | cut -c 1-300)
        ;;
      *) a= ;;
    esac
    printf '%s %s %s %s %s\t%s\n' "${p#/proc/}" "$2" "$1" "${20}" "$c" "$a"
  done
}

listeners() { grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6 | sed 's/^ *[0-9]*: \([0-9A-F:]*\) .*/\1/'; }

mounts() {
  grep -F " $DATA" /proc/self/mountinfo
  true
}

# With -k the file system of the data directory in kilobytes, with -i in inodes.
disk() { df -P "$1" "$(there "$DATA")" | tail -n 1; }

# Where a recovery writes, or what is there of its path: "PATH<tab>free kilobytes<tab>mount point<tab>yes where it is that
# mount point<tab>options of the mount and of its file system".
places() {
  for d in "$DB/etcd" "$DB" "$HOME_DIR" "$CONFIG.d"; do
    p=$(there "$d")
    at=$(cd "$p" && pwd -P)
    m=$(df -P "$at" | awk 'END { print $6 }')
    if [ "$p" = "$d" ] && [ "$at" = "$m" ]; then own=yes; else own=no; fi
    printf '%s\t%s\t%s\t%s\t%s\n' "$d" "$(df -Pk "$at" | awk 'END { print $4 }')" "$m" $own \
      "$(awk -v m="$m" '$5 == m { o = $6 "," $NF } END { print o }' /proc/self/mountinfo)"
  done
}

memory() { grep -E '^Mem(Total|Available):' /proc/meminfo; }

# Who sets the clock, and whether it is set. Not by timedatectl, which starts a unit of systemd.
clock() {
  n=no
  timeout 2 systemctl show chronyd chrony systemd-timesyncd ntpd ntp ntpsec openntpd -p ActiveState --value 2>/dev/null |
    grep -qx active && n=yes
  printf 'NTP=%s\n' $n
  if c=$(timeout 2 chronyc -n tracking 2>/dev/null); then
    case $c in *'Leap status'*Normal*) echo NTPSynchronized=yes ;; *) echo NTPSynchronized=no ;; esac
  elif [ -e /run/systemd/timesync/synchronized ]; then
    echo NTPSynchronized=yes
  elif [ $n = no ] || [ "$(timeout 2 systemctl show systemd-timesyncd -p ActiveState --value 2>/dev/null)" = active ]; then
    echo NTPSynchronized=no
  fi
}

# Secrets are replaced on the node: their values never travel, on whichever line they stand.
config() {
  config_files | while IFS= read -r f; do
    printf '# file %s\n' "$f"
    awk '
      /^[[:space:]]*[{]/ { print "form-not-read: true"; skip = 1; depth = -1; next }
      { match($0, /^[[:space:]]*/); indent = RLENGTH }
      skip && (/^[[:space:]]*$/ || indent > depth) { next }
      { skip = 0 }
      /^[[:space:]]*["\047]?(token|agent-token|etcd-token|etcd-s3-access-key|etcd-s3-secret-key|etcd-s3-session-token|datastore-endpoint)["\047]?[[:space:]]*:/ {
        sub(/:.*/, ": hidden"); skip = 1; depth = indent
      }
      { print }' "$f"
    echo
  done
}

# The command line, with values of secrets taken out.
flags() {
  printf '%s\n' "$ARGS" | awk '
    hide { print "hidden"; hide = 0; next }
    /^(-t|--(agent-)?token|--etcd-s3-(access|secret)-key|--etcd-s3-session-token|--datastore-endpoint)$/ { hide = 1 }
    /^--((agent-)?token|etcd-s3-(access|secret)-key|etcd-s3-session-token|datastore-endpoint)=/ { sub(/=.*/, "=hidden") }
    { print }'
}

tokens() {
  v=$(token_value)
  [ -n "$v" ] && printf 'in-force=%s\n' "$(token_hash "$v")"
  [ -f "$SERVER/token" ] && printf 'server=%s\n' "$(token_hash "$(head -n 1 "$SERVER/token")")"
  # What agents are measured by, and by what tokens of accounts are signed: no hash of it is a secret.
  [ -f "$SERVER/node-token" ] && printf 'agents=%s\n' "$(token_hash "$(head -n 1 "$SERVER/node-token")")"
  [ -f "$SERVER/token" ] && printf 'pin=%s\n' "$(token_pin "$(head -n 1 "$SERVER/token")")"
  [ -f "$TLS/server-ca.crt" ] && printf 'served=%s\n' "$(sha256sum <"$TLS/server-ca.crt" | cut -d ' ' -f 1)"
  [ -f "$TLS/service.key" ] && printf 'service-key=%s\n' "$(sha256sum <"$TLS/service.key" | cut -c 1-12)"
  [ -f /etc/rancher/node/password ] && printf 'node-password=%s\n' "$(sha256sum </etc/rancher/node/password | cut -c 1-12)"
  true
}

# size blocks time type path
files() {
  stat -c '%s %Y %F	%n' "$DB/etcd" "$DB/etcd/name" "$DB/etcd/tombstone" "$DB/etcd/member/snap/db" "$DB/etcd/member/wal/"*.wal \
    "$DB/reset-flag" "$SERVER/cred/passwd" "$TLS/service.key" "$TLS/dynamic-cert.json" "$DB"/etcd-old-* "$DB"/etcd-requorum-* "$TLS" "$SERVER"/tls-* "$DATA/force-restart" "$DATA/agent/pod-manifests"/* \
    "$CONFIG.d/zz-requorum.yaml" "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf" "$DATA"/agent/etc/*load-balancer.json 2>/dev/null
  true
}

snapshots() {
  d=$(config_value etcd-snapshot-dir)
  stat -c '%s %Y %F	%n' "${d:-$DB/snapshots}"/* 2>/dev/null
  true
}

name() { cat "$DB/etcd/name"; }

wal() {
  w=
  for f in "$DB/etcd/member/wal/"*.wal; do [ -s "$f" ] && w=$f; done
  [ -n "$w" ] || return 1
  head -c 512 "$w" | base64
}

# A full datastore takes no writes; whether the quorum stands is another question, and the alarm is asked for below.
health() { WAIT=3 get 'http://127.0.0.1:2381/health?exclude=NOSPACE'; }

# Load balancer files of this server, which name the servers that it found last.
balancers() {
  for f in "$DATA"/agent/etc/*load-balancer.json; do
    [ -f "$f" ] && printf '%s %s\n' "$f" "$(tr -d '\n' <"$f" | cut -c 1-2000)"
  done
  true
}

LEADERLESS='its etcd has no leader, so it was not asked'
gateway() {
  g=$(gate)
  WAIT=3
  s=$(status 2>&1) || { printf '%s\n' "$s"; return 1; }
  printf '%s\n' "$g" "$s"
  post "$g" /v3/cluster/member/list '{}' && echo
  ! leaderless "$s" || { echo "$LEADERLESS"; return 1; }
  post "$g" /v3/maintenance/alarm '{"action":"GET"}' && echo
}

certificates() {
  find "$TLS" "$DATA/agent" -maxdepth 2 -name '*.crt' -type f 2>/dev/null | while IFS= read -r f; do
    printf '# file %s\n' "$f"
    cat "$f"
  done
  f=$TLS/dynamic-cert.json
  if [ -f "$f" ]; then
    printf '# file %s\n' "$f"
    sed -n 's/.*"tls\.crt": *"\([A-Za-z0-9+\/=]*\)".*/\1/p' "$f" | base64 -d
  fi
}

# Of the Secrets that webhooks and the supervisor serve with only the certificate, in base64.
served() {
  s=$(WAIT=4 kube get secrets -A --field-selector type=kubernetes.io/tls \
    -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.data.tls\.crt}{"\n"}{end}') || return 1
  printf '%s\n' "$s" | awk -v ours="kube-system/$DISTRO-serving" 'NF == 2 && ($1 == ours || $1 ~ /webhook/)'
}

logs() {
  timeout 5 journalctl -u "$UNIT" -u "$AGENT" -n 300 -o cat --no-pager 2>/dev/null |
    grep -E 'level=(error|fatal|panic)|level":"(fatal|panic)|newer than datastore|duplicate node name|too many learner|password rejected|cluster ID mismatch|not been promoted|etcd is not started' |
    cut -c 1-300 | tail -n 12
  true
}

journal() { cat "$HOME_DIR"/journal-closed "$HOME_DIR"/journal 2>/dev/null; true; }

# Who works on this cluster, and the seconds since the last sign of life.
lock() {
  printf 'age=%s\n' $(($(date +%s) - $(stat -c %Y "$HOME_DIR/lock")))
  cat "$HOME_DIR/lock"
}

# Old data that journals of ours name and that is still there: bytes, a tab, FROM|TO.
aside() {
  cat "$HOME_DIR"/journal-cleaned "$HOME_DIR"/journal-closed "$HOME_DIR"/journal 2>/dev/null | sed -n 's/^moved=//p' | sort -u |
    while IFS= read -r l; do
      p=${l#*|}
      [ -e "$p" ] || continue
      if [ -d "$p" ]; then
        n=$(timeout 5 du -sk "$p" 2>/dev/null | cut -f 1)
        n=${n:+$((n * 1024))}
      else
        n=$(stat -c %s "$p")
      fi
      printf '%s\t%s\n' "$n" "$l"
    done
}

ready() {
  ! no_leader || { echo "$LEADERLESS"; return 1; }
  readyz
}

kubernetes() {
  block ping get "https://127.0.0.1:$PORT/ping"
  WAIT=3  # an API server that is down refuses at once
  block readyz ready
  WAIT=6
  [ "$rc" = 0 ] || return 0
  block nodes api /api/v1/nodes
  block endpoints api /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes
  block system api /api/v1/namespaces/kube-system
  block served served
  [ ! -f /etc/harvester-release.yaml ] ||
    block capi kube get clusters.cluster.x-k8s.io local -n fleet-local --ignore-not-found -o json
}

# Both at once, the output of the first one before that of the second: without a quorum their deadlines would add up.
beside() {
  eval "$1" | {
    x=$(eval "$2")
    cat
    printf '%s\n' "$x"
  }
}

# Without sed no block would say anything.
printf '@@ tools 0\n'
tools
block about about
[ -f "$HOME_DIR/lock" ] && block lock lock
if ! find_distro; then
  printf '@@ program 1\n neither rke2 nor k3s is installed here\n@@ done 0\n'
  exit 0
fi
block program program
block unit unit "$UNIT"
block agent unit "$AGENT"
block system_agent unit rancher-system-agent
block reset unit requorum-reset
block processes processes
block listeners listeners
block mounts mounts
block disk disk -k
block inodes disk -i
block places places
block memory memory
block clock clock
block config config
block flags flags
block tokens tokens
block files files
block snapshots snapshots
block balancers balancers
[ -f "$DB/etcd/name" ] && block name name
block wal wal
if [ -d "$HOME_DIR" ]; then
  block journal journal
  block aside aside
fi
[ -d "$TLS" ] || [ -d "$DATA/agent" ] && block certificates certificates
block logs logs
if [ -n "$(pids_of etcd k3s k3s-server)" ] && [ -f "$TLS/etcd/client.crt" ]; then
  beside 'block health health' "beside 'block gateway gateway' kubernetes"
fi
printf '@@ done 0\n'
