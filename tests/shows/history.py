"""16 clients put, get, delete, compare and set 20 names through all servers while those are killed, stopped and started; the history is
written as JSON lines for the simulator's linearizability checker. history.py DEV-FOLDER SECONDS FILE"""
import json, sys, threading
from cluster import *

cluster = Cluster(sys.argv[1])
seconds = float(sys.argv[2])
entries = [[] for _ in range(16)]
end = time.monotonic() + seconds
done = threading.Event()
struck = {"kills": 0, "stops": 0}
refused = [0]
values = {}  # of versions that somebody wrote or read, by UID


def client(worker):
    pick = random.Random(worker)
    turn, known = 0, {}
    while time.monotonic() < end:
        turn += 1
        name = f"files/h{pick.randrange(20)}"
        path = f"/v1/buckets/files/objects/h{name[7:]}"
        urls = cluster.urls[:]
        pick.shuffle(urls)
        chance = pick.random()
        begin = time.monotonic_ns()
        entry = {"client": f"c{worker}", "name": name, "invoked": begin}
        if chance < 0.4:
            try:
                status, answer, headers = request(urls[0], "GET", path, timeout=4)
            except (OSError, http.client.HTTPException):
                continue
            if status in (200, 404):
                if status == 200:
                    known[name] = headers["ETag"]
                    values[headers["ETag"].strip('"')] = answer.decode()
                entries[worker].append({**entry, "action": "Get", "returned": time.monotonic_ns(), "outcome": "Ok",
                                        **({"value": answer.decode()} if status == 200 else {})})
            continue
        conditions = {}
        if chance < 0.65:
            # Compare and set: what it compares with is what this client saw last, or that there is nothing.
            tag = known.get(name) if pick.random() < 0.7 else None
            conditions = {"If-Match": tag} if tag else {"If-None-Match": "*"}
            entry |= {"isConditional": True, **({"expected": values[tag.strip('"')]} if tag else {})}
        value = f"{worker}-{turn}" if chance < 0.85 else None
        outcome, answer = submit(urls, "PUT" if value else "DELETE", path, value.encode() if value else None, f"h-{worker}-{turn}", tries=3,
                                 timeout=5, headers=conditions)
        entry |= {"action": "Put" if value else "Delete", **({"value": value} if value else {})}
        if outcome == "accepted":
            if value:
                values[answer["uid"]] = value
                known[name] = f'"{answer["uid"]}"'
            entries[worker].append({**entry, "outcome": "Ok", "returned": time.monotonic_ns()})
        elif outcome == "refused":
            # It tells what was there, where the value of that version is known: a read, then. Else it was not done, and that is all.
            winner = answer.get("winner")
            if winner is None or winner in values:
                entries[worker].append({"client": f"c{worker}", "name": name, "invoked": begin, "action": "Get", "outcome": "Ok",
                                        "returned": time.monotonic_ns(), **({"value": values[winner]} if winner else {})})
            refused[0] += 1
        else:
            entries[worker].append({**entry, "outcome": "Failed" if outcome == "rejected" else "Unknown"})


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
    kind = entry["action"] + (" if " if entry.get("isConditional") else " ") + entry["outcome"]
    kinds[kind] = kinds.get(kind, 0) + 1
print(struck, kinds, {"refused": refused[0]})
