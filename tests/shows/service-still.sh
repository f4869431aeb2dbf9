#!/usr/bin/env bash
# Five servers; each that is not primary is killed and started again, one leaves the providers and joins again: the primary does not move.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 5
check "service-still" python3 "$ROOT/tests/shows/service-still.py" "$WORK/dev"
