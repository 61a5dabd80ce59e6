# Path and size of the datastore on disk.
find_distro || die "neither rke2 nor k3s is installed here"
[ -s "$DB/etcd/member/snap/db" ] || die "$DB/etcd/member/snap/db is missing"
printf 'path=%s\nbytes=%s\n' "$DB/etcd/member/snap/db" "$(stat -c %s "$DB/etcd/member/snap/db")"
