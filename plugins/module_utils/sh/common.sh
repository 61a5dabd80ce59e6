# Shared head of every node script: POSIX sh, coreutils and what the distribution ships.
# Set by the caller: DISTRO (rke2|k3s|auto), DATA (data dir or empty); SIDE=agent where the settings of the agent's unit count.
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME_DIR=/var/lib/rancher/requorum

# Also which disks are full, whatever was said of it: a program that finds no room often fails without a word.
die() { printf '%s%s\n' "$*" "$(full)" >&2; exit 1; }

# "; MOUNT is full ..." of those to which is written here; nothing where each has a MiB.
full() {
  for d in "$HOME_DIR" "${DB:-/var/lib/rancher}" /etc/rancher /run; do room "$d"; done |
    awk '$1 ~ /^[0-9]+$/ && $1 < 1024 && !told[$2]++ { printf "; %s is full (%s kB are free): make room there", $2, $1 }'
}

# there PATH: the folder that is there of it.
there() {
  d=$1
  while [ ! -d "$d" ]; do d=${d%/*}; d=${d:-/}; done
  printf '%s\n' "$d"
}

# Kilobytes that are free where a path is or will be, and the mount point.
room() { timeout 5 df -Pk "$(there "$1")" 2>/dev/null | awk 'END { print $4, $6 }'; }

# undone FILE WORDS: the end where a file of ours did not become whole; what there is of it must not keep the disk full.
undone() {
  part=$1 said=$2$(full)
  rm -f "$part"
  printf '%s\n' "$said" >&2
  exit 1
}

# told JOURNAL LINE: printed only when it stands in the journal, which counts when nobody listens any more.
told() { printf '%s\n' "$2" >>"$HOME_DIR/$1" && printf '%s\n' "$2"; }

# Whether SELinux labels files here, enforcing or not.
selinux() { case $(getenforce 2>/dev/null) in Enforcing | Permissive) true ;; *) false ;; esac; }

# relabel PATH...: a file that was unpacked or moved here has the label of where it was made, and etcd and kube-apiserver of
# RKE2 may then not read it; it gets the one that the policy has for its place.
relabel() {
  selinux || return 0
  restorecon -RF "$@" || die "the SELinux labels of $* could not be set"
}

# Which program, which unit, where. The environment of Harvester and of tarball and rpm installations differs only in paths.
find_distro() {
  if [ "${DISTRO:-auto}" = auto ]; then
    DISTRO=
    for d in rke2 k3s; do
      [ -e "/etc/rancher/$d/config.yaml" ] && DISTRO=$d
      [ -d "/var/lib/rancher/$d/server" ] || [ -d "/var/lib/rancher/$d/agent" ] && DISTRO=$d
      [ -n "$DISTRO" ] && break
    done
  fi
  BIN=
  for d in ${DISTRO:-rke2 k3s}; do
    for b in "/usr/local/bin/$d" "/usr/bin/$d" "/opt/$d/bin/$d" "/opt/bin/$d"; do
      if [ -x "$b" ]; then BIN=$b; DISTRO=$d; break 2; fi
    done
  done
  [ -n "$DISTRO" ] || return 1
  CONFIG=/etc/rancher/$DISTRO/config.yaml
  if [ "$DISTRO" = rke2 ]; then
    UNIT=rke2-server; AGENT=rke2-agent; PORT=9345
  else
    UNIT=k3s; AGENT=k3s-agent; PORT=6443
  fi
  OWN=$UNIT
  [ "${SIDE:-}" = agent ] && OWN=$AGENT
  ARGS=$(unit_args)
  if [ -z "${DATA:-}" ]; then
    DATA=$(config_value data-dir d)
    DATA=${DATA:-/var/lib/rancher/$DISTRO}
  fi
  SERVER=$DATA/server
  DB=$SERVER/db
  TLS=$SERVER/tls
}

# Configuration files in the order in which they are merged; the last value of a key wins.
config_files() {
  for f in "$CONFIG" "$CONFIG".d/*; do
    [ "$f" = "${HIDDEN:-}" ] && continue
    case $f in *.yaml | *.yml) [ -f "$f" ] && printf '%s\n' "$f" ;; esac
  done
}

# Arguments of the unit's command line behind `server` or `agent`, one a line: they win over every file. An argument with a
# blank in it cannot be told from two.
unit_args() {
  systemctl show "$OWN" -p ExecStart --value 2>/dev/null | sed -n 's/.*argv\[\]=\([^;]*\) ;.*/\1/p' | tr ' ' '\n' |
    sed "1,/^${SIDE:-server}\$/d"
}

# Value of a flag on that command line; the last one wins. flag_value NAME [SHORT]
flag_value() {
  [ -n "$ARGS" ] || return 0
  printf '%s\n' "$ARGS" | awk -v n="--$1" -v s="-${2:--}" '
    take { r = $0; take = 0; next }
    $0 == n || $0 == s { take = 1; next }
    index($0, n "=") == 1 { r = substr($0, length(n) + 2) }
    END { print r }'
}

# Variable of the unit's environment (its files win), which every file and flag overrules.
env_value() {
  e=$(env_files "$1")
  [ -n "$e" ] || e=$(systemctl show "$OWN" -p Environment --value 2>/dev/null | tr ' ' '\n' | tr -d '"' | sed -n "s/^$1=//p" | tail -n 1)
  printf '%s' "$e"
}

env_files() {
  systemctl show "$OWN" -p EnvironmentFiles --value 2>/dev/null | sed 's/ (ignore_errors=.*//' | while IFS= read -r f; do
    [ -f "$f" ] && sed -n "s/^$1=//p" "$f"
  done | tail -n 1 | sed -e "s/^\"\(.*\)\"$/\1/" -e "s/^'\(.*\)'$/\1/"
}

# The value in force of a scalar setting: command line, then files (the last one wins).
config_value() {
  v=$(flag_value "$@")
  if [ -n "$v" ]; then printf '%s\n' "$v"; else file_value "$1"; fi
}

# Last value of a top-level scalar key, without quotes and comment.
file_value() {
  config_files | while IFS= read -r f; do cat "$f"; echo; done |
    sed -n "s/^[\"']\{0,1\}$1[\"']\{0,1\}[[:space:]]*:[[:space:]]*//p" | tail -n 1 | awk -v q="'" '{
      first = substr($0, 1, 1)
      if (first != q && first != "\"") {
        if (first == "#") $0 = ""
        sub(/[[:space:]]+#.*/, ""); sub(/[[:space:]]+$/, ""); print; next
      }
      out = ""
      for (i = 2; i <= length($0); i++) {
        c = substr($0, i, 1)
        if (first == q && c == q && substr($0, i + 1, 1) == q) i++
        else if (first != q && c == "\\") { i++; c = substr($0, i, 1) }
        else if (c == first) break
        out = out c
      }
      print out
    }'
}

# Names of the variables with the server to join and with the token.
url_variable() { if [ "$DISTRO" = rke2 ]; then echo RKE2_URL; else echo K3S_URL; fi; }
token_variable() { if [ "$DISTRO" = rke2 ]; then echo RKE2_TOKEN; else echo K3S_TOKEN; fi; }

# The file with the token, which wins over a token given as such, wherever either stands.
token_file() {
  f=$(config_value token-file)
  [ -z "$f" ] && f=$(env_value "$(token_variable)_FILE")
  [ -n "$f" ] && [ -f "$f" ] && printf '%s' "$f"
}

# Where the token in force comes from: file, flag, config, environment, or what the server wrote itself.
token_source() {
  if [ -n "$(token_file)" ]; then echo file
  elif [ -n "$(flag_value token t)" ]; then echo flag
  elif [ -n "$(file_value token)" ]; then echo config
  elif [ -n "$(env_value "$(token_variable)")" ]; then echo environment
  elif [ -f "$SERVER/token" ]; then echo server
  fi
}

token_value() {
  case $(token_source) in
    file) v=$(head -n 1 "$(token_file)" | sed 's/^[[:space:]]*//; s/[[:space:]]*$//') ;;
    flag) v=$(flag_value token t) ;;
    config) v=$(file_value token) ;;
    environment) v=$(env_value "$(token_variable)") ;;
    server) v=$(head -n 1 "$SERVER/token") ;;
    *) v= ;;
  esac
  printf '%s' "$v"
}

