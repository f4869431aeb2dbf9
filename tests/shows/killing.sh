#!/usr/bin/env bash
# 2,000 files by 16 clients while one server after another is killed with -9 and started again.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
"$CARILLON" bucket create files || fail "bucket"
check "killing" python3 "$ROOT/tests/shows/"killing.py "$WORK/dev" "${COUNT:-2000}" "${SECONDS_LONG:-45}"
