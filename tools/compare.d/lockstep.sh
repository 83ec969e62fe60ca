# Lockstep: the release build of this clone, or the program that LOCKSTEP_BINARY names.
lockstep_packages=()
lockstep_differs="frames and a log with checksums; keys and values in memory, the log on disk; each client has a connection, to the leader"
lockstep_takes() { true; }

lockstep_prepare() {
  lockstep=${LOCKSTEP_BINARY:-}
  if [ -z "$lockstep" ]; then
    tools/setup
    swift build -c release --product lockstep --static-swift-stdlib >&2
    lockstep=$(swift build -c release --show-bin-path)/lockstep
  fi
  [ -x "$lockstep" ] || fail "LOCKSTEP_BINARY: no program at $lockstep"
}
lockstep_version() {
  local commit
  commit=$(git describe --always --dirty 2>/dev/null) && [ -z "${LOCKSTEP_BINARY:-}" ] || commit=
  echo "$("$lockstep" --version)${commit:+, commit $commit}"
}

lockstep_start() {
  "$lockstep" up --dir "$1/data" --leader 1 --base-port "$port" >"$1/ready" 2>"$1/log" & lockstep_up=$!
  await "$lockstep_up" grep -qs READY "$1/ready" || fail "lockstep up is not ready: $(tail -n 3 "$1/log")"
  lockstep_leader=127.0.0.1:$((port + $(sed -n 's/READY leader=\([0-9]*\).*/\1/p' "$1/ready")))
}
lockstep_load() {
  "$lockstep" bench --json --endpoints "$lockstep_leader" --op "$1" --clients "$2" --depth "$3" --value-size "$4" \
    --keys "$5" --warmup "$6" --seconds "$7"
}
lockstep_stop() { [ -z "${lockstep_up:-}" ] || stop_process "$lockstep_up"; }
