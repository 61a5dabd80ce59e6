# Puts the CAs that ca_put.sh has laid down into the datastore, with the program's own checks of their signatures. Set by
# the caller: STAMP. Output: "said=LINE", the last one of the program.
find_distro || die "neither rke2 nor k3s is installed here"
[ -n "$BIN" ] || die "the program $DISTRO was not found"
new=$HOME_DIR/$STAMP/rotate-ca
[ -d "$new/tls" ] || die "$new/tls is not there"
said=$(timeout 90 "$BIN" certificate rotate-ca --data-dir "$DATA" --server "https://127.0.0.1:$PORT" --path "$new" 2>&1)
rc=$?
printf '%s\n' "$said" | tail -n 1 | sed 's/^/said=/'
exit $rc
