# Puts the token that opens the datastore where this server takes it from, and moves what the old one left behind aside.
# Set by the caller: STAMP. stdin: the token. Output: "moved=FROM|TO", "placed=PATH", "already=yes".
find_distro || die "neither rke2 nor k3s is installed here"
case $(systemctl show "$UNIT" -p ActiveState --value) in active | activating | reloading | deactivating) die "$UNIT still runs here" ;; esac
umask 077
to=$HOME_DIR/$STAMP
mkdir -p "$to" "$CONFIG.d" || die "$to cannot be made"
token=$(cat)
[ -n "$token" ] || die "no token came"
want=$(token_hash "$(printf '%s' "$token")")
aside() {
  [ -e "$1" ] || return 0
  mv "$1" "$2" || die "$1 cannot be moved aside"
  told journal "moved=$1|$2"
}
if [ "$(token_hash "$(token_value)")" = "$want" ]; then
  echo already=yes
else
  case $(token_source) in
    flag) die "the token stands on the command line of $UNIT, which overrules every file: change it there" ;;
    file)
      f=$(token_file)
      aside "$f" "$to/token-file"
      printf '%s\n' "$token" >"$f.part" && mv "$f.part" "$f" || die "$f cannot be written"
      ;;
    *)
      f=$CONFIG.d/zz-requorum-token.yaml
      aside "$f" "$to/zz-requorum-token.yaml"
      printf "token: '%s'\n" "$(printf '%s' "$token" | sed "s/'/''/g")" >"$f.part" && mv "$f.part" "$f" || die "$f cannot be written"
      ;;
  esac
  relabel "$f"
  printf 'placed=%s\n' "$f"
fi
[ "$(token_hash "$(token_value)")" = "$want" ] || die "another setting still overrules the token"
passwd=$(sed -n 's/^\([^,]*\),server,.*/\1/p' "$SERVER/cred/passwd" 2>/dev/null | head -n 1)
if [ "$(token_hash "$passwd")" != "$want" ]; then
  aside "$SERVER/cred/passwd" "$to/passwd"
fi
true
