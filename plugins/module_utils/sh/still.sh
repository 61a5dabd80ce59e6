# Which processes are still the very same. Set by the caller: SEEN ("PID/START ..."). Output: "runs=PID/START" of each.
for one in $SEEN; do
  l=
  read -r l 2>/dev/null <"/proc/${one%/*}/stat" || continue
  # shellcheck disable=SC2086
  set -- ${l##*) }
  [ "$1" != Z ] && [ "${20}" = "${one#*/}" ] && printf 'runs=%s\n' "$one"
done
true
