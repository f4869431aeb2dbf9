#!/usr/bin/env bash
# Small durable puts on a disk whose flushes take 5 ms more: how many puts share one. strace makes them
# wait (installed as root if it is missing).
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
PORT=${PORT:-19950}
WORK=$(mktemp -d -t carillon-slow-XXXXXX)
PIDS=()
finish() { for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$WORK"; }
trap finish EXIT
[ -n "${NO_BUILD:-}" ] || dotnet build -c Release -v quiet "$ROOT/src/Carillon"
CARILLON=$ROOT/artifacts/bin/Carillon/release/carillon
command -v strace > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends strace; } > /dev/null 2>&1
strace -f --seccomp-bpf -qqq -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:delay_exit=5000 \
  "$CARILLON" dev --servers 3 --data "$WORK/dev" --port "$PORT" > "$WORK/dev.log" 2>&1 &
PIDS+=($!)
for _ in $(seq 1 300); do grep -q '^carillon dev ready' "$WORK/dev.log" 2>/dev/null && break; sleep 0.1; done
URLS="http://127.0.0.1:$PORT,http://127.0.0.1:$((PORT + 10)),http://127.0.0.1:$((PORT + 20))"
"$CARILLON" --server "$URLS" bench put --no-limits --clients 1,64 --duration "${SECONDS_EACH:-8}s" | tee "$WORK/out"
awk '$1 == 64 {printf "64 clients: %.1f puts share a flush of a server (3 servers flush each put; goal ≥ 10)\n", 3 / $8}' "$WORK/out"
