#!/usr/bin/env bash
# Three servers under puts; a service is moved again and again by hand: how long nobody is primary.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
check "service-move" python3 "$ROOT/tests/shows/service-move.py" "$WORK/dev" "${MOVES:-8}"
