# One request to the API server of this node, as its administrator. Set by the caller: DO (get|create|replace|patch|delete),
# URL; for patch KIND, NAME, NAMESPACE, SUB; WAIT. The body comes through stdin. Output: the object as JSON; stderr: kubectl's words.
find_distro || die "neither rke2 nor k3s is installed here"
[ -f "$SERVER/cred/admin.kubeconfig" ] || die "this host is no server"
case $DO in
  get) kube get --raw "$URL" ;;
  create | replace | delete) kube "$DO" --raw "$URL" -f - ;;
  patch)
    # shellcheck disable=SC2086
    kube patch "$KIND" "$NAME" ${NAMESPACE:+-n "$NAMESPACE"} ${SUB:+--subresource="$SUB"} --type merge --patch-file /dev/stdin -o json
    ;;
esac
