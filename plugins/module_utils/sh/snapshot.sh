# Saves a snapshot with its sha256 trailer below the node's own folder. Set by the caller: STAMP, SOURCE (gateway|disk).
# Output: "path=..", "bytes=..".
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
to=$HOME_DIR/$STAMP
mkdir -p "$to" && chmod 700 "$HOME_DIR" || die "$to cannot be made"
if [ "$SOURCE" = gateway ]; then
  WAIT=600
  post "$(gate)" /v3/maintenance/snapshot '{}' | sed -n 's/.*"blob":[ ]*"\([^"]*\)".*/\1/p' | base64 -d >"$to/snapshot.part" ||
    undone "$to/snapshot.part" "etcd's gateway gave no whole snapshot"
else
  etcd_runs && die "etcd still runs: its file cannot be copied"
  p=$(opened_by "$DB/etcd/member/snap/db")
  [ -z "$p" ] || die "process $p has member/snap/db open: it cannot be copied"
  # Read once: the copy and its hash are made of the same bytes. A full disk shows in the size.
  sum=$(tee "$to/snapshot.part" <"$DB/etcd/member/snap/db" | sha256sum)
  [ "$(stat -c %s "$to/snapshot.part")" = "$(stat -c %s "$DB/etcd/member/snap/db")" ] || undone "$to/snapshot.part" "member/snap/db cannot be copied"
  sum=${sum%% *}
  while [ -n "$sum" ]; do
    rest=${sum#??}
    # shellcheck disable=SC2059
    printf "\\$(printf '%03o' "0x${sum%"$rest"}")"
    sum=$rest
  done >>"$to/snapshot.part"
fi
[ -s "$to/snapshot.part" ] || undone "$to/snapshot.part" "the snapshot is empty"
mv "$to/snapshot.part" "$to/snapshot.db"
printf 'path=%s\nbytes=%s\n' "$to/snapshot.db" "$(stat -c %s "$to/snapshot.db")"
