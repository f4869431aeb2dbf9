"""A service is moved again and again under load. service-move.py DEV-FOLDER MOVES"""
import threading
from services import *

cluster, folder, moves = Cluster(sys.argv[1]), sys.argv[1], int(sys.argv[2])
names = [s["name"] for s in cluster.servers]
carillon("bucket", "create", "files")
carillon("service", "add", "writer", "--nodes", ",".join(names), "--", "sh", "-c", WRITER)
epoch = wait_line(folder, "writer", 0, 20)
done = threading.Event()
puts = [0] * 8


def client(worker):
    while not done.is_set():
        path = f"/v1/buckets/files/objects/{worker}/{puts[worker]}"
        if request(cluster.urls[worker % len(cluster.urls)], "PUT", path, b"y" * 2000)[0] == 200:
            puts[worker] += 1


threads = [threading.Thread(target=client, args=(w,)) for w in range(8)]
for thread in threads:
    thread.start()
try:
    for move in range(moves):
        before = wait_primary("writer", cluster.urls, 10)
        target = names[(names.index(before) + 1) % len(names)]
        carillon("service", "move", "writer", "--to", target, "-q")
        epoch = wait_line(folder, "writer", epoch, 20)
        time.sleep(1)
finally:
    done.set()
    for thread in threads:
        thread.join()
all_terms = terms(lines(folder, "writer"))
ok(f"{len(all_terms)} epochs, none overlaps another; {sum(puts)} puts meanwhile")
between = gaps(all_terms)
print("without a primary: " + ", ".join(f"{1000 * g:.0f} ms" for g in between), flush=True)
if max(between) >= 0.5:
    sys.exit("FAILED: less than 500 ms is wanted")
ok("each less than 500 ms")
