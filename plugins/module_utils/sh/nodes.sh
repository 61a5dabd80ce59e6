# What the API server of this host says: Nodes, the endpoints of the API, when each kubelet reported last, and this host's clock.
# Set by the caller: AWAIT, addresses of API servers; it waits here for two seconds until all of them are endpoints.
find_distro || die "neither rke2 nor k3s is installed here"
endpoints() { api /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes; }
listed() {
  e=$(endpoints) || return 1
  for a in $AWAIT; do
    case $e in *"\"$a\""*) ;; *) return 1 ;; esac
  done
}
[ -z "${AWAIT:-}" ] || wait_for 2 listed
date +%s
api /api/v1/nodes && echo || exit 1
endpoints && echo || exit 1
api /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases && echo
