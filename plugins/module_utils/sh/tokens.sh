# Every token of this host and the names of the bootstrap keys in its datastore. Tokens stay here: their hashes travel.
# Set by the caller: NAMED (a file with a token besides, or empty).
# Output: "idle=PATH" of a drop-in that is needed no more, "token=HASH FORM USER CA PLACE" (form full|short, CA the hash in it or -), "in-force=HASH SOURCE", "authority=BASE64"
# of what /cacerts serves, "node=NAME", "unit=STATE", "agent=STATE", "said=LINE", "keys=JSON" of the gateway, else "db=PATH", "cred=PATH" and
# "at=OFFSET:KEY" for bootstrap keys and for Rancher's Secret;
# where the API answers: "password=NODE HASH" (as stored: salted scrypt).
find_distro || die "neither rke2 nor k3s is installed here"

# found PLACE TOKEN
found() {
  [ -n "$2" ] || return 0
  form=short ca=- user=- t=$2
  case $t in
    K10*::*)
      form=full ca=${t#K10}
      ca=${ca%%::*}
      t=${t#*::}
      case $t in *:*) user=${t%%:*} ;; esac
      ;;
  esac
  printf 'token=%s %s %s %s %s\n' "$(token_hash "$2")" "$form" "$user" "$ca" "$1"
}

# one KEY: its value in the file $one
one() {
  # shellcheck disable=SC2317
  config_files() { printf '%s\n' "$one"; }
  file_value "$1"
}

# The file that /cacerts serves. Which of its certificates a token holds the hash of is found on the controller.
authority() {
  f=$TLS/server-ca.crt
  [ -f "$f" ] || f=$DATA/agent/server-ca.crt
  [ -f "$f" ] && printf 'authority=%s\n' "$(base64 <"$f" | tr -d '\n')"
  true
}

n=$(config_value node-name)
printf 'node=%s\n' "${n:-$(cat /proc/sys/kernel/hostname)}"
printf 'unit=%s\nagent=%s\n' "$(systemctl show "$UNIT" -p ActiveState --value)" "$(systemctl show "$AGENT" -p ActiveState --value)"
v=$(token_value)
[ -n "$v" ] && printf 'in-force=%s %s\n' "$(token_hash "$v")" "$(token_source)"
authority
f=$CONFIG.d/zz-requorum-token.yaml
[ -f "$f" ] && idle "$f" && printf 'idle=%s\n' "$f"
files=$(config_files)
for one in $files; do
  found "$one: token" "$(one token)"
  found "$one: agent-token" "$(one agent-token)"
done
found "command line: token" "$(flag_value token t)"
for key in token-file agent-token-file; do
  f=$(config_value $key)
  [ -n "$f" ] && [ -f "$f" ] && found "$f" "$(head -n 1 "$f")"
done
name=$(token_variable)
for u in "$AGENT" "$UNIT"; do
  OWN=$u
  found "environment of $u: $name" "$(env_value "$name")"
done
[ -n "$NAMED" ] && [ -f "$NAMED" ] && found "$NAMED" "$(head -n 1 "$NAMED")"
[ -f "$SERVER/token" ] && found "$SERVER/token" "$(head -n 1 "$SERVER/token")"
[ -f "$SERVER/agent-token" ] && [ ! -L "$SERVER/agent-token" ] && found "$SERVER/agent-token" "$(head -n 1 "$SERVER/agent-token")"
[ -f "$SERVER/cred/passwd" ] && found "$SERVER/cred/passwd" "$(sed -n 's/^\([^,]*\),server,.*/\1/p' "$SERVER/cred/passwd" | head -n 1)"
[ -d "$SERVER" ] || exit 0

timeout 5 journalctl -u "$UNIT" -n 400 -o cat --no-pager 2>/dev/null |
  grep -E 'encrypted with different token|newer than datastore' | tail -n 1 | cut -c 1-300 | sed 's/^/said=/'
# From "/bootstrap/" to the first key behind all of its kind.
keys='' code=0
if no_leader; then
  code=28
elif [ -f "$TLS/etcd/client.crt" ] && etcd_runs; then
  keys=$(WAIT=4 post "$(gate)" /v3/kv/range '{"key":"L2Jvb3RzdHJhcC8=","range_end":"L2Jvb3RzdHJhcDA=","keys_only":true}' 2>/dev/null)
  code=$?
fi
case $keys in
  *'"header"'*) printf 'keys=%s\n' "$(printf '%s' "$keys" | tr -d '\n')" ;;
  *)
    printf 'db=%s\ncred=%s\n' "$DB/etcd/member/snap/db" "$SERVER/cred"
    for k in '/bootstrap/[0-9a-f]\{12\}' /registry/secrets/fleet-local/local-rke-state; do
      grep -abo "$k" "$DB/etcd/member/snap/db" 2>/dev/null | sed 's/^/at=/' | tail -n 200
    done
    ;;
esac
# One question tells whether the API answers at all; where it hangs, nothing more is asked, and nothing at all where its own
# etcd has no leader or hung over a key until its deadline (28: curl's, 124: timeout's): the API would hang for longer.
if [ "$code" -ne 28 ] && [ "$code" -ne 124 ] && [ -f "$SERVER/cred/admin.kubeconfig" ] && etcd_runs &&
  p=$(WAIT=6 kube -n kube-system get secrets --field-selector "type=$DISTRO.cattle.io/node-password" \
    -o 'jsonpath={range .items[*]}{.metadata.name}{" "}{.data.hash}{"\n"}{end}' 2>/dev/null); then
  printf '%s\n' "$p" | while read -r s h; do
    [ -z "$h" ] || printf 'password=%s %s\n' "${s%".node-password.$DISTRO"}" "$(printf '%s' "$h" | base64 -d 2>/dev/null)"
  done
  # What Rancher keeps of a cluster that it made, Harvester's own among them.
  for key in serverToken agentToken; do
    found "Secret fleet-local/local-rke-state: $key" \
      "$(WAIT=4 kube -n fleet-local get secret local-rke-state -o "jsonpath={.data.$key}" 2>/dev/null | base64 -d 2>/dev/null)"
  done
fi
true
