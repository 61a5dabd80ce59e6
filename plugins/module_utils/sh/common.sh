# Shared head of every node script: POSIX sh, coreutils and what the distribution ships.
# Set by the caller: DISTRO (rke2|k3s|auto), DATA (data dir or empty).
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME_DIR=/var/lib/rancher/requorum

die() { printf '%s\n' "$*" >&2; exit 1; }

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
  if [ -z "${DATA:-}" ]; then
    DATA=$(config_value data-dir)
    DATA=${DATA:-/var/lib/rancher/$DISTRO}
  fi
  SERVER=$DATA/server
  DB=$SERVER/db
  TLS=$SERVER/tls
  if [ "$DISTRO" = rke2 ]; then KUBECTL=$DATA/bin/kubectl; else KUBECTL="$BIN kubectl"; fi
}

# Configuration files in the order in which they are merged; the last value of a key wins.
config_files() {
  for f in "$CONFIG" "$CONFIG".d/*.yaml "$CONFIG".d/*.yml; do
    [ -f "$f" ] && printf '%s\n' "$f"
  done
}

# Last value of a top-level scalar key, without quotes and comment.
config_value() {
  config_files | while IFS= read -r f; do cat "$f"; echo; done |
    sed -n "s/^[\"']\{0,1\}$1[\"']\{0,1\}[[:space:]]*:[[:space:]]*//p" | tail -n 1 |
    sed -e 's/[[:space:]]#.*$//' -e 's/[[:space:]]*$//' -e "s/^\"\(.*\)\"$/\1/" -e "s/^'\(.*\)'$/\1/"
}

# The token in force: configuration, token file, then what the server wrote itself.
token_value() {
  v=$(config_value token)
  if [ -z "$v" ]; then
    f=$(config_value token-file)
    [ -n "$f" ] && [ -f "$f" ] && v=$(head -n 1 "$f")
  fi
  [ -z "$v" ] && [ -f "$SERVER/token" ] && v=$(head -n 1 "$SERVER/token")
  printf '%s' "$v"
}

# First 12 hex digits of sha256 of the password part: the name of its bootstrap key, not a secret.
token_hash() {
  t=$1
  case $t in K10*::*) t=${t#*::}; t=${t#*:} ;; esac
  printf '%s' "$t" | sha256sum | cut -c 1-12
}

# post PORT PATH JSON: etcd's JSON gateway with the client certificate of the server. curl, else the distribution's kubectl.
post() {
  if command -v curl >/dev/null 2>&1; then
    curl -s -S -m "${WAIT:-4}" --cacert "$TLS/etcd/server-ca.crt" --cert "$TLS/etcd/client.crt" --key "$TLS/etcd/client.key" \
      -d "$3" "https://127.0.0.1:$1$2"
  else
    printf '%s' "$3" | timeout "${WAIT:-4}" $KUBECTL create --raw "$2" -f - --server "https://127.0.0.1:$1" --kubeconfig /dev/null \
      --certificate-authority "$TLS/etcd/server-ca.crt" --client-certificate "$TLS/etcd/client.crt" --client-key "$TLS/etcd/client.key"
  fi
}

# get URL: without client certificate (health, ping).
get() {
  if command -v curl >/dev/null 2>&1; then
    curl -s -S -k -m "${WAIT:-4}" "$1"
  else
    p=${1#*://*/}
    timeout "${WAIT:-4}" $KUBECTL get --raw "/$p" --server "${1%/"$p"}" --insecure-skip-tls-verify --kubeconfig /dev/null
  fi
}

# kube ARGS: kubectl as administrator, never longer than its deadline.
kube() { timeout "${WAIT:-6}" $KUBECTL --kubeconfig "$SERVER/cred/admin.kubeconfig" "$@"; }

# Whether an etcd runs here; K3s has it inside its own process, so its ports count too.
etcd_runs() {
  [ -n "$(pids_of etcd)" ] || grep -hqE ':(094B|094C) [0-9A-F:]* 0A ' /proc/net/tcp /proc/net/tcp6
}

# Processes by exact name as the kernel has it (15 characters), from /proc: "pid" a line.
pids_of() {
  for p in /proc/[0-9]*; do
    c=
    read -r c 2>/dev/null <"$p/comm" || continue
    for n in "$@"; do [ "$c" = "$n" ] && printf '%s\n' "${p#/proc/}"; done
  done
}
