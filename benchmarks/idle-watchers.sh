#!/usr/bin/env bash
# What thousands who watch the feed and wait cost a server: memory beside as many connections that rest, processor time, threads, and how long a
# put takes to reach the last of them. COUNT=4500 connections of each kind.
set -euo pipefail
cd "$(dirname "$0")/.."
CARILLON=${CARILLON:-$PWD/artifacts/bin/Carillon/release/carillon}
WORK=$(mktemp -d -t carillon-bench-XXXXXX)
PORT=${PORT:-18700}
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
"$CARILLON" dev --servers 3 --data "$WORK/dev" --port "$PORT" > "$WORK/dev.log" 2>&1 &
DEV=$!
trap 'kill $DEV 2>/dev/null; wait $DEV 2>/dev/null; rm -rf "$WORK"' EXIT
for _ in $(seq 1 240); do grep -q '^carillon dev ready' "$WORK/dev.log" && break; sleep 0.25; done
for bucket in files other; do "$CARILLON" --server "http://127.0.0.1:$PORT" bucket create "$bucket" -q; done
python3 benchmarks/idle-watchers.py "$WORK/dev" "${COUNT:-4500}"
