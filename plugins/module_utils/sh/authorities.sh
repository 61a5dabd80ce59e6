# What all servers of a cluster must have in common. Output: "SHA256 PATH", paths below server/.
find_distro || die "neither rke2 nor k3s is installed here"
cd "$SERVER" 2>/dev/null || exit 0
for f in client-ca server-ca request-header-ca etcd/server-ca etcd/peer-ca; do
  for g in "tls/$f.crt" "tls/$f.key"; do [ -f "$g" ] && sha256sum "$g"; done
done
[ -f tls/service.key ] && sha256sum tls/service.key
true
