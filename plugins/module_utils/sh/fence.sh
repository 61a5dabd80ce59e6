# Takes etcd and kube-apiserver away and nothing else: pods and virtual machines on this host go on running.
# Order and reasons: facts of real servers; a kubelet that is not frozen makes the static pods anew within 5 s.
# Set by the caller: STAMP. Output: "enabled=..", "moved=FROM|TO", then what is left: "left=PID NAME", "port=NUMBER".
find_distro || die "neither rke2 nor k3s is installed here"
mkdir -p "$HOME_DIR" && chmod 700 "$HOME_DIR" || die "$HOME_DIR cannot be made"
note() { printf '%s\n' "$1" >>"$HOME_DIR/journal"; }

state=$(systemctl show "$UNIT" -p UnitFileState --value)
grep -q '^enabled=' "$HOME_DIR/journal" 2>/dev/null || note "enabled=$state"
[ "$state" = enabled ] && { timeout 30 systemctl disable "$UNIT" >/dev/null 2>&1 || die "$UNIT cannot be disabled"; }
printf 'enabled=%s\n' "$(sed -n 's/^enabled=//p' "$HOME_DIR/journal")"
# Rancher's agent would carry an old plan out in the middle of this.
if [ "$(systemctl show rancher-system-agent -p LoadState --value)" = loaded ]; then
  grep -q '^braked=' "$HOME_DIR/journal" ||
    note "braked=$(systemctl show rancher-system-agent -p UnitFileState -p ActiveState --value | paste -s -d ,)"
  timeout 30 systemctl disable --now rancher-system-agent >/dev/null 2>&1 || die "rancher-system-agent cannot be stopped"
fi

for p in $(pids_of kubelet); do kill -STOP "$p"; done
for c in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  f=$DATA/agent/pod-manifests/$c.yaml
  if [ -f "$f" ]; then
    aside=$HOME_DIR/$STAMP/pod-manifests
    mkdir -p "$aside" && mv "$f" "$aside/" || die "$f cannot be moved aside"
    note "moved=$f|$aside/$c.yaml"
    printf 'moved=%s|%s\n' "$f" "$aside/$c.yaml"
  fi
done
if [ -x "$DATA/bin/crictl" ]; then
  CONTAINER_RUNTIME_ENDPOINT=unix:///run/k3s/containerd/containerd.sock
  export CONTAINER_RUNTIME_ENDPOINT
  for c in etcd kube-apiserver; do
    for p in $(timeout 10 "$DATA/bin/crictl" pods -q --label "component=$c,tier=control-plane" 2>/dev/null); do
      timeout 20 "$DATA/bin/crictl" rmp -f "$p" >/dev/null 2>&1
    done
  done
fi

# Without a quorum a stop hangs, 7 s or minutes, and nothing that counts is written any more: the main process is killed then,
# at once where its etcd knows that it has no leader.
{ ! no_leader && timeout 2 systemctl stop "$UNIT" >/dev/null 2>&1; } || {
  systemctl kill -s KILL --kill-who=main "$UNIT" >/dev/null 2>&1
  timeout 10 systemctl stop "$UNIT" >/dev/null 2>&1
}
for p in $(pids_of kubelet); do kill -KILL "$p" 2>/dev/null; done

# What is left is killed by its tree: the shim first, which only holds this one pod.
for p in $(pids_of etcd kube-apiserver); do
  l=
  read -r l 2>/dev/null <"/proc/$p/stat" || continue
  r=${l##*) }
  # shellcheck disable=SC2086
  set -- $r
  shim=
  read -r shim 2>/dev/null <"/proc/$2/comm"
  case $shim in
    containerd-shim*)
      for c in /proc/[0-9]*; do
        l=
        read -r l 2>/dev/null <"$c/stat" || continue
        r=${l##*) }
        case $r in "${r%% *} $2 "*) kill -KILL "${c#/proc/}" 2>/dev/null ;; esac
      done
      kill -KILL "$2" 2>/dev/null
      ;;
  esac
  kill -KILL "$p" 2>/dev/null
done

left() {
  for c in etcd kube-apiserver kubelet; do
    for p in $(pids_of $c); do printf 'left=%s %s\n' "$p" "$c"; done
  done
  for port in 2379 2380 2381 "$PORT"; do
    listens "$port" && printf 'port=%s\n' "$port"
  done
}
gone() { [ -z "$(left)" ]; }
wait_for 3 gone # what was killed may hold its ports for a moment
# By this a rollback knows the datastore again.
if [ -d "$DB/etcd/member" ] && ! etcd_runs && ! grep -q "^store=$STAMP " "$HOME_DIR/journal"; then
  sum=$(store_sum "$DB/etcd") && note "store=$STAMP $sum"
fi
left
printf 'unit=%s\n' "$(systemctl show "$UNIT" -p ActiveState --value)"
