"""Show 3: puts by 16 clients over all servers while one after another is killed and started again. killing.py DEV-FOLDER COUNT SECONDS"""
import json, sys, threading
from cluster import *

cluster = Cluster(sys.argv[1])
count = int(sys.argv[2])
seconds = float(sys.argv[3])
kills = 0
outcomes = {}
done = threading.Event()


def content(i):
    return f"file {i} ".encode() * (1 + i % 400)


def client(worker):
    pick = random.Random(worker)
    begin = time.monotonic()
    for i in range(worker, count, 16):
        time.sleep(max(0, begin + seconds * i / count - time.monotonic()))
        urls = cluster.urls[:]
        pick.shuffle(urls)
        outcomes[i] = write(urls, "PUT", f"/v1/buckets/files/objects/k/{i}", content(i), f"key-{i}", tries=1 if i % 3 == 0 else 4)


def killer():
    global kills
    while not done.is_set():
        i = kills % len(cluster.urls)
        kills += 1
        cluster.kill(i)
        done.wait(0.7)
        cluster.start(i)
        cluster.wait_ready(i, 20)
        done.wait(0.5)
    print(f"{kills} kills")


threads = [threading.Thread(target=client, args=(w,)) for w in range(16)]
killing = threading.Thread(target=killer)
killing.start()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
done.set()
killing.join()
counts = {kind: sum(1 for o in outcomes.values() if o == kind) for kind in ("accepted", "rejected", "unknown")}
print(counts)
bad = []
unknown = [i for i, outcome in outcomes.items() if outcome == "unknown"]


def verdicts(i, urls):
    found = set()
    for url in urls:
        def resolved():
            status, answer, _ = request(url, "GET", f"/v1/submissions?key=key-{i}", timeout=5)
            return status == 200 and json.loads(answer)["outcome"] in ("accepted", "rejected") and not found.add(json.loads(answer)["outcome"])
        if not wait_for(resolved, 20):
            found.add("unresolved")
    return found


# While one server stays down: what is unknown resolves all the same, and the same way everywhere.
cluster.kill(0)
for i in unknown:
    found = verdicts(i, cluster.urls[1:])
    if len(found) != 1 or "unresolved" in found:
        bad.append((i, "unknown", found))
cluster.start(0)
assert cluster.wait_ready(0, 30)
for i in unknown:
    found = verdicts(i, cluster.urls)
    if len(found) != 1 or "unresolved" in found:
        bad.append((i, "unknown", found))
    else:
        outcomes[i] = found.pop()
for i, outcome in outcomes.items():
    def settled():
        global answer
        answer = request(cluster.urls[i % len(cluster.urls)], "GET", f"/v1/buckets/files/objects/k/{i}", timeout=5)
        return answer[0] in (200, 404)
    wait_for(settled, 10)
    if outcome == "accepted" and (answer[0] != 200 or answer[1] != content(i)):
        bad.append((i, outcome, answer[0]))
    if outcome == "rejected" and answer[0] != 404:
        bad.append((i, outcome, answer[0]))
cluster.end()
print(f"{len(unknown)} unknown resolved; {len(bad)} wrong", bad[:5])
sys.exit(1 if bad or kills < 5 or counts["accepted"] < count // 2 else 0)
