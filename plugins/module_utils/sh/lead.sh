# Hands the leadership of this member to another voter. Set by the caller: ID (decimal, of the voter).
find_distro || die "neither rke2 nor k3s is installed here"
WAIT=10 post "$(gate)" /v3/maintenance/transfer-leadership "{\"targetID\":\"$ID\"}"
