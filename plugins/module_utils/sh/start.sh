# Starts the server without waiting. Set by the caller: STAMP, ROLE (alone|member|join); for join URL, TLS_ASIDE
# (yes|no), REPLACED (cluster ID that ends on this host, or empty).
# alone: the survivor after a reset, which must not ask another server. stdin (join): the token, when this host has none.
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
mkdir -p "$HOME_DIR/$STAMP" "$CONFIG.d" || die "$CONFIG.d cannot be made"
note() { printf '%s\n' "$1" >>"$HOME_DIR/journal"; }
aside() {
  [ -e "$1" ] || return 0
  mv "$1" "$2" || die "$1 cannot be moved aside"
  note "moved=$1|$2"
  printf 'moved=%s|%s\n' "$1" "$2"
}
dropin=$CONFIG.d/zz-requorum.yaml
# A --server on the unit's command line wins over every file; one more behind it wins over that.
overrule() {
  [ -n "$(flag_value server s)" ] || return 0
  d=/etc/systemd/system/$UNIT.service.d
  mkdir -p "$d" && printf '[Service]\nExecStart=\nExecStart=%s server %s --server=%s\n' "$BIN" "$(printf '%s' "$ARGS" | tr '\n' ' ')" "$1" \
    >"$d/zz-requorum.conf" && systemctl daemon-reload || die "$d/zz-requorum.conf cannot be written"
}
case $ROLE in
  alone)
    [ -n "$(file_value server)$(env_value "$(url_variable)")" ] && { printf 'server: ""\n' >"$dropin" || die "$dropin cannot be written"; }
    overrule ""
    ;;
  join)
    etcd_runs && die "etcd still runs here"
    free=$(room "$DB")
    [ "${free% *}" -ge 131072 ] || die "${free#* } has only ${free% *} kB free, and a new etcd takes 131072 for its log alone: make room there"
    aside "$DB/etcd" "$DB/etcd-requorum-$STAMP"
    aside "$DB/reset-flag" "$HOME_DIR/$STAMP/reset-flag"
    if [ "$TLS_ASIDE" = yes ]; then
      aside "$TLS" "$SERVER/tls-requorum-$STAMP"
      aside "$SERVER/cred" "$SERVER/cred-requorum-$STAMP"
    fi
    for f in "$DATA"/agent/etc/*load-balancer.json; do aside "$f" "$HOME_DIR/$STAMP/${f##*/}"; done
    [ -n "$REPLACED" ] && note "replaced=$REPLACED"
    token=$(cat)
    {
      printf 'server: %s\n' "$URL"
      [ "$DISTRO" = k3s ] && printf 'cluster-init: false\n'
      [ -n "$token" ] && printf "token: '%s'\n" "$(printf '%s' "$token" | sed "s/'/''/g")"
      true
    } >"$dropin.part" && mv "$dropin.part" "$dropin" || die "$dropin cannot be written"
    overrule "$URL"
    ;;
esac
[ ! -f "$dropin" ] || relabel "$dropin"
systemctl reset-failed "$UNIT" >/dev/null 2>&1
timeout 20 systemctl start --no-block "$UNIT" || die "$UNIT cannot be started"
printf 'unit=%s\n' "$(systemctl show "$UNIT" -p ActiveState --value)"
