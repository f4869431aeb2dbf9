#!/usr/bin/env bash
# Five servers in network namespaces; the feed's sequencer is cut off with one other: the majority goes on within 5 s, the minority acknowledges nothing, and after healing there is one history.
source "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v nft >/dev/null || { say "skipped: needs root, iproute2 and nftables"; exit 0; }
export CARILLON
LAB=$ROOT/tests/shows/lab.sh SHOW=$ROOT/tests/shows/partition-feed.py TOKEN=$WORK/cluster/admin.token
PIDS=()
end_lab() { local p; touch "$WORK/stop"; for p in "${PIDS[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done; wait 2>/dev/null; "$LAB" down; finish; }
trap end_lab EXIT
"$LAB" up 5
"$CARILLON" cluster init --out "$WORK/cluster" --name lab --http-insecure $(for i in 1 2 3 4 5; do echo "--server s$i=10.78.0.$i"; done) || fail "cluster init"
serve() { ip netns exec "c$1" "$CARILLON" server --config "$WORK/cluster/s$1/server.json" >> "$WORK/s$1.log" 2>&1 & PIDS[$1]=$!; }
at() { local i=$1; shift; ip netns exec "c$i" "$CARILLON" --server "http://10.78.0.$i:7410" --token-file "$TOKEN" "$@"; }
inside() { local i=$1; shift; ip netns exec "c$i" python3 "$SHOW" "$1" "http://10.78.0.$i:7410" "$TOKEN" "${@:2}"; }
connected() { at "$1" cluster status -o json 2>/dev/null | python3 -c "import json,sys;sys.exit(0 if json.load(sys.stdin)['quorum']['connected']==$2 else 1)" 2>/dev/null; }
all() { local i; for i in 1 2 3 4 5; do connected "$i" 5 || return 1; done; }
sequencer() { at "$1" cluster status -o json 2>/dev/null | python3 -c "import json,sys;print(json.load(sys.stdin)['feed']['sequencer'] or '')" 2>/dev/null; }
has_sequencer() { [ -n "$(sequencer 3)" ]; }
clock() { python3 -c "import time;print(time.monotonic())"; }
for i in 1 2 3 4 5; do serve "$i"; done
check "five connected" until_ok 40 all
check "a bucket" until_ok 20 at 1 bucket create files -q
for _ in 1 2 3 4 5 6; do
  check "there is a sequencer" until_ok 20 has_sequencer
  leader=$(sequencer 3)
  case $leader in s1|s2) break ;; esac
  # It does not move by itself: another one is elected while it is away.
  kill -9 "${PIDS[${leader#s}]}"
  away() { local now; now=$(sequencer "$(( ${leader#s} % 5 + 1 ))"); [ -n "$now" ] && [ "$now" != "$leader" ]; }
  check "$leader is followed by another" until_ok 30 away
  serve "${leader#s}"
  check "five connected" until_ok 40 all
done
case $leader in s1|s2) say "$leader is the sequencer" ;; *) fail "the sequencer is $leader" ;; esac
for i in 1 4; do inside "$i" load "$WORK/load$i" "$WORK/stop" & done
sleep 3
BEGIN=$(clock); "$LAB" split 2 5; CUT=$(clock)
say "s1 and s2 are cut off"
sleep 15
HEALED=$(clock); "$LAB" join 5
check "five connected again" until_ok 40 all
sleep 3
touch "$WORK/stop"; sleep 5
last() { at 3 put - files/last --ack sequenced -o json < /dev/null > "$WORK/last"; }
check "a last put" until_ok 20 last
UPTO=$(python3 -c "import json;print(json.load(open('$WORK/last'))['sequence'])")
for i in 1 2 3 4 5; do check "s$i tells its feed" inside "$i" feed "$UPTO" "$WORK/feed$i"; done
check "partition-feed" python3 "$SHOW" judge "$WORK" "$BEGIN" "$CUT" "$HEALED"
