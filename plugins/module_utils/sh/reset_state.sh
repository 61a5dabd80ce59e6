# What the transient unit of the reset says. Output: properties of the unit, "old=PATH" of moved data, "store=present" where
# there is a datastore, "said=yes" after its success line, which is printed at level error by newer versions, "log=LINE".
# Set by the caller: AWAIT=over, to wait here for two seconds until it has ended.
find_distro || die "neither rke2 nor k3s is installed here"
over() { case $(systemctl show requorum-reset -p SubState --value) in exited | dead | failed) true ;; *) false ;; esac; }
[ -z "${AWAIT:-}" ] || wait_for 2 "$AWAIT"
systemctl show requorum-reset -p ActiveState -p SubState -p Result -p ExecMainStatus -p InvocationID
id=$(systemctl show requorum-reset -p InvocationID --value)
for d in "$DB"/etcd-old-* "$SERVER"/tls-[0-9]*; do [ -e "$d" ] && printf 'old=%s\n' "$d"; done
[ -f "$DB/reset-flag" ] && echo 'flag=present'
[ -d "$DB/etcd" ] && echo 'store=present'
# shellcheck disable=SC2086
timeout 5 journalctl ${id:+_SYSTEMD_INVOCATION_ID=$id} -u requorum-reset -o cat --no-pager 2>/dev/null |
  grep -q 'restart without --cluster-reset flag now' && echo 'said=yes'
# shellcheck disable=SC2086
timeout 5 journalctl ${id:+_SYSTEMD_INVOCATION_ID=$id} -u requorum-reset -o cat --no-pager -n 200 2>/dev/null |
  grep -v '^{' | cut -c 1-400 | tail -n 6 | sed 's/^/log=/'
