# A Node that no host bears any more. Set by the caller: NODE, GO (yes|no).
# no: its manifest as JSON, nothing where there is none. yes: deletes it; its finalizer removes the member of etcd.
find_distro || die "neither rke2 nor k3s is installed here"
if [ "$GO" = yes ]; then
  WAIT=15 kube delete node "$NODE" --ignore-not-found --wait=false
else
  kube get node "$NODE" -o json --ignore-not-found
fi
