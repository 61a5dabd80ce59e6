# What `token rotate` asks of a running server, without a token in any argument. Set by the caller: GO (look|ask|back);
# for back STAMP (the run that has lent the old token) and WANT (hash of the token that is to be in force then).
# look: "keys=JSON", the bootstrap keys as etcd's gateway gives them. ask: stdin has the token of now, then the new one, a line
# each. back: what token_put.sh has put there is moved aside, the server started again. Output: "moved=FROM|TO".
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
# As in a JSON text, and as in quotes of curl's configuration.
escaped() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }
ask() {
  d=/run/requorum/rotate
  mkdir -p "$d" || die "$d cannot be made"
  trap 'rm -f /run/requorum/rotate/body /run/requorum/rotate/user' EXIT
  IFS= read -r old && IFS= read -r new || die "no tokens came"
  printf '{"newToken":"%s"}' "$(escaped "$new")" >"$d/body" || die "$d cannot be written"
  if command -v curl >/dev/null 2>&1; then
    printf 'user = "server:%s"\n' "$(escaped "$old")" >"$d/user"
    curl -s -S -f -m 40 --cacert "$TLS/server-ca.crt" -K "$d/user" -X PUT -H 'Content-Type: application/json' -d "@$d/body" \
      "https://127.0.0.1:$PORT/v1-$DISTRO/token"
  else
    printf '{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
      "clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:%s","certificate-authority":"%s"}}],
      "users":[{"name":"u","user":{"username":"server","password":"%s"}}]}' "$PORT" "$TLS/server-ca.crt" "$(escaped "$old")" >"$d/user"
    kubectl 40 replace --raw "/v1-$DISTRO/token" -f "$d/body" --kubeconfig "$d/user"
  fi
}
# What was lent leaves nothing in the journal: a way back would put it into place again.
aside() {
  [ -e "$1" ] || return 0
  mv "$1" "$2" || die "$1 cannot be moved aside"
  printf 'moved=%s|%s\n' "$1" "$2"
}
# returned FILE NAME: the file makes room for what token_put.sh has kept of it.
returned() {
  to=$HOME_DIR/$STAMP
  [ -e "$to/$2" ] || return 0
  aside "$1" "$to/$2.lent"
  mv "$to/$2" "$1" || die "$1 cannot be put back"
  grep -vxF "moved=$1|$to/$2" "$HOME_DIR/journal" >"$HOME_DIR/journal.part"
  mv "$HOME_DIR/journal.part" "$HOME_DIR/journal" || die "the journal cannot be written"
}
back() {
  f=$(token_file)
  [ -z "$f" ] || returned "$f" token-file
  f=$CONFIG.d/zz-requorum-token.yaml
  if [ -e "$HOME_DIR/$STAMP/zz-requorum-token.yaml" ]; then
    returned "$f" zz-requorum-token.yaml
  else
    aside "$f" "$HOME_DIR/$STAMP/zz-requorum-token.lent"
  fi
  [ "$(token_hash "$(token_value)")" = "$WANT" ] || die "its configuration does not hold the token of key $WANT"
  timeout 100 systemctl stop "$UNIT" || die "$UNIT cannot be stopped"
  timeout 20 systemctl start --no-block "$UNIT" || die "$UNIT cannot be started"
}
case $GO in
  look)
    k=$(post "$(gate)" /v3/kv/range '{"key":"L2Jvb3RzdHJhcC8=","range_end":"L2Jvb3RzdHJhcDA=","keys_only":true}') || die "etcd does not answer"
    printf 'keys=%s\n' "$(printf '%s' "$k" | tr -d '\n')"
    ;;
  ask) ask ;;
  back) back ;;
esac
