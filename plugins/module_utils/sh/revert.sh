# Puts back what a run moved aside. Set by the caller: STAMP, AGENT_ROLE (yes|no), START (yes|no).
# stdin: "FROM|TO", one a line, the newest first. Output: "moved=FROM|TO" of what lay there, "undone=FROM|TO", "gone=TO".
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
while IFS='|' read -r from to; do
  [ -n "$to" ] || continue
  if [ ! -e "$to" ]; then
    printf 'gone=%s\n' "$to"
    continue
  fi
  stop_unit
  [ "$from" = "$DB/etcd" ] && etcd_runs && die "etcd still runs here; no datastore is put back beneath it"
  if [ -e "$from" ]; then
    aside=$HOME_DIR/$STAMP/rolled-back$from
    [ -d "$from" ] && aside=$from-requorum-$STAMP # beside it: a copy to another file system could take minutes
    mkdir -p "${aside%/*}" && mv "$from" "$aside" || die "$from cannot be moved aside"
    note "moved=$from|$aside"
  fi
  mkdir -p "${from%/*}" && mv "$to" "$from" || die "$to cannot be put back to $from"
  note "undone=$from|$to"
  relabel "$from"
done
for f in "$CONFIG.d/zz-requorum.yaml" "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf"; do
  [ -e "$f" ] || continue
  mv "$f" "$HOME_DIR/$STAMP/${f##*/}" || die "$f cannot be moved aside"
  note "moved=$f|$HOME_DIR/$STAMP/${f##*/}"
  systemctl daemon-reload
done
if [ "$START" = yes ] && [ "$(systemctl show "$UNIT" -p ActiveState --value)" != active ]; then
  systemctl reset-failed "$UNIT" >/dev/null 2>&1
  timeout 20 systemctl start --no-block "$UNIT" || die "$UNIT cannot be started"
fi
printf 'unit=%s\n' "$(systemctl show "$UNIT" -p ActiveState --value)"
