#!/usr/bin/env bash
# Three servers; two services that must be together are, through kills and a move; a cycle of such wishes is refused.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
check "service-with" python3 "$ROOT/tests/shows/service-with.py" "$WORK/dev" "${KILLS:-4}"
