# Log lines that explain why a wait did not end.
find_distro || die "neither rke2 nor k3s is installed here"
f=$(full)
[ -z "$f" ] || printf '%s\n' "${f#; }"
timeout 5 journalctl -u "$UNIT" -u "$AGENT" -n 200 -o cat --no-pager 2>/dev/null |
  grep -E 'level=(warning|error|fatal)|Waiting|Failed|failed' | grep -vE '^([{]|[IWE][0-9]{4} )' | cut -c 1-240 | tail -n 5
true
