# Does the Node of this agent report, as seen through the agent's own connection? Set by the caller: RESTART (yes|no).
# Output: "unit=..", "node=..", "ready=True|..", "renewed=..", "clock=..", "refused=yes" when its node password is not accepted.
find_distro || die "neither rke2 nor k3s is installed here"
if [ "$RESTART" = yes ]; then
  timeout 20 systemctl restart --no-block "$AGENT" || die "$AGENT cannot be restarted"
fi
n=$(config_value node-name)
n=${n:-$(cat /proc/sys/kernel/hostname)}
me() { kubectl 3 --kubeconfig "$DATA/agent/kubelet.kubeconfig" --request-timeout 2s "$@" 2>/dev/null; }
printf 'unit=%s\nnode=%s\nclock=%s\n' "$(systemctl show "$AGENT" -p ActiveState --value)" "$n" "$(date +%s)"
printf 'ready=%s\n' "$(me get node "$n" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | tail -n 1 | cut -c 1-120)"
printf 'renewed=%s\n' "$(me -n kube-node-lease get lease "$n" -o 'jsonpath={.spec.renewTime}' | tail -n 1 | cut -c 1-120)"
timeout 5 journalctl -u "$AGENT" -n 20 -o cat --no-pager 2>/dev/null | tail -n 3 | grep -q 'password rejected' && echo 'refused=yes'
true
