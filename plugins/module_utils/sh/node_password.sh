# Removes the stored node password of a host that was replaced; the host's next request writes it again.
# Set by the caller: NODE.
find_distro || die "neither rke2 nor k3s is installed here"
kube -n kube-system delete secret "$NODE.node-password.$DISTRO" --ignore-not-found --wait=false
