# A short look at a server while it starts. Output: blocks like info.sh, only what a wait needs.
find_distro || die "neither rke2 nor k3s is installed here"
unit() { timeout 5 systemctl show "$UNIT" -p ActiveState -p SubState -p NRestarts -p Result; }
printf '@@ unit 0\n'
unit | sed 's/^/ /'
printf '@@ ping 0\n %s\n' "$(WAIT=2 get "https://127.0.0.1:$PORT/ping" 2>/dev/null | head -n 1)"
printf '@@ health 0\n %s\n' "$(WAIT=2 get "http://127.0.0.1:2381/health?exclude=NOSPACE" 2>/dev/null | head -n 1)"
if [ -f "$TLS/etcd/client.crt" ]; then
  printf '@@ status 0\n %s\n' "$(WAIT=2 post "$(gate)" /v3/maintenance/status '{}' 2>/dev/null)"
  printf '@@ members 0\n %s\n' "$(WAIT=2 post "$(gate)" /v3/cluster/member/list '{}' 2>/dev/null)"
fi
[ "${READYZ:-no}" = yes ] && printf '@@ readyz 0\n %s\n' "$(WAIT=3 kube get --raw /readyz 2>&1 | tail -n 1)"
true