# First 12 hex digits of sha256 of the password part: the name of its bootstrap key, not a secret.
token_hash() {
  t=$1
  case $t in K10*::*) t=${t#*::}; t=${t#*:} ;; esac
  printf '%s' "$t" | sha256sum | cut -c 1-12
}

# The hash of the cluster's CA in a full token (public); nothing for a short one.
token_pin() {
  case $1 in K10*::*) t=${1#K10}; printf '%s' "${t%%::*}" ;; esac
}

# idle FILE: whether the token in force would do without this file of the configuration: its password is the same, and a CA
# hash in it is not another one.
idle() {
  with=$(token_value)
  without=$(HIDDEN=$1; token_value)
  [ "$(token_hash "$with")" = "$(token_hash "$without")" ] || return 1
  pin=$(token_pin "$with")
  [ -n "$pin" ] || [ ! -f "$SERVER/token" ] || pin=$(token_pin "$(head -n 1 "$SERVER/token")")
  case $(token_pin "$without") in '' | "$pin") true ;; *) false ;; esac
}

# kubectl SECONDS ARGUMENTS: the distribution's own, never longer than its deadline. In /proc no cache can be left behind.
kubectl() {
  deadline=$1
  shift
  if [ "$DISTRO" = rke2 ]; then set -- "$DATA/bin/kubectl" "$@"; else set -- "$BIN" kubectl "$@"; fi
  HOME=/proc timeout "$deadline" "$@"
}

