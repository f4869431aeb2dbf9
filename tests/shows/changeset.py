"""Show 6: changesets of 10 names, and a reader that lists in a loop at every server: all ten are of one changeset, always. changeset.py DEV-FOLDER SECONDS"""
import json, sys, threading
from cluster import *

cluster = Cluster(sys.argv[1])
end = time.monotonic() + float(sys.argv[2])
half, lists, sets = [], [0], [0]


def writer():
    turn = 0
    while time.monotonic() < end:
        turn += 1
        operations = {"operations": [{"put": f"files/set/{n}", "text": f"{turn} {n}"} for n in range(10)]}
        boundary = "-carillon-show-"
        body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"changeset\"\r\nContent-Type: application/json\r\n\r\n"
                f"{json.dumps(operations)}\r\n--{boundary}--\r\n").encode()
        status, answer, _ = request(cluster.urls[turn % len(cluster.urls)], "POST", "/v1/changesets", body,
                                    {"Content-Type": f"multipart/form-data; boundary={boundary}", "Idempotency-Key": f"set-{turn}"})
        sets[0] += status == 200


def reader(url):
    while time.monotonic() < end:
        _, answer, _ = request(url, "GET", "/v1/buckets/files/objects?prefix=set/")
        uids = [o["uid"] for o in json.loads(answer)["objects"]]
        lists[0] += 1
        if uids and (len(uids) != 10 or len(set(uids)) != 1):
            half.append(uids)


threads = [threading.Thread(target=writer)] + [threading.Thread(target=reader, args=(url,)) for url in cluster.urls]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"{sets[0]} changesets, {lists[0]} listings, {len(half)} half applied", half[:1])
sys.exit(1 if half or sets[0] == 0 or lists[0] == 0 else 0)
