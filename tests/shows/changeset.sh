#!/usr/bin/env bash
# A changeset of 10 names is never seen half applied.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
"$CARILLON" bucket create files || fail "bucket"
check "changeset" python3 "$ROOT/tests/shows/"changeset.py "$WORK/dev" "${SECONDS_LONG:-20}"
