#!/usr/bin/env bash
# No server may be elected to sequence the feed (feed.lead=false): 100 puts with --ack agreed succeed; released, all are in the feed once, in the same order everywhere.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
"$CARILLON" bucket create files -q || fail "bucket"
check "agreed-without-sequencer" python3 "$ROOT/tests/shows/agreed-without-sequencer.py" "$WORK/dev" "${PUTS:-100}"
