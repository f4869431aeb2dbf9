#!/usr/bin/env bash
# Three of five stopped: a put is rejected within 2 s, local reads go on; after one returns, puts work.
source "$(dirname "$0")/lib.sh"
dev 5
"$CARILLON" bucket create files || fail "bucket"
echo one > "$WORK/one"
"$CARILLON" put "$WORK/one" files/one || fail "put"
kill9 3; kill9 4; kill9 5
begin=$(date +%s%N)
"$CARILLON" --server "$(url 1)" put "$WORK/one" files/two; rc=$?
took=$(( ($(date +%s%N) - begin) / 1000000 ))
check "put answers 7 (it answered $rc)" test "$rc" = 7
check "within 2 s ($took ms)" test "$took" -lt 2000
check "local get serves" test "$("$CARILLON" --server "$(url 1)" cat files/one --consistency local)" = one
start 3
check "put works again" until_ok 10 "$CARILLON" --server "$(url 1)" put "$WORK/one" files/three -q
