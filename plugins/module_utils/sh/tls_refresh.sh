# An agent fetches its certificates at every start. Set by the caller: RESTART (yes|no).
# Output: "unit=..", "run=.." (another one after a restart).
find_distro || die "neither rke2 nor k3s is installed here"
if [ "$RESTART" = yes ]; then timeout 20 systemctl restart --no-block "$AGENT" || die "$AGENT cannot be restarted"; fi
printf 'unit=%s\nrun=%s\n' "$(systemctl show "$AGENT" -p ActiveState --value)" "$(systemctl show "$AGENT" -p InvocationID --value)"
