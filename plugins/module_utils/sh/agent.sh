# One agent. Set by the caller: DO (look|point|pin|unlist|restart), STAMP, for point URL, for pin PIN.
# look: how it holds on to its cluster, as seen through its own connections, changing nothing. Output: "key=value" lines.
# The others: "moved=FROM|TO" and "kept=FROM|TO" lines; restart: "since=.." by this host's clock.
SIDE=agent
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
fit() { tail -n 1 | cut -c 1-"$1"; }
aside() {
  [ -e "$1" ] || return 0
  mkdir -p "$HOME_DIR/$STAMP" && mv "$1" "$HOME_DIR/$STAMP/${1##*/}" || die "$1 cannot be moved aside"
  told journal-closed "moved=$1|$HOME_DIR/$STAMP/${1##*/}"
}
# put FILE: stdin becomes the file, at once or not at all; what it was is kept.
put() {
  mkdir -p "${1%/*}" "$HOME_DIR/$STAMP" || die "${1%/*} cannot be made"
  if [ -e "$1" ]; then
    cp -p "$1" "$HOME_DIR/$STAMP/${1##*/}" || die "$1 cannot be kept"
    printf 'kept=%s|%s\n' "$1" "$HOME_DIR/$STAMP/${1##*/}"
  fi
  cat >"$1.part" && mv "$1.part" "$1" || die "$1 cannot be written"
}
# from NAME SHORT VARIABLE: which place decides a setting: flag, file, env or nothing.
from() {
  if [ -n "$(flag_value "$1" "$2")" ]; then echo flag
  elif [ -n "$(file_value "$1")" ]; then echo file
  elif [ -n "$(env_value "$3")" ]; then echo env; fi
}
upper=RKE2
[ "$DISTRO" = k3s ] && upper=K3S
lists() { for f in "$DATA"/agent/etc/*load-balancer.json; do [ -f "$f" ] && printf '%s\n' "$f"; done; true; }
me() { kubectl 3 --kubeconfig "$DATA/agent/kubelet.kubeconfig" --request-timeout 2s "$@" 2>/dev/null; }

look() {
  n=$(config_value node-name)
  n=${n:-$(cat /proc/sys/kernel/hostname)}
  printf 'node=%s\nclock=%s\n' "$n" "$(date +%s)"
  systemctl show "$AGENT" -p ActiveState -p KillMode | sed -e 's/^ActiveState=/unit=/' -e 's/^KillMode=/kill=/'
  # In one call: each start of kubectl costs as much as all else here.
  me -n kube-node-lease get "node/$n" "lease/$n" -o 'jsonpath={range .items[*]}{.kind} {.status.conditions[?(@.type=="Ready")].status}{.spec.renewTime}{"\n"}{end}' |
    sed -n -e 's/^Node /ready=/p' -e 's/^Lease /renewed=/p' | cut -c 1-120
  timeout 5 journalctl -u "$AGENT" -n 20 -o cat --no-pager 2>/dev/null | tail -n 3 | grep -q 'password rejected' && echo 'refused=yes'
  u=$(config_value server s)
  u=${u:-$(env_value "${upper}_URL")}
  u=${u%/}
  printf 'server=%s\nserver_from=%s\n' "$u" "$(from server s "${upper}_URL")"
  if [ -n "$u" ]; then
    printf 'ping=%s\n' "$(WAIT=2 get "$u/ping" 2>/dev/null | fit 20)"
    c=$(WAIT=2 get "$u/cacerts" 2>/dev/null | sha256sum | cut -d ' ' -f 1)
    [ "$c" = "$(printf '' | sha256sum | cut -d ' ' -f 1)" ] || printf 'served=%s\n' "$c"
  fi
  t=$(token_value)
  printf 'pin=%s\ntoken_from=%s\n' "$(token_pin "$t")" "$(from token t "${upper}_TOKEN")"
  # abcdef.0123456789abcdef is a bootstrap token, which only the API knows
  case ${t##*:} in '' | ??????.????????????????) ;; *) printf 'token=%s\n' "$(token_hash "$t")" ;; esac
  lists | while IFS= read -r f; do printf 'list=%s|%s\n' "$f" "$(head -c 20000 "$f" | tr -d '\n')"; done
}

case $DO in
  look) look ;;
  point)
    [ "$(WAIT=5 get "$URL/ping" 2>/dev/null)" = pong ] || die "$URL does not answer from here"
    printf 'server: %s\n' "$URL" | put "$CONFIG.d/zz-requorum-server.yaml"
    ;;
  pin)
    t=$(token_value)
    [ -n "$(token_pin "$t")" ] || die "its token has no CA hash"
    t="K10$PIN::${t#*::}"
    if [ -n "$(file_value token-file)" ] && [ -z "$(file_value token)" ]; then
      printf '%s\n' "$t" | put "$HOME_DIR/agent-token"
      printf 'token-file: %s\n' "$HOME_DIR/agent-token" | put "$CONFIG.d/zz-requorum-token.yaml"
    else
      printf "token: '%s'\n" "$(printf '%s' "$t" | sed "s/'/''/g")" | put "$CONFIG.d/zz-requorum-token.yaml"
    fi
    ;;
  unlist) lists | while IFS= read -r f; do aside "$f"; done ;;
  restart)
    echo "since=$(date +%s)"
    systemctl reset-failed "$AGENT" >/dev/null 2>&1
    timeout 20 systemctl restart --no-block "$AGENT" || die "$AGENT cannot be restarted"
    ;;
esac
true
