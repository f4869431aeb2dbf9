#!/usr/bin/env bash
# One large file: put to 3 servers beside writing and flushing three copies of it, get to a file beside curl from nginx on loopback, and what the
# servers' memory grew by meanwhile. --nginx installs Debian's nginx-light if it is missing (as root). Processes are ended by pid, folders removed.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
MIB=${MIB:-1024}
PORT=${PORT:-19800}
WORK=$(mktemp -d -t carillon-large-XXXXXX)
PIDS=()
finish() { for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$WORK"; }
trap finish EXIT
[ -n "${NO_BUILD:-}" ] || dotnet build -c Release -v quiet "$ROOT/src/Carillon"
CARILLON=$ROOT/artifacts/bin/Carillon/release/carillon
now() { date +%s.%N; }
took() { awk -v a="$1" -v b="$(now)" 'BEGIN{printf "%.2f", b - a}'; }

"$CARILLON" dev --servers 3 --data "$WORK/dev" --port "$PORT" > "$WORK/dev.log" 2>&1 &
PIDS+=($!)
begin=$(now)
for _ in $(seq 1 300); do grep -q '^carillon dev ready' "$WORK/dev.log" 2>/dev/null && break; sleep 0.05; done
echo "dev ready in $(took "$begin") s"
export CARILLON_SERVER="http://127.0.0.1:$PORT"
"$CARILLON" bucket create large > /dev/null 2>&1
SERVERS=$(pgrep -P "${PIDS[0]}")
resident() { for p in $SERVERS; do awk '/VmRSS/{print $2}' "/proc/$p/status"; done; }
peak() { for p in $SERVERS; do awk '/VmHWM/{print $2}' "/proc/$p/status"; done; }
resident > "$WORK/before"
echo "resident before: $(awk '{printf "%d ", $1 / 1024}' "$WORK/before")MiB"
head -c "${MIB}M" /dev/urandom > "$WORK/file"
sync

begin=$(now)
for copy in 1 2 3; do dd if="$WORK/file" of="$WORK/copy$copy" bs=1M conv=fdatasync status=none; done
limit=$(took "$begin")
rm "$WORK"/copy*
begin=$(now)
"$CARILLON" put "$WORK/file" large/file > /dev/null 2>&1
put=$(took "$begin")
echo "put $MIB MiB: $put s; three copies written and flushed: $limit s; ratio $(awk -v a="$put" -v b="$limit" 'BEGIN{printf "%.2f", a / b}') (goal ≤ 4)"

if [ "${1:-}" = --nginx ]; then
  command -v nginx > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light; } > /dev/null 2>&1
  chmod 755 "$WORK"
  cat > "$WORK/nginx.conf" <<CONF
daemon off; pid $WORK/nginx.pid; error_log $WORK/nginx.log;
events {}
http { access_log off; sendfile on; tcp_nopush on; server { listen 127.0.0.1:$((PORT + 99)); root $WORK; } }
CONF
  nginx -c "$WORK/nginx.conf" &
  PIDS+=($!)
  sleep 0.5
fi

# In turns, and the medians: who writes a large file first pays for memory that the machine has not touched yet.
: > "$WORK/gets"; : > "$WORK/peers"
for round in 1 2 3; do
  begin=$(now)
  "$CARILLON" get large/file -f "$WORK/back" > /dev/null 2>&1
  took "$begin" >> "$WORK/gets"; echo >> "$WORK/gets"
  [ "$round" -gt 1 ] || cmp "$WORK/file" "$WORK/back"
  rm "$WORK/back"
  if [ "${1:-}" = --nginx ]; then
    begin=$(now)
    curl -sf -o "$WORK/back" "http://127.0.0.1:$((PORT + 99))/file"
    took "$begin" >> "$WORK/peers"; echo >> "$WORK/peers"
    rm "$WORK/back"
  fi
done
median() { sort -n "$1" | sed -n 2p; }
echo "get $MIB MiB to a file: $(median "$WORK/gets") s ($(tr '\n' ' ' < "$WORK/gets"))"
peak > "$WORK/after"
echo "most resident beyond before: $(paste "$WORK/before" "$WORK/after" | awk '{printf "%d ", ($2 - $1) / 1024}')MiB (goal < 200 a server)"
if [ "${1:-}" = --nginx ]; then
  echo "curl from nginx to a file: $(median "$WORK/peers") s ($(tr '\n' ' ' < "$WORK/peers"))"
  awk -v a="$(median "$WORK/peers")" -v b="$(median "$WORK/gets")" 'BEGIN{printf "get is %.2f x its speed (goal ≥ 0.4)\n", a / b}'
fi
