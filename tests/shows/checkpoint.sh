#!/usr/bin/env bash
# One of three servers is stopped while 160,000 puts and three checkpoints pass: it comes back from a checkpoint, and its state's digest equals the others'.
source "$(dirname "$0")/lib.sh"
export CARILLON
[ -n "${EVERY:-}" ] && export CARILLON__FEED__CHECKPOINTEVERY=$EVERY
dev 3
check "checkpoint" python3 "$ROOT/tests/shows/checkpoint.py" "$WORK/dev" "${PUTS:-160000}" "${CLIENTS:-64}"
