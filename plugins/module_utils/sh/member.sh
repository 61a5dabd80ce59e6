# One call to etcd's member API on this voter. Set by the caller: CALL (promote|remove), ID (decimal).
find_distro || die "neither rke2 nor k3s is installed here"
WAIT=10 post "$(gate)" "/v3/cluster/member/$CALL" "{\"ID\":\"$ID\"}"