# post PORT PATH JSON: etcd's JSON gateway with the client certificate of the server. curl, else the distribution's kubectl.
post() {
  if command -v curl >/dev/null 2>&1; then
    curl -s -S -m "${WAIT:-4}" --cacert "$TLS/etcd/server-ca.crt" --cert "$TLS/etcd/client.crt" --key "$TLS/etcd/client.key" \
      -d "$3" "https://127.0.0.1:$1$2"
  else
    printf '%s' "$3" | kubectl "${WAIT:-4}" create --raw "$2" -f - --server "https://127.0.0.1:$1" --kubeconfig /dev/null \
      --certificate-authority "$TLS/etcd/server-ca.crt" --client-certificate "$TLS/etcd/client.crt" --client-key "$TLS/etcd/client.key"
  fi
}

# status: what the etcd of this host says of itself, which takes no quorum.
status() { post "$(gate)" /v3/maintenance/status '{}'; }

# leaderless STATUS: whether it says that there is no leader. Then what needs the quorum, the API before all, hangs until its
# deadline, and is not asked.
leaderless() {
  case $1 in
    *'"leader":"'[1-9]*) false ;;
    *'"header":'*) true ;;
    *) false ;;
  esac
}
# Whether the etcd that runs here says so.
no_leader() { [ -f "$TLS/etcd/client.crt" ] && etcd_runs && leaderless "$(WAIT=3 status 2>/dev/null)"; }

