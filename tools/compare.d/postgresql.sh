# PostgreSQL, from Debian: a primary and two standbys that stream from it; a commit waits for one of them.
postgresql_packages=(postgresql)
postgresql_differs="SQL: a prepared upsert by pgbench (one thread) into a table with a primary key; a process for each client; the standby has the commit on disk and need not have applied it"
postgresql_takes() { [ "$1 $2" = "put 1" ]; }

# The server refuses to run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
postgresql_query() { "$postgresql/psql" -h 127.0.0.1 -p $((port + 31)) -U postgres -XAtc "$1" postgres; }
postgresql_control() { # COMMAND DIRECTORY…: pg_ctl
  local node
  for node in "${@:2}"; do
    as_postgres "$postgresql/pg_ctl" -s -w -t 60 -D "$node" -l "$node.log" -m immediate "$1" ||
      fail "pg_ctl $1: $(tail -n 3 "$node.log")"
  done
}

# Sets the three up once; each run begins with a copy.
postgresql_prepare() {
  postgresql=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -1)
  [ -x "$postgresql/pgbench" ] || fail "no pgbench in /usr/lib/postgresql: install Debian's postgresql"
  postgresql_template=$work/postgresql postgresql_data=$work/postgresql
  mkdir "$postgresql_data"
  [ "$(id -u)" != 0 ] || chown postgres "$postgresql_data"
  local primary=$postgresql_data/1 i
  as_postgres "$postgresql/initdb" -D "$primary" -U postgres -A trust -E UTF8 --locale C >/dev/null
  # Nothing here weakens a commit; the sizes keep checkpoints out of a short run.
  cat >>"$primary/postgresql.conf" <<CONF
port = $((port + 31))
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 600
shared_buffers = 256MB
max_wal_size = 4GB
wal_keep_size = 1GB
CONF
  postgresql_control start "$primary"
  postgresql_query "create table kv (k bigint primary key, v text);
    alter table kv alter v set storage external" >/dev/null
  for i in 1 2; do
    as_postgres "$postgresql/pg_basebackup" -h 127.0.0.1 -p $((port + 31)) -U postgres -D "$postgresql_data/$((i + 1))" -R
    echo "port = $((port + 31 + i))" >>"$postgresql_data/$((i + 1))/postgresql.conf"
    echo "cluster_name = 's$i'  # its name for the primary" >>"$postgresql_data/$((i + 1))/postgresql.conf"
  done
  as_postgres "$postgresql/pg_ctl" -s -w -D "$primary" -m fast stop
  # Only now, for until the standbys run no commit would return.
  echo "synchronous_standby_names = 'ANY 1 (s1, s2)'" >>"$primary/postgresql.conf"
}
postgresql_version() { "$postgresql/postgres" --version | sed 's/.*) \([0-9.]*\).*/\1/'; }

postgresql_start() {
  cp -a "$postgresql_template" "$1/nodes"
  postgresql_data=$1/nodes
  postgresql_control start "$1"/nodes/[123]
  await $$ postgresql_follows || fail "the standbys do not follow: $(tail -n 3 "$1"/nodes/*.log)"
  local setting
  for setting in fsync full_page_writes synchronous_commit; do
    [ "$(postgresql_query "show $setting")" = on ] || fail "PostgreSQL has $setting off: its commits are not durable"
  done
}
postgresql_follows() {
  [ "$(postgresql_query "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'quorum'")" = 2 ]
}
postgresql_load() {
  local log=$run/pgbench
  rm -f "$log".*
  echo "\\set k random(0, $5 - 1)
    insert into kv values (:k, :v) on conflict (k) do update set v = excluded.v" >"$run/upsert.sql"
  # A second more than is measured: the log has each call's end and duration, and the first tells when it began.
  "$postgresql/pgbench" -h 127.0.0.1 -p $((port + 31)) -U postgres -n -M prepared -f "$run/upsert.sql" \
    -D v="$(head -c "$4" /dev/zero | tr '\0' x)" -c "$2" -j 1 -T $(($6 + $7 + 1)) -l --log-prefix="$log" postgres \
    >"$run/pgbench.out" 2>&1 || fail "pgbench: $(tail -n 3 "$run/pgbench.out")"
  awk -v warmup="$6" -v seconds="$7" '
    { ended = $5 + $6 / 1000000 }
    NR == 1 { begin = ended + warmup }
    ended >= begin && ended < begin + seconds { print $3 }' "$log".* | sort -n | awk -v seconds="$7" '
    { took[NR] = $1 }
    END {
      if (NR == 0) exit 1
      printf "{\"ops_per_s\":%.1f,\"p50_us\":%d,\"p99_us\":%d,\"errors\":0}\n", NR / seconds,
        took[int((NR - 1) * 0.5) + 1], took[int((NR - 1) * 0.99) + 1]
    }'
}
# At once, without a checkpoint: the data is thrown away.
postgresql_stop() {
  local node
  for node in "${postgresql_data:-}"/[123]; do
    [ ! -f "$node/postmaster.pid" ] || postgresql_control stop "$node"
  done
}
