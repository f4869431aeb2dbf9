#!/usr/bin/env bash
# A tree of 10,000 files and more, links included, put by server 1 and read back by server 3 with server 1 killed.
source "$(dirname "$0")/lib.sh"
mkdir -p "$WORK/in"
for d in /usr/share/doc /usr/share/perl /usr/share/man /usr/share/zoneinfo /usr/share/python3; do [ -d "$d" ] && cp -a "$d" "$WORK/in/"; done
say "$(find "$WORK/in" -type f | wc -l) files, $(find "$WORK/in" -type l | wc -l) links, $(du -sh "$WORK/in" | cut -f1)"
dev 3
"$CARILLON" bucket create files || fail "bucket"
time "$CARILLON" --server "$(url 1)" put -r "$WORK/in" files/tree || fail "put -r"
kill9 1
time "$CARILLON" --server "$(url 3)" get -r files/tree "$WORK/out" || fail "get -r"
check "diff is silent" diff -r --no-dereference "$WORK/in" "$WORK/out"
