# Room for a snapshot that comes from the controller, or a look at what has come. Set by the caller: STAMP, and BYTES (room
# for so many) or SEEN (path). Output: "path=.." of the place to write to; "sha256=..", "bytes=..".
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
if [ -n "$SEEN" ]; then
  sum=$(sha256sum <"$SEEN") || die "$SEEN cannot be read"
  printf 'path=%s\nsha256=%s\nbytes=%s\n' "$SEEN" "${sum%% *}" "$(stat -c %s "$SEEN")"
  exit 0
fi
to=$HOME_DIR/$STAMP
mkdir -p "$to" && chmod 700 "$HOME_DIR" || die "$to cannot be made"
free=$(df -Pk "$to" | awk 'END { print $4 }')
# Once for the copy, once for the datastore made from it, and room to write.
[ "$((free * 1024))" -gt "$((BYTES * 3))" ] || die "$to has $free KiB free, $((BYTES * 3 / 1024)) are needed"
printf 'path=%s\n' "$to/restore.db"
