# Around what a run does on a node whose lock it holds. Set by the caller: LOCK (the id, in the first line of the lock).
F=/var/lib/rancher/requorum/lock

# A sign of life by the time of the lock's file; 87 where another run has the lock now.
mine() {
  l=
  read -r l 2>/dev/null <$F
  [ "$l" = "id=$LOCK" ] && touch -c $F || return 87
}

# held COMMAND...: the same, and on and on as long as the command takes.
held() {
  mine || return
  (
    trap 'kill $!; exit' TERM
    while kill -0 $$; do
      sleep 20 &
      wait $!
      mine || exit
    done
  ) </dev/null >/dev/null 2>&1 &
  b=$!
  "$@"
  r=$?
  { kill $b; wait $b; } 2>/dev/null
  return $r
}
