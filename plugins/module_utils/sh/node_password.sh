# The stored node password of a host. Set by the caller: NODE, GO (show|drop).
# show: its manifest as JSON, nothing where there is none. drop: deletes it; the host's next request writes it again.
find_distro || die "neither rke2 nor k3s is installed here"
if [ "$GO" = drop ]; then
  WAIT=15 kube -n kube-system delete secret "$NODE.node-password.$DISTRO" --ignore-not-found --wait=false
else
  kube -n kube-system get secret "$NODE.node-password.$DISTRO" -o json --ignore-not-found
fi
