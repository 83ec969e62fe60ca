# The floor (floor.c): what the machine's disks and sockets leave to any replicated log.
floor_packages=(gcc libc6-dev)
floor_differs="no protocol, terms, checksums, keys or recovery: three fixed processes that copy bytes into files written before"
floor_takes() { [ "$1" = put ]; }

floor_prepare() {
  floor=$built/floor
  newer "$floor" tools/compare.d/floor.c || gcc -O2 -Wall -Wextra -pthread -o "$floor" tools/compare.d/floor.c
}
floor_version() { echo "tools/compare.d/floor.c"; }

floor_start() {
  "$floor" serve "$1" >"$1/ready" 2>"$1/log" & floor_leader=$!
  await "$floor_leader" grep -qs READY "$1/ready" || fail "the floor did not start: $(tail -n 3 "$1/log")"
  floor_port=$(sed 's/READY //' "$1/ready")
}
floor_load() { "$floor" load "$floor_port" "$2" "$3" "$4" "$6" "$7"; }
# The followers end with the leader.
floor_stop() { [ -z "${floor_leader:-}" ] || stop_process "$floor_leader"; }
