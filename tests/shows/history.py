"""Show 5: 16 clients put, get and delete 20 names through all servers while those are killed, stopped and started; the history is
written as JSON lines for the simulator's linearizability checker. history.py DEV-FOLDER SECONDS FILE"""
import json, sys, threading
from cluster import *

cluster = Cluster(sys.argv[1])
seconds = float(sys.argv[2])
entries = [[] for _ in range(16)]
end = time.monotonic() + seconds
done = threading.Event()
struck = {"kills": 0, "stops": 0}


def client(worker):
    pick = random.Random(worker)
    turn = 0
    while time.monotonic() < end:
        turn += 1
        name = f"files/h{pick.randrange(20)}"
        path = f"/v1/buckets/files/objects/h{name[7:]}"
        urls = cluster.urls[:]
        pick.shuffle(urls)
        chance = pick.random()
        begin = time.monotonic_ns()
        if chance < 0.5:
            try:
                status, answer, _ = request(urls[0], "GET", path, timeout=4)
            except (OSError, http.client.HTTPException):
                continue
            if status in (200, 404):
                entries[worker].append({"client": f"c{worker}", "action": "Get", "name": name, "invoked": begin, "returned": time.monotonic_ns(),
                                        "outcome": "Ok", **({"value": answer.decode()} if status == 200 else {})})
            continue
        value = f"{worker}-{turn}" if chance < 0.85 else None
        outcome = write(urls, "PUT" if value else "DELETE", path, value.encode() if value else None, f"h-{worker}-{turn}", tries=3, timeout=5)
        entries[worker].append({"client": f"c{worker}", "action": "Put" if value else "Delete", "name": name, "invoked": begin,
                                "outcome": {"accepted": "Ok", "rejected": "Failed", "unknown": "Unknown"}[outcome],
                                **({"value": value} if value else {}), **({"returned": time.monotonic_ns()} if outcome == "accepted" else {})})


def faults():
    pick = random.Random(99)
    while not done.is_set():
        i = pick.randrange(len(cluster.urls))
        if pick.random() < 0.5:
            struck["kills"] += 1
            cluster.kill(i)
            done.wait(pick.uniform(0.3, 2))
            cluster.start(i)
            cluster.wait_ready(i, 20)
        else:
            struck["stops"] += 1
            cluster.stop(i)
            done.wait(pick.uniform(0.3, 4))
            cluster.go_on(i)
        done.wait(pick.uniform(0.5, 2))


threads = [threading.Thread(target=client, args=(w,)) for w in range(16)]
injector = threading.Thread(target=faults)
injector.start()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
done.set()
injector.join()
cluster.end()
with open(sys.argv[3], "w") as file:
    for entry in (e for list in entries for e in list):
        file.write(json.dumps(entry) + "\n")
kinds = {}
for entry in (e for list in entries for e in list):
    kinds[entry["action"] + " " + entry["outcome"]] = kinds.get(entry["action"] + " " + entry["outcome"], 0) + 1
print(struck, kinds)
