# Moves leftovers aside. Set by the caller: STAMP, SIDE (server|agent). stdin: their paths, one a line. Output: "moved=FROM|TO".
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
to=$HOME_DIR/$STAMP/leftovers
mkdir -p "$to" && chmod 700 "$HOME_DIR" || die "$to cannot be made"
reload=no
while IFS= read -r f; do
  case $f in
    "$DB/reset-flag" | "$DB/etcd/tombstone" | "$CONFIG.d/zz-requorum.yaml" | "$DATA"/agent/etc/*load-balancer.json) ;;
    "$CONFIG.d/zz-requorum-token.yaml") [ ! -f "$f" ] || idle "$f" || die "$f is needed: without it another token is in force" ;;
    "/etc/systemd/system/$UNIT.service.d/zz-requorum.conf") reload=yes ;;
    *) die "$f is none of the leftovers that are known here" ;;
  esac
  [ -e "$f" ] || continue
  mv "$f" "$to/${f##*/}" || die "$f cannot be moved aside"
  told journal-closed "moved=$f|$to/${f##*/}"
done
[ $reload = no ] || systemctl daemon-reload || die "systemd could not read its units again"
true
