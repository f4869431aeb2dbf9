# Common parts of the shows: a cluster of real processes on loopback, ended again whatever happens. Source it.
set -uo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CARILLON=${CARILLON:-$ROOT/artifacts/bin/Carillon/release/carillon}
WORK=${WORK:-$(mktemp -d -t carillon-show-XXXXXX)}
mkdir -p "$WORK"
PORT=${PORT:-18400}
export CARILLON_SERVER=http://127.0.0.1:$PORT
DEV_PID=""
STARTED=()

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: $*"; exit 1; }
check() { local what=$1; shift; if "$@"; then say "ok: $what"; else fail "$what ($*)"; fi; }

url() { echo "http://127.0.0.1:$((PORT + 10 * ($1 - 1)))"; }
urls() { local n=$1 all="" i; for i in $(seq 1 "$n"); do all+="${all:+,}$(url "$i")"; done; echo "$all"; }

# dev N: a cluster of N servers in $WORK/dev, ready.
dev() {
  "$CARILLON" dev --servers "$1" --data "$WORK/dev" --port "$PORT" > "$WORK/dev.log" 2>&1 &
  DEV_PID=$!
  for _ in $(seq 1 240); do grep -q '^carillon dev ready' "$WORK/dev.log" && return; sleep 0.25; done
  cat "$WORK/dev.log"; fail "dev is not ready after 60 s"
}

# pid I, config I: of server sI, from dev.json or from where it was started again.
pid() { [ -f "$WORK/s$1.pid" ] && cat "$WORK/s$1.pid" || python3 -c "import json;print([s['pid'] for s in json.load(open('$WORK/dev/dev.json'))['servers']][$1-1])"; }
config() { python3 -c "import json;print([s['config'] for s in json.load(open('$WORK/dev/dev.json'))['servers']][$1-1])"; }
kill9() { kill -9 "$(pid "$1")"; }
start() { "$CARILLON" server --config "$(config "$1")" >> "$WORK/s$1.log" 2>&1 & echo $! > "$WORK/s$1.pid"; STARTED+=($!); disown; }

# until_ok SECONDS COMMAND…: true once the command succeeds.
until_ok() { local end=$(( $(date +%s%N) + $1 * 1000000000 )); shift; while ! "$@"; do [ "$(date +%s%N)" -lt "$end" ] || return 1; sleep 0.1; done; }

# all_connected N: every server says that N are connected.
all_connected() {
  local i; for i in $(seq 1 "$1"); do
    "$CARILLON" --server "$(url "$i")" cluster status -o json 2>/dev/null | python3 -c "import json,sys;sys.exit(0 if json.load(sys.stdin)['quorum']['connected']==$1 else 1)" 2>/dev/null || return 1
  done
}
# whole N: no server knows of a copy that is not in place.
whole() {
  local i; for i in $(seq 1 "$1"); do
    "$CARILLON" --server "$(url "$i")" cluster status -o json 2>/dev/null | python3 -c "import json,sys;sys.exit(0 if json.load(sys.stdin)['chunks']['underReplicated']==0 else 1)" 2>/dev/null || return 1
  done
}
listing() { "$CARILLON" --server "$(url "$1")" ls -r "$2" -o json; }
same_listings() { local i first; first=$(listing 1 "$2" | sha256sum); for i in $(seq 2 "$1"); do [ "$(listing "$i" "$2" | sha256sum)" = "$first" ] || return 1; done; }

finish() {
  local p; for p in "${STARTED[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done
  [ -n "$DEV_PID" ] && kill "$DEV_PID" 2>/dev/null && wait "$DEV_PID" 2>/dev/null
  [ "${KEEP:-0}" = 1 ] || rm -rf "$WORK"
}
trap finish EXIT
