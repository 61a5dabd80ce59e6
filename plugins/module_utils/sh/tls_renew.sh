# Takes leaf certificates away, so that the next start makes them anew. Set by the caller: STAMP, SERVICES (for
# `certificate rotate --service`; "all"; empty), FILES (the leaves, below the data directory), which are moved aside
# where the program cannot do it.
# Output: "moved=FROM|TO", "how=rotate|aside".
find_distro || die "neither rke2 nor k3s is installed here"
etcd_runs && die "etcd still runs here"
umask 077
aside=$HOME_DIR/$STAMP/leaves
note() { printf '%s\n' "$1" >>"$HOME_DIR/journal"; }
moved() { note "moved=$1|$2"; printf 'moved=%s|%s\n' "$1" "$2"; }
common() {
  for f in client-ca server-ca request-header-ca etcd/server-ca etcd/peer-ca service; do
    for g in "$TLS/$f.crt" "$TLS/$f.key"; do [ -f "$g" ] && sha256sum "$g"; done
  done
  true
}
before=$(common)
how=aside
if [ -n "$SERVICES" ] && [ -n "$BIN" ]; then
  set -- certificate rotate --data-dir "$DATA"
  # shellcheck disable=SC2086
  [ "$SERVICES" = all ] || for s in $SERVICES; do set -- "$@" --service "$s"; done
  said=$(timeout 60 "$BIN" "$@" 2>&1) && how=rotate
  copy=$(printf '%s\n' "$said" | sed -n 's/.*backed up certificates to \([^ ,"]*\).*/\1/p' | tail -n 1)
  [ -n "$copy" ] && moved "$TLS" "$copy"
fi
# What it has rotated is gone by now. The listener's certificate is made anew when it is told so.
for f in $FILES; do
  [ -f "$DATA/$f" ] || continue
  case $f in */dynamic-cert.json) [ $how = rotate ] && [ -e "$TLS/dynamic-cert-regenerate" ] && continue ;; esac
  for g in "$f" "${f%.crt}.key"; do
    [ -f "$DATA/$g" ] || continue
    mkdir -p "$aside/${g%/*}" && mv "$DATA/$g" "$aside/$g" || die "$DATA/$g cannot be moved aside"
    moved "$DATA/$g" "$aside/$g"
  done
done
[ "$before" = "$(common)" ] || die "the CAs have changed: put back what stands in $HOME_DIR/journal, and do not start $UNIT"
printf 'how=%s\n' "$how"
