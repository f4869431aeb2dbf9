#!/usr/bin/env bash
# Five servers; a large file put by server 1; two killed; read by server 3; both started again. The same after N further changes while two were down.
source "$(dirname "$0")/lib.sh"
CHANGES=${CHANGES:-20000}
dev 5
"$CARILLON" bucket create files || fail "bucket"
head -c "${SIZE:-300000000}" /dev/urandom > "$WORK/big"
time "$CARILLON" --server "$(url 1)" put "$WORK/big" files/big || fail "put"
kill9 1; kill9 4
time "$CARILLON" --server "$(url 3)" get files/big -f "$WORK/back" || fail "get"
check "identical" cmp "$WORK/big" "$WORK/back"
start 1; start 4
check "all connected within 10 s" until_ok 10 all_connected 5
check "listings are the same" until_ok 10 same_listings 5 files
check "every chunk is back at its count" until_ok 10 whole 5
say "two down, $CHANGES changes"
kill9 2; kill9 5
python3 "$ROOT/tests/shows/changes.py" "$CHANGES" "$(url 1)" "$(url 3)" "$(url 4)" || fail "changes"
start 2; start 5
check "all connected within 10 s" until_ok 10 all_connected 5
time check "listings are the same" until_ok 60 same_listings 5 files
check "every chunk is back at its count" until_ok 60 whole 5
