# The Secret with which every server starts to serve. Set by the caller: GO (show|drop).
# show: its manifest as JSON, nothing where there is none. drop: deletes it; the next start of a server writes it again.
find_distro || die "neither rke2 nor k3s is installed here"
if [ "$GO" = drop ]; then
  WAIT=15 kube -n kube-system delete secret "$DISTRO-serving" --ignore-not-found --wait=false
else
  kube -n kube-system get secret "$DISTRO-serving" -o json --ignore-not-found
fi
