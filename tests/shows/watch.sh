#!/usr/bin/env bash
# `carillon watch` through the death of each server in turn, while four clients write: nothing missed, nothing twice, the same order everywhere.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
"$CARILLON" bucket create files -q || fail "bucket"
check "watch" python3 "$ROOT/tests/shows/watch.py" "$WORK/dev" "${ROUNDS:-2}"
