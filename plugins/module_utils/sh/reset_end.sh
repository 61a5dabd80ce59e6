# Takes the finished transient unit and its configuration away, journals what the reset has moved aside. Set by the caller: STAMP.
# Output: "full=.." where a disk is full.
find_distro || die "neither rke2 nor k3s is installed here"
systemctl stop requorum-reset >/dev/null 2>&1
systemctl reset-failed requorum-reset >/dev/null 2>&1
rm -f /run/requorum/reset.yaml /run/requorum/reset.yaml.d/*.yaml
note_resets "$STAMP"
printf 'full=%s\n' "$(full)"
