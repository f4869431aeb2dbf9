#!/usr/bin/env bash
# Three servers; that of a service's primary is stopped by SIGSTOP for 10 s: its command is dead before another starts; its fenced puts are refused.
source "$(dirname "$0")/lib.sh"
export CARILLON
dev 3
check "service-pause" python3 "$ROOT/tests/shows/service-pause.py" "$WORK/dev"
