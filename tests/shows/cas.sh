#!/usr/bin/env bash
# 20 clients race `put --if-none-match '*'` for one name through all servers, 20 rounds, with a kill of the sequencer in every fourth: one wins each round.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
"$CARILLON" bucket create files -q || fail "bucket"
check "cas" python3 "$ROOT/tests/shows/cas.py" "$WORK/dev" "${CLIENTS:-20}" "${ROUNDS:-20}"
