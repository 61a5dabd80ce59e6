# A short look at a server while it starts. Output: blocks like info.sh, only what a wait needs.
# Set by the caller: READYZ=yes where its API counts, as it does with AWAIT=readyz; AWAIT=pings|readyz, for which
# it waits here for two seconds.
find_distro || die "neither rke2 nor k3s is installed here"
ping() { WAIT=2 get "https://127.0.0.1:$PORT/ping" 2>/dev/null | head -n 1; }
pings() { [ "$(ping)" = pong ]; }
[ -z "${AWAIT:-}" ] || WAIT=3 wait_for 2 "$AWAIT"
unit() { timeout 5 systemctl show "$UNIT" -p ActiveState -p SubState -p NRestarts -p Result; }
printf '@@ unit 0\n'
unit | sed 's/^/ /'
p=$(ping)
printf '@@ ping 0\n %s\n' "$p"
[ "${AWAIT:-}" = pings ] && [ "$p" = pong ] && exit 0 # an etcd that starts lets every question hang
printf '@@ health 0\n %s\n' "$(WAIT=2 get "http://127.0.0.1:2381/health?exclude=NOSPACE" 2>/dev/null | head -n 1)"
if [ -f "$TLS/etcd/client.crt" ]; then
  printf '@@ status 0\n %s\n' "$(WAIT=2 status 2>/dev/null)"
  printf '@@ members 0\n %s\n' "$(WAIT=2 post "$(gate)" /v3/cluster/member/list '{}' 2>/dev/null)"
fi
case ${READYZ:-}${AWAIT:-} in yes* | readyz) printf '@@ readyz 0\n %s\n' "$(WAIT=3 readyz 2>&1 | tail -n 1)" ;; esac
true
