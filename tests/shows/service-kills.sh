#!/usr/bin/env bash
# Five servers; the server of a service's primary is killed 20 times in a row: no two epochs overlap, and how long nobody is primary.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 5
check "service-kills" python3 "$ROOT/tests/shows/service-kills.py" "$WORK/dev" "${KILLS:-20}"
