#!/usr/bin/env bash
# 16 clients put, get, delete, compare and set 20 names through five servers while those are killed, stopped and started; the recorded history is linearizable.
source "$(dirname "$0")/lib.sh"
export CARILLON
SIMULATOR=${SIMULATOR:-$ROOT/artifacts/bin/Carillon.Simulator/release/Carillon.Simulator}
dev 5
"$CARILLON" bucket create files || fail "bucket"
check "history recorded" python3 "$ROOT/tests/shows/history.py" "$WORK/dev" "${SECONDS_LONG:-60}" "$WORK/history.jsonl"
check "the history is linearizable" "$SIMULATOR" --check-history "$WORK/history.jsonl"
