# Starts the reset as a transient unit, which has the service's own SELinux domain and survives a lost connection; a second
# run finds it. Set by the caller: STAMP, RESTORE (absolute path or empty), REPLACED (cluster ID that ends here), SECONDS_MAX,
# LEAST (revision that the new datastore must have, or empty).
# stdin: the token, where this host has none or another one.
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
note() { grep -qxF "$1" "$HOME_DIR/journal" 2>/dev/null || printf '%s\n' "$1" >>"$HOME_DIR/journal"; }
case $(systemctl show requorum-reset -p ActiveState -p SubState --value 2>/dev/null | paste -s -d ,) in
  *exited) systemctl stop requorum-reset >/dev/null 2>&1 ;; # of a run that was cut off: its end says nothing about this one
  active,* | activating,*)
    echo attached
    exit 0
    ;;
esac
etcd_runs && die "etcd still runs here; nothing is reset beside it"
if [ -z "$RESTORE" ]; then
  [ -s "$DB/etcd/member/snap/db" ] && [ -d "$DB/etcd/member/wal" ] || die "$DB/etcd holds no datastore: a reset would make an empty cluster"
fi

# Configuration of this one run: what is in force, without server and S3, with the token; root only, in memory.
conf=/run/requorum/reset.yaml
mkdir -p "$conf.d" || die "/run/requorum cannot be made"
rm -f "$conf" "$conf.d"/*.yaml
token=$(cat)
[ -n "$token" ] || token=$(token_value)
[ -n "$token" ] || die "no token is found here; a reset without it would fail after it replaced the datastore"
for f in $(config_files); do
  grep -qE '^[[:space:]]*[{]' "$f" && die "$f is written in braces; write one setting a line, then run this again"
  grep -vE '^[[:space:]]*(#|$)|^---' "$f" | head -n 1 | grep -q '^[[:space:]]' && die "$f is indented as a whole; take the indentation away"
done
strip() {
  awk '{ line = $0; sub(/^["'\'']/, "", line) }
    line ~ /^(server|token|token-file|cluster-init|log|alsologtostderr|etcd-s3[a-z0-9-]*)["'\'']?[[:space:]]*\+?:/ { skip = 1; next }
    /^[^[:space:]#-]/ { skip = 0 }
    !skip' "$1"
}
n=0
config_files | while IFS= read -r f; do
  n=$((n + 1))
  if [ "$f" = "$CONFIG" ]; then strip "$f" >"$conf"; else strip "$f" >"$conf.d/$(printf '%03d' $n).yaml"; fi
done
[ -f "$conf" ] || : >"$conf"
quoted=$(printf '%s' "$token" | sed "s/'/''/g")
printf "token: '%s'\netcd-s3: false\n" "$quoted" >"$conf.d/zz-requorum.yaml"
[ "$DATA" = "/var/lib/rancher/$DISTRO" ] || printf 'data-dir: %s\n' "$DATA" >>"$conf.d/zz-requorum.yaml"
grep -qE '^["'\'']?server["'\'']?[[:space:]]*:' "$conf" "$conf.d"/*.yaml && die "server: could not be taken out of the configuration"

relabel /run/requorum
[ -z "$RESTORE" ] || relabel "$RESTORE"

[ -f "$DB/reset-flag" ] && { mv "$DB/reset-flag" "$HOME_DIR/$STAMP/reset-flag" || die "the old reset-flag cannot be moved aside"; }
if [ -f "$DB/etcd/tombstone" ]; then
  mv "$DB/etcd/tombstone" "$HOME_DIR/$STAMP/tombstone" || die "the tombstone cannot be moved aside"
fi
grep -q '^resetting=' "$HOME_DIR/journal" 2>/dev/null || note "resetting=$(date +%s)"
[ -n "$REPLACED" ] && note "replaced=$REPLACED"
[ -n "$LEAST" ] && printf 'least=%s\n' "$LEAST" >>"$HOME_DIR/journal"
if [ -z "$RESTORE" ]; then
  cp -a "$DB/etcd" "$DB/etcd-requorum-$STAMP" || die "the datastore cannot be copied"
  note "moved=$DB/etcd|$DB/etcd-requorum-$STAMP"
fi
systemctl reset-failed requorum-reset >/dev/null 2>&1
# Settings on the unit's command line hold for this run too, except those that a reset must not have.
set -- "$BIN" server
skip=no
for word in $ARGS; do
  case $word in
    -s | -t | -c | -l | --server | --token | --agent-token | --token-file | --config | --log) skip=yes ;;
    --server=* | --token=* | --agent-token=* | --token-file=* | --config=* | --log=* | --alsologtostderr* | --cluster-init*) skip=no ;;
    --etcd-s3*) case $word in *=*) skip=no ;; *) skip=yes ;; esac ;;
    *)
      case $word in -*) skip=no ;; esac
      [ $skip = no ] && set -- "$@" "$word"
      skip=no
      ;;
  esac
done
set -- "$@" "--config=$conf" --cluster-reset
[ -n "$RESTORE" ] && set -- "$@" "--cluster-reset-restore-path=$RESTORE"
systemd-run --unit=requorum-reset --remain-after-exit --property=Type=exec --property=KillMode=mixed \
  --property="RuntimeMaxSec=${SECONDS_MAX:-900}" --property=TimeoutStopSec=30 "$@" || die "systemd-run did not start the reset"
echo started
