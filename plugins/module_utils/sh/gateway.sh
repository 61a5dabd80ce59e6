# One call to the JSON gateway of this server's etcd. Set by the caller: CALL (path below /v3), BODY (JSON), SECONDS_MAX.
# Output: its answer.
find_distro || die "neither rke2 nor k3s is installed here"
WAIT=$SECONDS_MAX post "$(gate)" "/v3/$CALL" "$BODY"
