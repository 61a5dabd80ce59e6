# Takes our drop-in away, lets the unit start at boot again, starts Rancher's agent again, closes the journal. Set by the
# caller: STAMP, ENABLE (yes|no|never). A token that we have put there goes too, once the host's own configuration holds it.
# Output: "enabled=..", "kept=PATH" where the drop-in had to stay under another name.
find_distro || die "neither rke2 nor k3s is installed here"
if [ -f "$CONFIG.d/zz-requorum.yaml" ]; then
  joined=$(token_hash "$(token_value)")
  mv "$CONFIG.d/zz-requorum.yaml" "$CONFIG.d/zz-requorum.off" || die "the drop-in cannot be taken away"
  if [ "$(token_hash "$(token_value)")" = "$joined" ]; then
    rm -f "$CONFIG.d/zz-requorum.off"
  else # the host's own configuration is that of another cluster: its next start would fail
    mv "$CONFIG.d/zz-requorum.off" "$CONFIG.d/90-requorum.yaml" || die "$CONFIG.d/90-requorum.yaml cannot be written"
    printf 'kept=%s\n' "$CONFIG.d/90-requorum.yaml"
  fi
fi
f=$CONFIG.d/zz-requorum-token.yaml
if [ -f "$f" ] && idle "$f"; then
  mkdir -p "$HOME_DIR/$STAMP" && mv "$f" "$HOME_DIR/$STAMP/zz-requorum-token.idle" || die "$f cannot be moved aside"
  printf 'moved=%s|%s\n' "$f" "$HOME_DIR/$STAMP/zz-requorum-token.idle" >>"$HOME_DIR/journal-closed"
fi
if [ -f "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf" ]; then
  rm -f "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf" && systemctl daemon-reload || die "the unit's drop-in cannot be taken away"
fi
if [ "$ENABLE" = never ]; then
  timeout 30 systemctl disable "$UNIT" >/dev/null 2>&1 || die "$UNIT cannot be disabled"
elif [ "$ENABLE" = yes ] || grep -qx 'enabled=enabled' "$HOME_DIR/journal" 2>/dev/null; then
  timeout 30 systemctl enable "$UNIT" >/dev/null 2>&1 || die "$UNIT cannot be enabled"
fi
case $(sed -n 's/^braked=//p' "$HOME_DIR/journal" 2>/dev/null) in
  *enabled*) timeout 30 systemctl enable --now --no-block rancher-system-agent >/dev/null 2>&1 || die "rancher-system-agent does not start" ;;
  *active*) timeout 30 systemctl start --no-block rancher-system-agent || die "rancher-system-agent does not start" ;;
esac
# Of a reset whose run was cut off.
[ "$(systemctl show requorum-reset -p SubState --value 2>/dev/null)" = running ] || systemctl stop requorum-reset >/dev/null 2>&1
rm -f /run/requorum/reset.yaml /run/requorum/reset.yaml.d/*.yaml
if [ -f "$HOME_DIR/journal" ]; then
  note_resets "$STAMP" # of a run that was killed beside its reset
  close_journal "$STAMP" || die "$HOME_DIR/journal cannot be closed"
fi
printf 'enabled=%s\n' "$(systemctl show "$UNIT" -p UnitFileState --value)"
