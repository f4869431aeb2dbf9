#!/usr/bin/env bash
# Start-up time and log size after 200,000 small puts are what they were after 20,000: they depend on what is open, not on history.
source "$(dirname "$0")/lib.sh"
FIRST=${FIRST:-20000} THEN=${THEN:-180000}
dev 3
measure() {
  sleep "${QUIET:-15}"
  kill -TERM "$(pid 2)"; until_ok 20 bash -c "! kill -0 $(pid 2) 2>/dev/null" || fail "s2 does not stop"
  local begin end
  begin=$(date +%s%N); start 2
  until_ok 60 bash -c "'$CARILLON' --server '$(url 2)' cluster status >/dev/null 2>&1" || fail "s2 does not start"
  end=$(date +%s%N)
  until_ok 20 all_connected 3 || fail "not connected"
  local data; data=$(dirname "$(config 2)")
  say "$1 puts: start-up $(( (end - begin) / 1000000 )) ms, log $(du -sm "$data"/data/log 2>/dev/null | cut -f1) MiB, catalog $(du -sm "$data"/data/catalog.db 2>/dev/null | cut -f1) MiB"
}
"$CARILLON" --server "$(urls 3)" bench put --clients 32 --count "$FIRST" --size 200 --no-limits || fail "bench"
measure "$FIRST"
"$CARILLON" --server "$(urls 3)" bench put --clients 32 --count "$THEN" --size 200 --no-limits || fail "bench"
measure "$((FIRST + THEN))"
