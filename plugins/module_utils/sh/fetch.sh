# Asks a web server from this node and writes nothing to its disk. Set by the caller: URL, HOW (text: what stands there; size: how
# large it is; hash: its SHA-512), WITHIN (seconds). stdin: proxies for http and https, and what needs none, a line each.
# Output: body=BASE64 | bytes=N | sha512=HEX.
command -v curl >/dev/null 2>&1 || die "curl is not installed here"
read -r http_proxy || true
read -r https_proxy || true
read -r no_proxy || true
export http_proxy https_proxy no_proxy
ask() { curl -fsSL --connect-timeout 4 --max-time "$WITHIN" "$@" -- "$URL"; }
# refused TEXT: the last line of curl's own complaint, without its number
refused() { die "$(printf '%s\n' "$1" | tail -n 1 | sed 's/^curl: ([0-9]*) //')"; }
case $HOW in
text)
  got=$(ask --max-filesize 65536 2>&1) || refused "$got"
  printf 'body=%s\n' "$(printf '%s\n' "$got" | base64 | tr -d '\n')"
  ;;
size)
  # where HEAD is refused, the first byte tells it too
  got=$(ask -I 2>&1) || got=$(ask -r 0-0 -D - -o /dev/null 2>&1) || refused "$got"
  got=$(printf '%s\n' "$got" | tr -d '\r')
  n=$(printf '%s\n' "$got" | sed -n 's|^[Cc]ontent-[Rr]ange: bytes [0-9-]*/||p' | tail -n 1)
  [ -n "$n" ] || n=$(printf '%s\n' "$got" | sed -n 's/^[Cc]ontent-[Ll]ength: *//p' | tail -n 1)
  printf 'bytes=%s\n' "$n"
  ;;
hash)
  exec 4>&1
  rc=$({ { ask 2>/dev/null; printf %s $? >&3; } | sha512sum | sed 's/ .*//; s/^/sha512=/' >&4; } 3>&1)
  [ "$rc" = 0 ] || die "the download broke off (curl: $rc)"
  ;;
esac
