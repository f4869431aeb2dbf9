"""What the primaries of both sides wrote. service-partition.py CLUSTER-FOLDER"""
from services import *

written = terms(lines(sys.argv[1], "writer"))
before = [t for t in written if t[1] in ("s1", "s2")]
after = [t for t in written if before and t[0] > before[-1][0]]
if not before or not after:
    sys.exit(f"FAILED: {written}")
ok(f"epoch {before[-1][0]} on {before[-1][1]} wrote last {after[0][2] - before[-1][3]:.2f} s before epoch {after[0][0]} on {after[0][1]} began")
ok(f"{len(written)} epochs, none overlaps another")
