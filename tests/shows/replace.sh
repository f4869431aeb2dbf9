#!/usr/bin/env bash
# Issue 5, show 6: a dead server is replaced while puts run. No put fails but those in flight at the moment of its death.
# Usage: replace.sh [SECONDS of puts behind the replacement]
. "$(dirname "$0")/lib.sh"
AFTER=${1:-10}
dev 3
"$CARILLON" --server "$(urls 3)" bucket create files > /dev/null || fail "no bucket"

# Writers at the two that stay: each put has one try of the command, whose client goes on at the other server by itself.
writer() {
  local n=0 start; while [ ! -f "$WORK/stop" ]; do
    n=$((n + 1)); start=$(date +%s%N)
    if "$CARILLON" --server "$(url 2),$(url 3)" put --key "w$1-$n" "$WORK/text" "files/w$1-$n" > /dev/null 2>> "$WORK/w$1.err"; then
      echo "$start ok $(( ($(date +%s%N) - start) / 1000000 )) w$1-$n"
    else
      echo "$start failed $(( ($(date +%s%N) - start) / 1000000 )) w$1-$n"
    fi
  done > "$WORK/w$1.out"
}
echo text > "$WORK/text"
WRITERS=()
for w in 1 2 3; do writer "$w" & WRITERS+=($!); done
sleep 3
KILLED=$(date +%s%N); kill9 1; say "s1 is dead"
sleep 5
REPLACE=$(date +%s%N)
check "s1 is replaced by one command" "$CARILLON" --server "$(url 2),$(url 3)" cluster replace s1 --authority "$WORK/dev/cluster"
say "that took $(( ($(date +%s%N) - REPLACE) / 1000000 )) ms"
start 1
sleep "$AFTER"
touch "$WORK/stop"; wait "${WRITERS[@]}"

cat "$WORK"/w?.out > "$WORK/all"
say "$(grep -c ' ok ' "$WORK/all") puts ok, $(grep -c ' failed ' "$WORK/all") failed; longest $(awk '{print $3}' "$WORK/all" | sort -n | tail -1) ms"
# In flight at the death: begun before the others know of it (heartbeat.timeout and a probe).
LATE=$(awk -v at="$KILLED" '$2 == "failed" && ($1 > at + 1500000000 || $1 + $3 * 1000000 < at)' "$WORK/all" | wc -l)
check "no put failed but those in flight at the death ($LATE others)" test "$LATE" = 0
votes() { "$CARILLON" --server "$(url 2)" cluster status -o json | python3 -c "import json,sys;sys.exit(0 if all(s['voting'] for s in json.load(sys.stdin)['servers']) else 1)"; }
check "the new disk votes" until_ok 60 votes
check "all three have the same" until_ok 60 same_listings 3 files
grep ' ok ' "$WORK/all" | awk '{print $4}' | sort > "$WORK/acknowledged"
listing 1 files | python3 -c "import json,sys;print('\n'.join(o['name'] for o in json.load(sys.stdin)['objects']))" | sort > "$WORK/listed"
check "every acknowledged put is on the new disk" test -z "$(comm -23 "$WORK/acknowledged" "$WORK/listed")"
kill9 2; say "s2 is dead too: the new disk's vote counts"
put_again() { "$CARILLON" --server "$(url 1),$(url 3)" put "$WORK/text" files/last > /dev/null 2>&1; }
check "a put with s1 and s3" until_ok 30 put_again
