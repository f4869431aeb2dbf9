#!/usr/bin/env bash
# A server joins a running cluster, another is given a failure domain, a third leaves; everything that was put is still there.
. "$(dirname "$0")/lib.sh"
dev 3
head -c 3000000 /dev/urandom > "$WORK/large"
C=("$CARILLON" --server "$(urls 3)")
put() { "$CARILLON" --server "$1" put "$WORK/large" "files/$2" > /dev/null 2>> "$WORK/err"; }
check "a bucket" "${C[@]}" bucket create files
check "a put" put "$(urls 3)" before
check "s4 is added" "${C[@]}" cluster add "s4=127.0.0.1:$((PORT + 30))" --authority "$WORK/dev/cluster"
check "a put before s4 is up" put "$(urls 3)" meanwhile
"$CARILLON" server --config "$WORK/dev/cluster/s4/server.json" > "$WORK/s4.log" 2>&1 & STARTED+=($!)
votes() { "$CARILLON" --server "$(url 3)" cluster status -o json | python3 -c "import json,sys;d=json.load(sys.stdin);sys.exit(0 if all(s['voting'] for s in d['servers']) and d['quorum']['connected']==$1 else 1)"; }
check "s4 votes" until_ok 60 votes 4
check "a put with four" put "$(urls 4)" four
check "s3 has a failure domain" until_ok 20 "${C[@]}" cluster set s3 --domain rack --weight 150
check "s1 is removed" until_ok 20 "$CARILLON" --server "$(url 3)" cluster remove s1
kill9 1
check "a put without it" until_ok 20 put "$(url 2),$(url 3),$(url 4)" after
same() { "$CARILLON" --server "$(url 4)" get "files/$1" -f "$WORK/got" > /dev/null 2>&1 && cmp -s "$WORK/got" "$WORK/large"; }
for name in before meanwhile four after; do check "$name is at s4" until_ok 20 same "$name"; done
kill9 2
check "the cluster of three bears the loss of one: a put with s3 and s4" until_ok 30 put "$(url 3),$(url 4)" last
