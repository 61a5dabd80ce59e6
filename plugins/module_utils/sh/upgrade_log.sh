# The end of the log of an upgrade's job on this node; changes nothing. Set by the caller: JOB (namespace_, then how the names of its pods begin).
# Output: the file, then its last lines; nothing where no pod of it was here.
# shellcheck disable=SC2012  # the kubelet's names have no blanks
f=$(ls -t /var/log/pods/"$JOB"*/*/*.log 2>/dev/null | head -n 1)
[ -n "$f" ] || exit 0
printf '%s\n' "$f"
tail -n 60 "$f" | cut -c 1-500
