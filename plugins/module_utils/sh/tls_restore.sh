# Puts the files that all servers have in common in their places, with the times that they have in the datastore. They
# come as a tar archive through stdin. Set by the caller: STAMP, EMPTY (yes: server/tls holds nothing else afterwards).
# Output: "moved=FROM|TO", "placed=PATH".
find_distro || die "neither rke2 nor k3s is installed here"
etcd_runs && die "etcd still runs here"
umask 077
note() { printf '%s\n' "$1" >>"$HOME_DIR/journal"; }
aside() {
  [ -e "$1" ] || return 0
  mkdir -p "${2%/*}" && mv "$1" "$2" || die "$1 cannot be moved aside"
  note "moved=$1|$2"
  printf 'moved=%s|%s\n' "$1" "$2"
}
# On the same disk, so that each step is one rename.
new=$SERVER/requorum-$STAMP
mkdir -p "$new" "$HOME_DIR/$STAMP" "$SERVER/cred" && tar -xpf - -C "$new" || die "the files of the datastore cannot be unpacked"
[ -s "$new/tls/server-ca.key" ] && [ -s "$new/tls/service.key" ] || die "the archive holds no CAs"
chmod 755 "$new/tls/etcd"
if [ "$EMPTY" = yes ]; then
  aside "$TLS" "$SERVER/tls-requorum-$STAMP"
  mv "$new/tls" "$TLS" || die "$TLS cannot be written; its files are in $new"
  printf 'placed=%s\n' "$TLS"
fi
mkdir -p "$TLS/etcd" && cd "$new" || die "$TLS cannot be made"
find . -type f | while IFS= read -r f; do
  to=$SERVER/${f#./}
  [ -f "$to" ] && [ "$(sha256sum <"$f")" = "$(sha256sum <"$to")" ] && rm "$f" && continue
  aside "$to" "$HOME_DIR/$STAMP/replaced/${f#./}"
  mv "$f" "$to" || die "$to cannot be written"
  printf 'placed=%s\n' "$to"
done || exit 1
relabel "$TLS" "$SERVER/cred"
cd / && rmdir "$new/tls/etcd" "$new/tls" "$new/cred" "$new" 2>/dev/null
true
