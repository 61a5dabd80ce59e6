# Looks from here at other hosts. Set by the caller: TARGETS ("ADDRESS PORT" a line).
# Output: "ADDRESS PORT open|refused|silent|unknown". Refused is the word of a host that lives; silence is none.
find_distro || die "neither rke2 nor k3s is installed here"
knock() {
  case $1 in *:*) set -- "[$1]" "$2" ;; esac
  if command -v curl >/dev/null 2>&1; then
    said=$(curl -v -s -k -o /dev/null --connect-timeout 2 -m 3 -w 'connects=%{num_connects}' "https://$1:$2/" 2>&1)
    case $said in
      *connects=1*) echo open ;;
      *refused*) echo refused ;;
      *"not resolve"* | *[Mm]alformed* | *"bad URL"* | *"Bad URL"*) echo unknown ;;
      *connects=0*) echo silent ;;
      *) echo unknown ;;
    esac
  else
    said=$(kubectl 4 get --raw / --server "https://$1:$2" --insecure-skip-tls-verify --kubeconfig /dev/null --request-timeout 2s 2>&1)
    case $said in
      *refused*) echo refused ;;
      *"no such host"*) echo unknown ;;
      *"no route"* | *timeout* | *Timeout* | *deadline*) echo silent ;;
      "") echo unknown ;;
      *) echo open ;;
    esac
  fi
}
printf '%s\n' "$TARGETS" | {
  while read -r address port; do
    [ -n "$port" ] && { printf '%s %s %s\n' "$address" "$port" "$(knock "$address" "$port")" & }
  done
  wait
}
