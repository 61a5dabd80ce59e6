# Takes the finished transient unit and its configuration away.
systemctl stop requorum-reset >/dev/null 2>&1
systemctl reset-failed requorum-reset >/dev/null 2>&1
rm -f /run/requorum/reset.yaml /run/requorum/reset.yaml.d/*.yaml
true
