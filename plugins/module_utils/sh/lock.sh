# Takes the lock of the cluster on this node, or lets it go. Set by the caller: DO (take|free|back), ID, STAMP, LIMIT (seconds
# without a sign of life after which that of another run is taken over) and DEAD (ids of runs that have ended). The text of
# the lock comes through stdin, as "key=value" lines with "id=ID". back: free, and what was taken over stands there again.
# Output: "age=..." and the lines of another run's lock, if there was one; "lock=" taken, freed or other (it stays as it is).
f=$HOME_DIR/lock
command -v flock >/dev/null 2>&1 || die "flock (of util-linux) is missing on this node"
if [ "$DO" = take ]; then
  mkdir -p "$HOME_DIR" && chmod 700 "$HOME_DIR" || die "$HOME_DIR cannot be made"
fi
[ -d "$HOME_DIR" ] || { echo lock=freed; exit 0; }
exec 9<"$HOME_DIR"
n=0 # that of busybox has no -w
until flock -n 9; do
  n=$((n + 1))
  [ $n -lt 50 ] || die "another process has kept $HOME_DIR for 10 s"
  sleep 0.2
done

ours() { grep -qsx "id=$ID" "$f"; }

if [ "$DO" != take ]; then
  if ours; then
    if [ "$DO" = back ] && [ -f "$HOME_DIR/$STAMP/lock" ]; then
      mv "$HOME_DIR/$STAMP/lock" "$f" || die "$f cannot be put back"
      rmdir "$HOME_DIR/$STAMP" 2>/dev/null
    else
      rm -f "$HOME_DIR/lock" || die "$f cannot be taken away"
    fi
  fi
  echo lock=freed
  exit 0
fi

if [ -f "$f" ] && ! ours; then
  age=$(($(date +%s) - $(stat -c %Y "$f")))
  other=$(sed -n 's/^id=//p' "$f")
  cat "$f"
  printf '\nage=%s\n' "$age"
  gone=
  [ "${age#-}" -ge "$LIMIT" ] && gone=yes
  case " $DEAD " in *" ${other:-?} "*) gone=yes ;; esac
  [ -n "$gone" ] || { echo lock=other; exit 0; }
fi
umask 077
cat >"$f.new" && grep -qx "id=$ID" "$f.new" || die "$f.new cannot be written"
if [ -f "$f" ] && ! ours; then
  mkdir -p "$HOME_DIR/$STAMP" && mv "$f" "$HOME_DIR/$STAMP/lock" || die "the lock of another run cannot be moved aside"
fi
mv "$f.new" "$f" || die "$f cannot be written"
echo lock=taken
