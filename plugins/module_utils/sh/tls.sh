# All certificates of this node in one call. Set by the caller: PATHS, one a line, below the data directory or in /etc.
# Output: "key=value" lines about the node, "bootstrap=OFFSET" for each place in the datastore that names a bootstrap key,
# "sum=SHA256  FILE" of what all servers have alike, and of each file that is there "file=PATH KEY" and its text, each line
# after one blank: PEM of certificates, of kubeconfigs the lines that name authority and client, of Secrets and webhooks
# their certificates in base64. KEY is the public half of the private key beside a certificate: the end of an EC P-256
# key in base64, "sha256:" and its hash, "absent" for no key; "-" is unknown. Private keys and tokens stay on the node.
find_distro || die "neither rke2 nor k3s is installed here"
NL='
'

# A key as Go writes it (EC P-256 in SEC 1, which begins with these bytes) ends with its public half: the private one ends
# before character 53 of its base64. The shell reads it by itself. openssl knows the other keys, where it is.
public_half() {
  k=absent
  [ -f "$1" ] || return 0
  k=-
  head='' one='' two='' three=''
  { IFS= read -r head && IFS= read -r one && IFS= read -r two && IFS= read -r three; } <"$1"
  case "$head $one" in
    '-----BEGIN EC PRIVATE KEY----- MHcCAQEEI'*) [ "${#one} ${#two} ${#three}" = '64 64 36' ] && k=${two#????????}$three ;;
    *)
      openssl pkey -in "$1" -noout </dev/null 2>/dev/null || return 0
      k=$(openssl pkey -in "$1" -pubout -outform DER </dev/null 2>/dev/null | sha256sum)
      k=sha256:${k%% *}
      ;;
  esac
}

# file_of PATH: f, where it lies; fails where it does not.
file_of() {
  case $1 in /*) f=$1 ;; *) f=$DATA/$1 ;; esac
  [ -f "$f" ]
}

# Starting a program costs more than reading a file: one sha256sum and one awk for all of them.
sums() {
  set --
  for p in $PATHS; do
    case $p in
      */dynamic-cert.json) ;;
      *-ca.crt | *.key | server/cred/passwd | *.psk | *.json) file_of "$p" && set -- "$@" "$f" ;;
    esac
  done
  [ $# = 0 ] || sha256sum "$@" | sed 's/^/sum=/'
}

texts() {
  set --
  for p in $PATHS; do
    file_of "$p" || continue
    k=-
    case $p in *.crt) public_half "${f%.crt}.key" ;; esac
    set -- "$@" "$p" "$k" "$f"
  done
  awk '
    BEGIN {
      for (i = 1; i < ARGC; i += 3) {
        path = ARGV[i]
        print "file=" path " " ARGV[i + 1]
        pem = 0
        while ((getline line < ARGV[i + 2]) > 0) {
          if (path ~ /\.crt$/) {
            if (line ~ /^-----BEGIN CERTIFICATE-----/) pem = 1
            if (pem) print " " line
            if (line ~ /^-----END CERTIFICATE-----/) pem = 0
          } else if (path ~ /\.(kubeconfig|yaml)$/) {
            if (line ~ /^[ \t-]*(server|certificate-authority|client-certificate)(-data)?:/) print " " line
          } else if (path ~ /dynamic-cert\.json$/ && match(line, /"tls\.crt":[ \t]*"[A-Za-z0-9+\/=]*"/)) {
            found = substr(line, RSTART, RLENGTH - 1)
            sub(/.*"/, "", found)
            print " " found
          }
        }
        close(ARGV[i + 2])
      }
    }' "$@"
}

# What lies in the cluster: the Secret with which every server starts, Secrets of webhooks, and whom webhooks trust.
in_cluster() {
  no_leader && return 0
  s=$(WAIT=4 kube get secrets -A --field-selector type=kubernetes.io/tls \
    -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.data.tls\.crt}{"\n"}{end}' 2>/dev/null) || return 0
  printf '%s\n' "$s" |
    awk -v ours="kube-system/$DISTRO-serving" '$1 == ours || $1 ~ /webhook/ { print "file=secret/" $1 " -\n " $2 }'
  WAIT=4 kube get validatingwebhookconfigurations,mutatingwebhookconfigurations,apiservices \
    -o 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.spec.caBundle}{range .webhooks[*]} {.clientConfig.caBundle}{end}{"\n"}{end}' \
    2>/dev/null | awk 'NF > 1 {
      print "file=trust/" $1 " -"
      for (i = 2; i <= NF; i++) if (!(($1, $i) in seen)) { seen[$1, $i]; print " " $i }
    }'
}

# The setting tls-san: of each configuration file as it stands there, and of the unit's command line.
sans() {
  config_files | while IFS= read -r f; do
    printf ' # file %s\n' "$f"
    awk '/^[^][:space:]#-]/ { on = /^["\047]?tls-san[+]?["\047]?[[:space:]]*:/ } on { print " " $0 }' "$f"
  done
  case $NL$ARGS in
    *"$NL--tls-san"*)
      printf '%s\n' "$ARGS" | awk 'take { print "san=" $0; take = 0 } $0 == "--tls-san" { take = 1 } sub(/^--tls-san=/, "san=")'
      ;;
  esac
}

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
sans
IFS=$NL
sums
texts
unset IFS
if [ -f "$SERVER/cred/admin.kubeconfig" ] && listens 6443; then in_cluster; fi
echo 'end=yes'
