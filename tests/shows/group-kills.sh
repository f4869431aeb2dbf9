#!/usr/bin/env bash
# Five servers; the one that sequences a group is killed 10 times and started again, while 8 senders publish and 4 subscribers read: all
# read the same, in one order, and what was acknowledged is there once.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 5
check "group-kills" python3 "$ROOT/tests/shows/group-kills.py" "$WORK/dev" "${KILLS:-10}" "${RATE:-20}"
