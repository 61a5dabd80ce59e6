# Packs what a snapshot needs beside it: token in force, certificates, credentials, configuration, node password.
# Set by the caller: STAMP, NAMED (a file with a token besides, or empty), SIDE (server|agent). Output: "path=..", "bytes=..".
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
to=$HOME_DIR/$STAMP
mkdir -p "$to" || die "$to cannot be made"
token_value >"$to/token"
named=
if [ -n "$NAMED" ]; then
  mkdir -p "$to/named" && cp "$NAMED" "$to/named/token" || die "$NAMED, which requorum_token_file names, cannot be read"
  named=$to/named/token
fi
cd / || die "no root directory"
set --
for f in "$to/token" "$named" "$TLS" "$SERVER/cred" "$SERVER/token" "$DB/etcd/name" "$CONFIG" "$CONFIG.d" /etc/rancher/node/password; do
  [ -e "$f" ] && set -- "$@" "${f#/}"
done
tar -cf "$to/files.part" "$@" || die "tar could not read everything"
mv "$to/files.part" "$to/files.tar"
printf 'path=%s\nbytes=%s\n' "$to/files.tar" "$(stat -c %s "$to/files.tar")"
