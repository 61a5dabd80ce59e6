# Puts back what a run moved aside. Set by the caller: STAMP, AGENT_ROLE (yes|no), START (yes|no), STORE (hash that the
# datastore had, or empty), SUMS (yes: hash certificates, credentials and configuration before the unit starts).
# stdin: "FROM|TO", one a line, the newest first; "FROM|" only moves aside what lies there.
# Output: "moved=FROM|TO" of what lay there, "undone=FROM|TO", "gone=TO", "store=same", "sum=SHA256  PATH".
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
mkdir -p "$HOME_DIR/$STAMP" && chmod 700 "$HOME_DIR" || die "$HOME_DIR/$STAMP cannot be made"
[ "$AGENT_ROLE" = yes ] && UNIT=$AGENT
note() { told journal-closed "$1"; }
systemctl stop requorum-reset >/dev/null 2>&1 # a reset that was left alone would go on
stopped=no
stop_unit() {
  [ $stopped = yes ] && return 0
  stopped=yes
  timeout 60 systemctl stop "$UNIT" >/dev/null 2>&1 || {
    systemctl kill -s KILL --kill-who=main "$UNIT" >/dev/null 2>&1
    timeout 10 systemctl stop "$UNIT" >/dev/null 2>&1
  }
}
# aside FROM TO
aside() {
  to_free=$2
  n=0
  while [ -e "$to_free" ]; do # twice in one run: what is put back first may be replaced itself
    n=$((n + 1))
    to_free=$2-$n
  done
  mkdir -p "${to_free%/*}" && mv "$1" "$to_free" || die "$1 cannot be moved aside"
  note "moved=$1|$to_free"
}
# What is wrong with the datastore is known before anything is moved. Of several, the last one stays in its place.
todo=$(cat)
last=
while IFS='|' read -r from to; do
  [ "$from" = "$DB/etcd" ] && [ -n "$to" ] || continue
  if [ ! -e "$to" ]; then
    [ -e "$from" ] && grep -qxF "undoing=$from|$to" "$HOME_DIR/journal-closed" 2>/dev/null ||
      die "the datastore that is to come back, $to, is gone; nothing was moved"
    to=$from # a run before this one was killed just behind the move
  fi
  last=$to
done <<EOF
$todo
EOF
if [ -n "$STORE" ] && [ -n "$last" ]; then
  sum=$(store_sum "$last")
  [ "$sum" = "$STORE" ] || die "the datastore in $last is not the one that was moved aside: its hash is ${sum:-not known} and was $STORE; nothing was moved"
fi
store=no
while IFS='|' read -r from to; do
  [ -n "$from" ] || continue
  if [ -n "$to" ] && [ ! -e "$to" ]; then
    if [ "$from" != "$DB/etcd" ]; then
      printf 'gone=%s\n' "$to"
      continue
    fi
    stop_unit
    store=yes
    note "undone=$from|$to"
    continue
  fi
  stop_unit
  if [ "$from" = "$DB/etcd" ]; then
    etcd_runs && die "etcd still runs here; no datastore is put back beneath it"
    store=yes
  fi
  if [ -d "$from" ]; then
    aside "$from" "$from-requorum-$STAMP" # beside it: a copy to another file system could take minutes
  elif [ -e "$from" ]; then
    aside "$from" "$HOME_DIR/$STAMP/rolled-back$from"
  fi
  [ -n "$to" ] || continue
  [ "$from" != "$DB/etcd" ] || note "undoing=$from|$to"
  mkdir -p "${from%/*}" && mv "$to" "$from" || die "$to cannot be put back to $from"
  note "undone=$from|$to"
  relabel "$from"
done <<EOF
$todo
EOF
for f in "$CONFIG.d/zz-requorum.yaml" "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf"; do
  [ -e "$f" ] || continue
  aside "$f" "$HOME_DIR/$STAMP/${f##*/}"
  systemctl daemon-reload
done
if [ $store = yes ]; then # what a reset and a rejoin have left besides
  for f in "$DB/reset-flag" "$CONFIG.d/90-requorum.yaml"; do
    [ ! -e "$f" ] || aside "$f" "$HOME_DIR/$STAMP/${f##*/}"
  done
  [ -z "$STORE" ] || [ -z "$last" ] || echo store=same
fi
if [ "$SUMS" = yes ]; then
  set --
  for f in "$TLS" "$SERVER/cred" "$SERVER/token" "$CONFIG" "$CONFIG.d" /etc/rancher/node/password; do
    [ -e "$f" ] && set -- "$@" "$f"
  done
  [ $# -eq 0 ] || find "$@" -type f -exec sha256sum {} + | sed 's/^/sum=/'
fi
if [ "$START" = yes ] && [ "$(systemctl show "$UNIT" -p ActiveState --value)" != active ]; then
  systemctl reset-failed "$UNIT" >/dev/null 2>&1
  timeout 20 systemctl start --no-block "$UNIT" || die "$UNIT cannot be started"
fi
printf 'unit=%s\n' "$(systemctl show "$UNIT" -p ActiveState --value)"
