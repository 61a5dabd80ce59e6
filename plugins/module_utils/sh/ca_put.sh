# Lays new CAs and their keys down for `certificate rotate-ca`. They come as a tar archive through stdin. Set by the
# caller: STAMP. Output: "placed=FOLDER".
umask 077
new=$HOME_DIR/$STAMP/rotate-ca
mkdir -p "$new" && chmod 700 "$HOME_DIR" "$HOME_DIR/$STAMP" "$new" && tar -xpf - -C "$new" || die "$new cannot be written"
for f in "$new"/tls/*-ca.key "$new"/tls/etcd/*-ca.key; do [ -s "$f" ] && found=yes; done
[ "$found" = yes ] || die "the archive holds no CAs"
printf 'placed=%s\n' "$new"
