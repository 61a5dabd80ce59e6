# Answers requests about FILE, each with one line of base64 words; the calls follow below this text. A disk that fails ends it.
[ -f "$FILE" ] || die 'it is no file'

# part FILE OFFSET SIZE: bytes of a file; what dd has to say is an error.
part() {
  { e=$({ dd if="$1" bs=65536 iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none 2>&3 | base64 | tr -d '\n' >&4; } 3>&1); } 4>&1
  [ -z "$e" ] || die "$e"
  printf ' '
}

range() { part "$FILE" "$1" "$2"; echo; }

# words FILE OFFSET SIZE FORMAT: numbers in the file.
words() { od -An -v "-t$4" -w16 -j "$2" -N "$3" "$1" || die 'it cannot be read'; }

# tree PAGE SIZE LAST: the page, the pages below it level by level, with LAST = 1 only the last one of each; 16 at most.
# Every page comes with its overflow pages. What is damaged ends the walk: who reads the answer sees that.
tree() {
  q=$1 s=$2 k=$3 i=0 b=$(stat -c %s "$FILE")
  while [ -n "$q" ] && [ "$i" -lt 16 ]; do
    p=${q%% *} i=$((i + 1))
    q=${q#"$p"}
    q=${q# }
    [ "$p" -lt $((b / s)) ] 2>/dev/null || break
    w=$(words "$FILE" $((p * s + 8)) 8 u2) || exit 1
    # shellcheck disable=SC2086
    set -- $w
    o=$(($3 + $4 * 65536))
    [ $((o * s)) -le 8388608 ] || o=0
    part "$FILE" $((p * s)) $(((1 + o) * s))
    [ "$1" = 1 ] && [ "$2" -gt 0 ] || continue
    f=$((16 + 16 * ($2 - 1) * k))
    c=$(words "$FILE" $((p * s + f)) $((16 * ($2 - ($2 - 1) * k))) u8) || exit 1
    c=$(printf '%s\n' "$c" | awk '{ printf "%s%s", n++ ? " " : "", $2 }')
    q=${q:+$q }$c
  done
  echo
}

# Whether something else than zeros follows: data PATH OFFSET [COUNT]. What cannot be read counts as something.
data() { [ "$(dd if="$1" bs=4096 skip="$2" ${3:+count="$3"} status=none 2>&1 | tr -d '\0' | head -c 1 | wc -c)" -gt 0 ]; }

# end PATH WINDOW: a line "END SIZE REST" and the bytes before END, where the zeros begin that a WAL segment is filled up
# with (in pages of 4096), or the file ends; REST is 1 when something stands behind that place all the same.
end() {
  [ -f "$1" ] || { echo; return; }
  s=$(stat -c %s "$1") l=0 r=0
  h=$(((s + 4095) / 4096))
  while [ "$l" -lt "$h" ]; do
    m=$(((l + h) / 2))
    if data "$1" "$m" 1; then l=$((m + 1)); else h=$m; fi
  done
  data "$1" "$l" && r=1
  f=$((l * 4096 > $2 ? l * 4096 - $2 : 0))
  l=$((l * 4096 < s ? l * 4096 : s))
  printf '%s %s %s\n' "$l" "$s" "$r" | base64 | tr '\n' ' '
  part "$1" "$f" $((l - f))
  echo
}
