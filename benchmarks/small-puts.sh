#!/usr/bin/env bash
# Small durable puts at 1, 16 and 64 clients, Carillon beside the machine's limits and, with --etcd, beside a 3-member etcd in the same run.
# --etcd installs Debian's etcd-server if it is missing (as root). Servers are ended by pid, folders removed.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
SECONDS_EACH=${SECONDS_EACH:-8}
SIZE=${SIZE:-1000}
PORT=${PORT:-19400}
WORK=$(mktemp -d -t carillon-bench-XXXXXX)
PIDS=()
finish() { for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$WORK"; }
trap finish EXIT
[ -n "${NO_BUILD:-}" ] || { dotnet build -c Release -v quiet "$ROOT/src/Carillon"; dotnet build -c Release -v quiet "$ROOT/benchmarks/Peers"; }
CARILLON=$ROOT/artifacts/bin/Carillon/release/carillon
PEERS=$ROOT/artifacts/bin/Peers.Benchmarks/release/peers

"$CARILLON" dev --servers 3 --data "$WORK/dev" --port "$PORT" > "$WORK/dev.log" 2>&1 &
PIDS+=($!)
for _ in $(seq 1 200); do grep -q '^carillon dev ready' "$WORK/dev.log" 2>/dev/null && break; sleep 0.2; done
URLS="http://127.0.0.1:$PORT,http://127.0.0.1:$((PORT + 10)),http://127.0.0.1:$((PORT + 20))"
"$CARILLON" --server "$URLS" bench put --clients 1,16,64 --size "$SIZE" --duration "${SECONDS_EACH}s" --scratch "$WORK"
kill "${PIDS[0]}"; wait "${PIDS[0]}" 2>/dev/null || true; PIDS=()

if [ "${1:-}" = --etcd ]; then
  command -v etcd >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends etcd-server; } >/dev/null
  CLUSTER=e1=http://127.0.0.1:$((PORT + 101)),e2=http://127.0.0.1:$((PORT + 111)),e3=http://127.0.0.1:$((PORT + 121))
  for i in 1 2 3; do
    client=http://127.0.0.1:$((PORT + 90 + 10 * i)) peer=http://127.0.0.1:$((PORT + 91 + 10 * i))
    etcd --name "e$i" --data-dir "$WORK/e$i" --listen-client-urls "$client" --advertise-client-urls "$client" --listen-peer-urls "$peer" \
      --initial-advertise-peer-urls "$peer" --initial-cluster "$CLUSTER" --initial-cluster-state new > "$WORK/e$i.log" 2>&1 &
    PIDS+=($!)
  done
  ETCD=http://127.0.0.1:$((PORT + 100)),http://127.0.0.1:$((PORT + 110)),http://127.0.0.1:$((PORT + 120))
  for _ in $(seq 1 100); do grep -q 'ready to serve client requests' "$WORK/e3.log" && break; sleep 0.2; done
  for clients in 1 16 64; do "$PEERS" etcd "$ETCD" "$clients" "$SECONDS_EACH" "$SIZE"; done
fi
