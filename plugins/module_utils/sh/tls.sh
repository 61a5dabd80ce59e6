# All certificates of this node in one call. Set by the caller: PATHS, one a line, below the data directory or in /etc.
# Output: "key=value" lines about the node, "bootstrap=OFFSET" for each place in the datastore that names a bootstrap key,
# then of each file that is there "file=PATH SHA256 KEY" and its text, each line after one blank: PEM of certificates,
# of kubeconfigs the lines that name authority and client. SHA256 is that of files which all servers have alike. KEY is the
# sha256 of the public half of the private key, "absent" no key; "-" is unknown. Private keys and tokens stay on the node.
find_distro || die "neither rke2 nor k3s is installed here"

pem() { sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/s/^/ /p' "$@"; }

# A key as Go writes it (EC P-256 in SEC 1, which begins with these bytes) ends with its public half; in a certificate the
# same half stands behind another head. openssl knows the other keys, where it is.
public_half() {
  k=
  head=
  body=
  if [ ! -f "$1" ]; then
    k=absent
  elif { IFS= read -r head && IFS= read -r body; } <"$1" && [ "$head ${body%"${body#MHcCAQEEI}"}" = '-----BEGIN EC PRIVATE KEY----- MHcCAQEEI' ]; then
    k=$({
      printf '\060\131\060\023\006\007\052\206\110\316\075\002\001\006\010\052\206\110\316\075\003\001\007\003\102\000'
      sed -n '/^-----END/q; /^-----/!p' "$1" | base64 -d | tail -c 65
    } | sha256sum)
  elif openssl pkey -in "$1" -noout </dev/null 2>/dev/null; then
    k=$(openssl pkey -in "$1" -pubout -outform DER </dev/null 2>/dev/null | sha256sum)
  fi
  k=${k%% *}
  k=${k:--}
}

# of FILE PATH: what is told of one file
of() {
  h=- k=-
  case $2 in
    *-ca.crt | *.key | server/cred/passwd | *.psk | *.json) [ "$2" = server/tls/dynamic-cert.json ] || h=$(sha256sum <"$1") ;;
  esac
  case $2 in *.crt) public_half "${1%.crt}.key" ;; esac
  printf 'file=%s %s %s\n' "$2" "${h%% *}" "$k"
  case $2 in
    *.crt) pem "$1" ;;
    */dynamic-cert.json) served <"$1" ;;
    *.kubeconfig | *.yaml)
      grep -E '^[[:space:]-]*(server|certificate-authority|client-certificate)(-data)?:' "$1" | sed 's/^/ /'
      ;;
  esac
}

# The certificates in a Secret of type kubernetes.io/tls, without its key.
served() { sed -n 's|.*"tls\.crt":[[:space:]]*"\([A-Za-z0-9+/=]*\)".*|\1|p' | base64 -d 2>/dev/null | pem; }

# The address that RKE2 and K3s take for a node: configured, else that of the default route. Empty where it is not known.
address() {
  a=$(config_value node-ip i)
  if [ -n "$a" ]; then
    printf '%s' "${a%%,*}"
  elif ! config_files | while IFS= read -r f; do cat "$f"; done | grep -q "^[\"']\{0,1\}node-ip"; then
    ip -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p'
  fi
}

node_name() {
  case $(config_value with-node-id) in true) return ;; esac
  n=$(config_value node-name)
  printf '%s' "${n:-$(tr '[:upper:]' '[:lower:]' </proc/sys/kernel/hostname)}"
}

v=
[ -n "$BIN" ] && v=$(timeout 5 "$BIN" --version 2>/dev/null | head -n 1)
printf 'clock=%s\ndistro=%s\nversion=%s\ndata_dir=%s\nnode_name=%s\naddress=%s\n' \
  "$(date +%s.%N)" "$DISTRO" "$v" "$DATA" "$(node_name)" "$(address)"
[ -d "$TLS" ] || [ -d "$DB/etcd" ] && echo server=yes
[ -f "$SERVER/token" ] && printf 'token_bytes=%s\n' "$(stat -c %s "$SERVER/token")"
[ -f "$DB/etcd/member/snap/db" ] &&
  LC_ALL=C grep -a -b -o '/bootstrap/[0-9a-f]\{12\}' "$DB/etcd/member/snap/db" | sed 's/^/bootstrap=/; s/:.*//' | tail -n 200
printf '%s\n' "$PATHS" | while IFS= read -r p; do
  case $p in /*) f=$p ;; *) f=$DATA/$p ;; esac
  if [ -f "$f" ]; then of "$f" "$p"; fi
done
if [ -f "$SERVER/cred/admin.kubeconfig" ] && listens 6443; then
  s=$(WAIT=4 kube get --raw "/api/v1/namespaces/kube-system/secrets/$DISTRO-serving" 2>/dev/null | served)
  [ -n "$s" ] && printf 'file=secret/kube-system/%s-serving - -\n%s\n' "$DISTRO" "$s"
fi
echo 'end=yes'
