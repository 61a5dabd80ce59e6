# What this node has of snapshots, judged as far as a shell can: "file=BYTES MTIME PATH", then of that file
# "trailer=right|wrong|absent" and "bootstrap=NAME" for each name of a bootstrap key that occurs in it.
# Names of deleted keys may be among them: a token that is missing here does not open it, one that is found may.
find_distro || die "neither rke2 nor k3s is installed here"
d=$(config_value etcd-snapshot-dir)
for f in "${d:-$DB/snapshots}"/* "$HOME_DIR"/*/snapshot.db; do
  [ -f "$f" ] || continue
  size=$(stat -c %s "$f")
  printf 'file=%s %s %s\n' "$size" "$(stat -c %Y "$f")" "$f"
  case $f in *.zip | *.part) continue ;; esac
  if [ $((size % 512)) -ne 32 ]; then
    echo 'trailer=absent'
    continue
  fi
  sum=$(head -c $((size - 32)) "$f" | sha256sum)
  end=$(tail -c 32 "$f" | od -An -v -tx1 | tr -d ' \n')
  if [ "${sum%% *}" = "$end" ]; then echo 'trailer=right'; else echo 'trailer=wrong'; fi
  grep -a -o '/bootstrap/[0-9a-f]\{12\}' "$f" | sort -u | sed 's,.*/,bootstrap=,'
done
true
