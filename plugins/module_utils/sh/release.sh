# Takes our drop-in away, lets the unit start at boot again, closes the journal. Set by the caller: STAMP, ENABLE (yes|no).
find_distro || die "neither rke2 nor k3s is installed here"
rm -f "$CONFIG.d/zz-requorum.yaml"
if [ -f "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf" ]; then
  rm -f "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf" && systemctl daemon-reload || die "the unit's drop-in cannot be taken away"
fi
if [ "$ENABLE" = yes ] || grep -qx 'enabled=enabled' "$HOME_DIR/journal" 2>/dev/null; then
  timeout 30 systemctl enable "$UNIT" >/dev/null 2>&1 || die "$UNIT cannot be enabled"
fi
if [ -f "$HOME_DIR/journal" ]; then
  sed '/^enabled=/d' "$HOME_DIR/journal" >>"$HOME_DIR/journal-closed" && mv "$HOME_DIR/journal" "$HOME_DIR/$STAMP/journal"
fi
printf 'enabled=%s\n' "$(systemctl show "$UNIT" -p UnitFileState --value)"
