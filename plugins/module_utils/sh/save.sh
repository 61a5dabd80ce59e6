# A snapshot by the distribution's own program, which then also lists it. Set by the caller: NAME. Output: "path=..".
find_distro || die "neither rke2 nor k3s is installed here"
timeout 120 "$BIN" etcd-snapshot save --name "$NAME" 2>&1 | tail -n 1 | cut -c 1-200
d=$(config_value etcd-snapshot-dir)
for f in "${d:-$DB/snapshots}/$NAME"-*; do [ -s "$f" ] && printf 'path=%s\nbytes=%s\n' "$f" "$(stat -c %s "$f")"; done
true
