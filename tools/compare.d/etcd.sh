# etcd, from Debian: three members with the package's defaults.
etcd_packages=(etcd-server golang-go golang-etcd-server-dev)
etcd_differs="gRPC and etcd's Go client, to the leader, with as many connections as the others; calls under way on one are calls of as many clients; old revisions are kept, in a B-tree on disk that is synced behind the log"
etcd_takes() { [ "$2" = 1 ] || { [ "$2" -le 64 ] && [ "$3" = 256 ]; }; }

etcd_prepare() {
  etcd_load=$built/etcd-load
  local sources=/usr/share/gocode
  [ -d $sources/src/go.etcd.io/etcd/clientv3 ] ||
    fail "golang-etcd-server-dev is not etcd 3.4, which the load is written for; leave etcd out: --peers"
  newer "$etcd_load" tools/compare.d/etcd-load.go || GO111MODULE=off GOPATH=$sources GOFLAGS='' GOCACHE=$work/go \
    go build -o "$etcd_load" tools/compare.d/etcd-load.go
}
etcd_version() { etcd --version | sed -n 's/etcd Version: //p'; }

etcd_start() {
  local i member members=() clients=() cluster=
  for i in 1 2 3; do
    members+=("http://127.0.0.1:$((port + 10 + i))")
    clients+=("http://127.0.0.1:$((port + 20 + i))")
    cluster+=${cluster:+,}m$i=${members[-1]}
  done
  etcd_members=()
  for i in 0 1 2; do
    # Without the environment: ETCD_* variables would change what is measured.
    env -i PATH="$PATH" etcd --name m$((i + 1)) --data-dir "$1/m$((i + 1))" --log-level error --logger zap \
      --listen-peer-urls "${members[i]}" --initial-advertise-peer-urls "${members[i]}" \
      --listen-client-urls "${clients[i]}" --advertise-client-urls "${clients[i]}" \
      --initial-cluster "$cluster" --initial-cluster-state new >>"$1/log" 2>&1 &
    etcd_members+=($!)
  done
  etcd_endpoints=$(IFS=,; echo "${clients[*]}")
  await "${etcd_members[0]}" "$etcd_load" -endpoints "$etcd_endpoints" -op leader >/dev/null 2>&1 ||
    fail "etcd has no leader: $(tail -n 3 "$1/log")"
}
etcd_load() {
  "$etcd_load" -endpoints "$etcd_endpoints" -op "$1" -clients $(($2 * $3)) -connections "$2" -size "$4" \
    -keys "$5" -warmup "$6" -seconds "$7"
}
etcd_stop() { [ -z "${etcd_members:-}" ] || stop_process "${etcd_members[@]}"; }
