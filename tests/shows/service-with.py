"""Two services that must be together, through failures; and what can't be satisfied. service-with.py DEV-FOLDER KILLS"""
from services import *

cluster, folder, kills = Cluster(sys.argv[1]), sys.argv[1], int(sys.argv[2])
names = [s["name"] for s in cluster.servers]
nodes = ",".join(names)


def together(urls, seconds):
    if not wait_for(lambda: (a := primary_of("first", urls)) and a == primary_of("second", urls), seconds):
        sys.exit(f"FAILED: first on {primary_of('first', urls)}, second on {primary_of('second', urls)}")
    return primary_of("second", urls)


try:
    carillon("service", "add", "first", "--nodes", nodes, "--", "sh", "-c", WRITER)
    carillon("service", "add", "second", "--nodes", nodes, "--with", "first", "--", "sh", "-c", WRITER)
    first, second = wait_line(folder, "first", 0, 20), wait_line(folder, "second", 0, 20)
    down = None
    for kill in range(kills):
        others = [u for i, u in enumerate(cluster.urls) if i != down]
        victim = names.index(together(others, 15))
        if down is not None:
            cluster.start(down)
            if not cluster.wait_ready(down, 30):
                sys.exit(f"FAILED: {names[down]} is not ready")
        cluster.kill(victim)
        down = victim
        first, second = wait_line(folder, "first", first, 20), wait_line(folder, "second", second, 20)
    others = [u for i, u in enumerate(cluster.urls) if i != down]
    home = together(others, 15)
    carillon("service", "move", "first", server=others[0])
    moved = together(others, 15)
    if moved == home:
        sys.exit(f"FAILED: both are on {home} after a move")
    ok(f"{kills} kills and a move: the primaries are together on {moved}")
    apart = 0
    a, b = terms(lines(folder, "first")), terms(lines(folder, "second"))
    for _, node, begin, end in b:
        apart += any(begin < end2 and begin2 < end and node != node2 for _, node2, begin2, end2 in a)
    if apart:
        sys.exit(f"FAILED: {apart} times the one acted on one server while the other acted on another")
    ok("at no time did they act on two servers")
    cycle = carillon("service", "add", "first", "--replace", "--nodes", nodes, "--with", "second", "--", "sh", "-c", WRITER,
                     server=others[0], check=False)
    if cycle.returncode != 5 or "first" not in cycle.stderr or "second" not in cycle.stderr:
        sys.exit(f"FAILED: a cycle: {cycle.returncode} {cycle.stderr}")
    ok(f"a cycle is refused: {cycle.stderr.strip()}")
finally:
    cluster.end()
