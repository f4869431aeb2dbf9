#!/usr/bin/env bash
# Three servers, each in a network namespace of its own on a bridge, configured by `cluster init`: put, kill, get; then the accepting server is cut off in mid-put.
source "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v nft >/dev/null || { say "skipped: needs root, iproute2 and nftables"; exit 0; }
LAB=$ROOT/tests/shows/lab.sh
PIDS=()
end_lab() { local p; for p in "${PIDS[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null; done; wait 2>/dev/null; "$LAB" down; finish; }
trap end_lab EXIT
"$LAB" up 3
"$CARILLON" cluster init --out "$WORK/cluster" --name lab --http-insecure --server s1=10.78.0.1 --server s2=10.78.0.2 --server s3=10.78.0.3 || fail "cluster init"
serve() {
  ip netns exec "c$1" "$CARILLON" server --config "$WORK/cluster/s$1/server.json" >> "$WORK/s$1.log" 2>&1 &
  PIDS[$1]=$!
}
at() { local i=$1 from=$2; shift 2; ip netns exec "c$from" "$CARILLON" --server "http://10.78.0.$i:7410" --token-file "$WORK/cluster/admin.token" "$@"; }
ready() { local i; for i in 1 2 3; do at "$i" "$i" cluster status -o json 2>/dev/null | python3 -c "import json,sys;sys.exit(0 if json.load(sys.stdin)['quorum']['connected']==3 else 1)" 2>/dev/null || return 1; done; }
for i in 1 2 3; do serve "$i"; done
check "three connected" until_ok 30 ready
say "transport: $(at 1 1 cluster status -o json | python3 -c "import json,sys;t=json.load(sys.stdin)['transport'];print(t['mode'],'-',t['reason'])")"
check "no token, no entry" test "$(ip netns exec c1 "$CARILLON" --server http://10.78.0.1:7410 ls >/dev/null 2>&1; echo $?)" = 6
at 1 1 bucket create files || fail "bucket"
head -c 20000000 /dev/urandom > "$WORK/big"
at 1 1 put "$WORK/big" files/big || fail "put"
kill -9 "${PIDS[1]}"
check "get by s3 with s1 killed" at 3 3 get files/big -f "$WORK/back" -q
check "identical" cmp "$WORK/big" "$WORK/back"
serve 1
check "three connected again" until_ok 20 ready
head -c 200000000 /dev/urandom > "$WORK/huge"
at 1 1 --timeout 10s put "$WORK/huge" files/huge --key cut-off > "$WORK/cut.out" 2>&1 & PUT=$!
sleep 0.3
"$LAB" isolate 1
say "s1 is cut off in mid-put"
check "the others go on" until_ok 10 at 2 2 put "$WORK/big" files/other -q
wait "$PUT"; rc=$?
check "the put on the cut-off server does not answer 0 (it answered $rc: $(tail -1 "$WORK/cut.out"))" test "$rc" != 0
"$LAB" heal 1
check "three connected after healing" until_ok 20 ready
resolved() { at "$1" "$1" submission show --key cut-off -o json > "$WORK/show$1" 2>/dev/null && grep -qE '"(accepted|rejected)"' "$WORK/show$1"; }
for i in 1 2 3; do check "s$i tells what became of it" until_ok 20 resolved "$i"; done
check "all tell the same" test "$(cat "$WORK"/show[123] | grep -o '"outcome":"[a-z]*"' | sort -u | wc -l)" = 1
say "$(grep -o '"outcome":"[a-z]*"' "$WORK/show1")"