# get URL: without client certificate (health, ping).
get() {
  if command -v curl >/dev/null 2>&1; then
    curl -s -S -k -m "${WAIT:-4}" "$1"
  else
    p=${1#*://*/}
    kubectl "${WAIT:-4}" get --raw "/$p" --server "${1%/"$p"}" --insecure-skip-tls-verify --kubeconfig /dev/null
  fi
}

# admin ARGUMENTS: curl to the API server of this node as its administrator, by the files that kubectl's kubeconfig names too. It
# costs a tenth of the processor time of kubectl, which counts while API servers start.
admin() {
  curl -q -s -S --noproxy '*' -A requorum -m "${WAIT:-6}" --cacert "$TLS/server-ca.crt" --cert "$TLS/client-admin.crt" \
    --key "$TLS/client-admin.key" "$@"
}
admin_url() { sed -n 's/^ *server: *//p' "$SERVER/cred/admin.kubeconfig" | head -n 1; }
has_admin() { command -v curl >/dev/null 2>&1 && [ -f "$TLS/client-admin.key" ] && [ -f "$SERVER/cred/admin.kubeconfig" ]; }

# api PATH: what it answers. kubectl where there is no curl.
api() {
  if has_admin; then admin -f "$(admin_url)$1"; else kube get --raw "$1"; fi
}

# readyz: ok, or a check that fails, as a failure.
readyz() {
  has_admin || { kube get --raw /readyz; return; }
  r=$(admin "$(admin_url)/readyz" 2>&1)
  [ "$r" = ok ] || { printf '%s\n' "$r" | grep '^\[-\]' || printf '%s\n' "$r"; return 1; }
  echo ok
}

# kube ARGS: kubectl as administrator, never longer than its deadline.
kube() { kubectl "${WAIT:-6}" --kubeconfig "$SERVER/cred/admin.kubeconfig" "$@"; }

# Whether an etcd runs here; K3s has it inside its own process, so its ports count too.
etcd_runs() {
  [ -n "$(pids_of etcd)" ] || listens 2379 || listens 2380
}

# One hash of all files of a datastore that stands still; nothing where they cannot be read in time.
store_sum() {
  l=$(cd "$1" && timeout 30 find . -type f ! -name tombstone -exec sha256sum {} + 2>/dev/null) || return 1
  printf '%s\n' "$l" | sort | sha256sum | cut -c 1-64
}

# Journals what resets of this program have moved aside by themselves since the first one of an open journal began, as far as
# it does not stand there yet: db/etcd-old-<unix>, tls-<unix>. note_resets STAMP
note_resets() {
  j=$HOME_DIR/journal
  since=$(sed -n 's/^resetting=//p' "$j" 2>/dev/null | head -n 1)
  [ -n "$since" ] || return 0
  for d in "$DB"/etcd-old-* "$SERVER"/tls-[0-9]*; do
    case ${d##*-} in '' | *[!0-9]*) continue ;; esac
    [ -d "$d" ] && [ "${d##*-}" -ge "$since" ] || continue
    case $d in "$DB"/*) f=$DB/etcd ;; *) f=$TLS ;; esac
    cat "$HOME_DIR/journal-closed" "$j" 2>/dev/null | grep -qxF "moved=$f|$d" || printf 'moved=%s|%s\nrun=%s|%s\n' "$f" "$d" "$1" "$d" >>"$j"
  done
}

# What counts for one run only ends with it; the rest is kept for the next. close_journal STAMP
close_journal() {
  mkdir -p "$HOME_DIR/$1" &&
    sed '/^enabled=/d; /^braked=/d; /^least=/d; /^resetting=/d' "$HOME_DIR/journal" >>"$HOME_DIR/journal-closed" &&
    mv "$HOME_DIR/journal" "$HOME_DIR/$1/journal"
}

# Whether anything listens on a TCP port of this host.
listens() {
  grep -hqE ":$(printf '%04X' "$1") [0-9A-F:]* 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# Port of etcd's JSON gateway: a listener of its own, in older versions the client port.
gate() { if listens 2382; then echo 2382; else echo 2379; fi; }

# PIDs that have a file open, by its inode: a container sees it under a path of its own. find itself has it open too.
opened_by() {
  found=$(find -L /proc/[0-9]*/fd -maxdepth 1 -samefile "$1" 2>/dev/null | cut -d / -f 3 | sort -u)
  for p in $found; do [ -e "/proc/$p" ] && printf '%s ' "$p"; done
  true
}

# wait_for SECONDS COMMAND...: until it succeeds, at most so long. One look from the controller costs as much as ten of these, on
# hosts that have other things to do.
wait_for() {
  end=$(($(date +%s) + $1))
  shift
  until "$@" >/dev/null 2>&1 || [ "$(date +%s)" -ge "$end" ]; do sleep 0.2; done
}

# Whether a file system is mounted at a path or below it.
mounted() { awk -v p="$1" '$5 == p || index($5, p "/") == 1 { f = 1 } END { exit !f }' /proc/self/mountinfo; }

# Processes by exact name as the kernel has it (15 characters), from /proc: "pid" a line.
pids_of() {
  for p in /proc/[0-9]*; do
    c=
    read -r c 2>/dev/null <"$p/comm" || continue
    for n in "$@"; do [ "$c" = "$n" ] && printf '%s\n' "${p#/proc/}"; done
  done
}
