# A server that has left for good: its datastore goes aside, its journal is closed, its unit stays disabled. It is fenced.
# Set by the caller: STAMP. Output: "moved=FROM|TO".
find_distro || die "neither rke2 nor k3s is installed here"
etcd_runs && die "etcd still runs here"
if [ -e "$DB/etcd" ]; then
  mv "$DB/etcd" "$DB/etcd-requorum-$STAMP" || die "$DB/etcd cannot be moved aside"
  told journal "moved=$DB/etcd|$DB/etcd-requorum-$STAMP"
fi
close_journal "$STAMP"
