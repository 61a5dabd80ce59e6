# Packs what a snapshot needs beside it: token in force, certificates, credentials, configuration, node password; of a
# Harvester also what its installer wrote, and which disks and networks it has.
# Set by the caller: STAMP, NAMED (a file with a token besides, or empty), SIDE (server|agent). Output: "path=..", "bytes=..",
# "without=.." where those of a Harvester could not be read.
find_distro || die "neither rke2 nor k3s is installed here"
umask 077
to=$HOME_DIR/$STAMP
mkdir -p "$to" || die "$to cannot be made"
token_value >"$to/token"
named=
if [ -n "$NAMED" ]; then
  mkdir -p "$to/named" && cp "$NAMED" "$to/named/token" || die "$NAMED, which requorum_token_file names, cannot be read"
  named=$to/named/token
fi
cd / || die "no root directory"
set --
for f in "$to/token" "$named" "$TLS" "$SERVER/cred" "$SERVER/token" "$DB/etcd/name" "$CONFIG" "$CONFIG.d" /etc/rancher/node/password; do
  [ -e "$f" ] && set -- "$@" "${f#/}"
done

# What a program of the host says, in a file of its own; nothing where there is none or it fails. told FILE COMMAND...
told() {
  file=$1
  shift
  said=$(timeout 10 "$@" 2>/dev/null) && printf '%s\n' "$said" >"$file"
}

more=
if [ -e /etc/harvester-release.yaml ]; then
  mkdir -p "$to/host" || die "$to/host cannot be made"
  told "$to/host/lsblk.json" lsblk -J -O
  for what in addr link route rule; do told "$to/host/ip-$what.txt" ip -d "$what"; done
  told "$to/host/efibootmgr.txt" efibootmgr -v
  told "$to/host/os-release" cat /etc/os-release # a link out of /etc
  for f in /oem /etc/rancher/rancherd /etc/rancher/agent /etc/rancher/rke2/* /etc/rancher/node/* "$SERVER/agent-token" \
    "$SERVER/node-token" /etc/harvester-release.yaml "$to/host"; do
    case $f in "$CONFIG" | "$CONFIG.d" | /etc/rancher/node/password) continue ;; esac
    [ -e "$f" ] && more="$more ${f#/}"
  done
fi
# A file of the installer that cannot be read must not cost a recovery.
# shellcheck disable=SC2086  # one word for each path
if ! tar -cf "$to/files.part" "$@" $more; then
  [ -n "$more" ] && printf 'without=%s\n' "$more"
  [ -n "$more" ] && tar -cf "$to/files.part" "$@" || undone "$to/files.part" "tar could not pack everything"
fi
mv "$to/files.part" "$to/files.tar"
printf 'path=%s\nbytes=%s\n' "$to/files.tar" "$(stat -c %s "$to/files.tar")"
