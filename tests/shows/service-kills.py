"""The primary's server is killed again and again, the one before started again. service-kills.py DEV-FOLDER KILLS"""
from services import *

cluster, folder, kills = Cluster(sys.argv[1]), sys.argv[1], int(sys.argv[2])
names = [s["name"] for s in cluster.servers]
try:
    carillon("service", "add", "writer", "--nodes", ",".join(names), "--", "sh", "-c", WRITER)
    epoch = wait_line(folder, "writer", 0, 20)
    down = None
    for kill in range(kills):
        others = [u for i, u in enumerate(cluster.urls) if i != down]
        victim = names.index(wait_primary("writer", others, 10))
        if down is not None:
            cluster.start(down)
            if not cluster.wait_ready(down, 30):
                sys.exit(f"FAILED: {names[down]} is not ready")
        cluster.kill(victim)
        down = victim
        epoch = wait_line(folder, "writer", epoch, 20)
    all_terms = terms(lines(folder, "writer"))
    ok(f"{len(all_terms)} epochs, each on one node, none overlaps another, numbers only grow")
    between = gaps(all_terms)[-kills:]
    print(f"without a primary: p50 {percentile(between, 0.5):.2f} s, p99 {percentile(between, 0.99):.2f} s, "
          f"least {min(between):.2f} s, {len(between)} kills", flush=True)
    if percentile(between, 0.5) >= 3 or percentile(between, 0.99) >= 5:
        sys.exit("FAILED: p50 < 3 s and p99 < 5 s are wanted")
    ok("p50 < 3 s, p99 < 5 s")
finally:
    cluster.end()
