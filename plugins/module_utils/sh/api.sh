# Requests to the API server of this node, as its administrator. Set by the caller: DO (get|create|replace|patch|delete), WAIT.
# get: paths come through stdin, one a line; MARK; MANY=yes for several. Output: base64, of gzip where there is one; behind each
# answer a line with MARK, its code (of HTTP, or 0) and why there is none. Others: URL; for patch KIND, NAME, NAMESPACE, SUB; the body comes
# through stdin. Output: the object as JSON; stderr: kubectl's words.
find_distro || die "neither rke2 nor k3s is installed here"
ADMIN=$SERVER/cred/admin.kubeconfig
[ -f "$ADMIN" ] || die "this host is no server"

# curl has one process and one connection for all of them; it would get its answers indented under its own name. Where its files
# are not those of kubectl's kubeconfig it gets no answer, and the caller asks again for each of them.
read_all() {
  if [ "${MANY:-no}" = yes ] && has_admin; then
    sed "s|.*|url = \"$(admin_url)&\"|" | admin -w "\n$MARK %{http_code} %{errormsg}\n" -K - 2>/dev/null
  else
    while IFS= read -r path; do
      { why=$(kube get --raw "$path" 2>&1 >&3 </dev/null); code=$?; } 3>&1
      if [ "$code" = 0 ]; then code=200; else code=0; fi
      printf '\n%s %s %s\n' "$MARK" "$code" "$(printf '%s' "$why" | tail -n 1)"
    done
  fi
}

case $DO in
  get) read_all | if command -v gzip >/dev/null 2>&1; then gzip -1; else cat; fi | base64 ;;
  create | replace | delete) kube "$DO" --raw "$URL" -f - ;;
  patch)
    # shellcheck disable=SC2086
    kube patch "$KIND" "$NAME" ${NAMESPACE:+-n "$NAMESPACE"} ${SUB:+--subresource="$SUB"} --type merge --patch-file /dev/stdin -o json
    ;;
esac
