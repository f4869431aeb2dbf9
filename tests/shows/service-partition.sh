#!/usr/bin/env bash
# Five servers in network namespaces; the primary of a service is cut off with one other: it stops acting before the majority's starts.
source "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v nft >/dev/null || { say "skipped: needs root, iproute2 and nftables"; exit 0; }
export CARILLON
LAB=$ROOT/tests/shows/lab.sh
PIDS=()
end_lab() { local p; for p in "${PIDS[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done; wait 2>/dev/null; "$LAB" down; finish; }
trap end_lab EXIT
"$LAB" up 5
"$CARILLON" cluster init --out "$WORK/cluster" --name lab --http-insecure $(for i in 1 2 3 4 5; do echo "--server s$i=10.78.0.$i"; done) || fail "cluster init"
at() { local i=$1; shift; ip netns exec "c$i" "$CARILLON" --server "http://10.78.0.$i:7410" --token-file "$WORK/cluster/admin.token" "$@"; }
connected() { at "$1" cluster status -o json 2>/dev/null | python3 -c "import json,sys;sys.exit(0 if json.load(sys.stdin)['quorum']['connected']==$2 else 1)" 2>/dev/null; }
all() { local i; for i in 1 2 3 4 5; do connected "$i" 5 || return 1; done; }
primary() { at "$1" service show writer -o json 2>/dev/null | python3 -c "import json,sys;print(json.load(sys.stdin)['primary'])" 2>/dev/null; }
is_primary() { [ "$(primary "$1")" = "$2" ]; }
taken_over() { case "$(primary 5)" in s3|s4|s5) ;; *) return 1 ;; esac; }
for i in 1 2 3 4 5; do
  ip netns exec "c$i" "$CARILLON" server --config "$WORK/cluster/s$i/server.json" >> "$WORK/s$i.log" 2>&1 &
  PIDS[$i]=$!
done
check "five connected" until_ok 30 all
WRITER=$(cd "$ROOT/tests/shows" && python3 -c "from services import WRITER; print(WRITER)")
at 3 service add writer --nodes s1,s2,s3,s4,s5 --prefer s1 -- sh -c "$WRITER" || fail "service add"
has_primary() { [ -n "$(primary 3)" ] && ! is_primary 3 None; }
check "there is a primary" until_ok 20 has_primary
# The preferred one, unless another was up first.
is_primary 3 s1 || at 3 service move writer --to s1 -q || fail "move"
check "s1 is primary" until_ok 20 is_primary 3 s1
sleep 2
"$LAB" split 2 5
say "s1 and s2 are cut off"
check "the majority has a primary of its own" until_ok 15 taken_over
sleep 3
"$LAB" join 5
check "five connected again" until_ok 30 all
sleep 2
check "service-partition" python3 "$ROOT/tests/shows/service-partition.py" "$WORK/cluster"
