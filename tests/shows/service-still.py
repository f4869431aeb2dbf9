"""Servers that are not primary are killed, stopped and started. service-still.py DEV-FOLDER"""
from services import *

cluster, folder = Cluster(sys.argv[1]), sys.argv[1]
names = [s["name"] for s in cluster.servers]
try:
    carillon("service", "add", "writer", "--nodes", ",".join(names), "--secondaries", "1", "--", "sh", "-c", WRITER)
    epoch = wait_line(folder, "writer", 0, 20)
    primary = wait_primary("writer", cluster.urls, 10)
    home = cluster.urls[names.index(primary)]
    for i in [i for i in range(len(names)) if names[i] != primary]:
        cluster.kill(i)
        time.sleep(3)
        cluster.start(i)
        if not cluster.wait_ready(i, 30):
            sys.exit(f"FAILED: {names[i]} is not ready")
        now = show("writer", [home])
        if (now.get("primary"), now.get("epoch")) != (primary, epoch):
            sys.exit(f"FAILED: {names[i]} was killed, and the primary is {now.get('primary')} in epoch {now.get('epoch')}")
        ok(f"{names[i]} was killed and started: {primary} is primary in epoch {epoch} as before")
    for node in [n for n in names if n != primary][-1:]:
        for method in ("DELETE", "PUT"):
            status, answer, _ = request(home, method, f"/v1/services/writer/providers/{node}")
            if status != 200:
                sys.exit(f"FAILED: {method} provider {node}: {status} {answer}")
            time.sleep(1)
        ok(f"{node} left the providers and joined them again")
    all_terms = terms(lines(folder, "writer"))
    if [t[0] for t in all_terms] != [epoch]:
        sys.exit(f"FAILED: epochs {[t[0] for t in all_terms]}")
    written = [at for at, _, _ in lines(folder, "writer")]
    ok(f"one epoch, {len(written)} lines, longest silence {max(b - a for a, b in zip(written, written[1:])):.2f} s")
finally:
    cluster.end()
