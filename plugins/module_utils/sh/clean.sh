# Removes what runs have moved aside, and nothing else. Set by the caller: SIDE (server|agent). stdin: paths, one a line.
# Output: "cleaned=PATH", "gone=PATH". A path must stand in a journal of ours, look like one of ours, lie where it says, hold
# no mount, and be in nobody's hands.
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
RUN='[0-9]{8}T[0-9]{6}Z'
no() { die "$p is not removed: $1"; }
known() {
  case $p in *[!A-Za-z0-9/._:@,+-]*) no "its name has characters that no path of ours has" ;; esac
  case $p in /*) ;; *) no "it is not absolute" ;; esac
  case $p/ in *//* | */./* | */../*) no "it is written with a detour" ;; esac
  case $p in
    "$HOME_DIR"/*) root=$HOME_DIR like="$RUN/.+" ;;
    "$DATA"/*) root=$DATA like="(server/db/etcd-old-[0-9]+|(server|agent)/tls-[0-9]+|(server|agent)/.+-requorum-$RUN(-[0-9]+)?)(\.cleaning)?" ;;
    *) no "it lies in no folder of ours" ;;
  esac
  printf '%s\n' "${p#"$root"/}" | grep -qxE "$like" || no "it is no name that a run gives"
  cat "$HOME_DIR/journal-cleaned" "$HOME_DIR/journal-closed" 2>/dev/null | sed -n 's/^moved=[^|]*|//p' | grep -qxF -e "$p" ||
    no "it stands in no closed journal of this host"
}
still() {
  [ ! -L "$1" ] || no "it is a link"
  up=${1%/*}
  real=$(cd -P "$up" && pwd)
  [ "$real" = "$(cd -P "$root" && pwd)${up#"$root"}" ] || no "a link leads to it"
  if mounted "$real/${1##*/}"; then no "a file system is mounted there"; fi
  [ ! -e "$1/member/snap/db" ] || [ -z "$(opened_by "$1/member/snap/db")" ] || no "a process has its datastore open"
}
while IFS= read -r p; do
  [ -n "$p" ] || continue
  known
  [ ! -e "$p" ] && [ ! -L "$p" ] || still "$p"
  case $p in *.cleaning) doomed=$p ;; *) doomed=$p.cleaning ;; esac
  [ ! -e "$doomed" ] || still "$doomed"
  if [ ! -e "$p" ] && [ ! -e "$doomed" ]; then
    printf 'gone=%s\n' "$p"
  elif [ "$p" != "$doomed" ] && [ -e "$p" ]; then
    # Half of a datastore must never be put back: it gets another name before it shrinks, and the journal knows both.
    rm -rf "$doomed" || no "$doomed, which an earlier cleanup has left, cannot be removed"
    from=$(sed -n 's/^moved=//p' "$HOME_DIR/journal-closed" | awk -F '|' -v p="$p" '$2 == p { print $1; exit }')
    printf 'moved=%s|%s\n' "$from" "$doomed" >>"$HOME_DIR/journal-cleaned" && mv "$p" "$doomed" || no "it cannot be renamed"
  fi
  if [ -f "$HOME_DIR/journal-closed" ]; then
    awk -F '|' -v p="$p" '!(/^moved=/ && $2 == p)' "$HOME_DIR/journal-closed" >"$HOME_DIR/journal-closed.part" &&
      mv "$HOME_DIR/journal-closed.part" "$HOME_DIR/journal-closed" || no "the journal cannot be written"
  fi
  [ -e "$doomed" ] || continue
  rm -rf "$doomed" || no "not all of it could be removed"
  printf 'cleaned=%s\n' "$p" >>"$HOME_DIR/journal-cleaned"
  printf 'cleaned=%s\n' "$p"
  d=${p%/*} # folders of the run that are empty now
  while [ "${d#"$HOME_DIR"/*/}" != "$d" ] && rmdir "$d" 2>/dev/null; do d=${d%/*}; done
done
