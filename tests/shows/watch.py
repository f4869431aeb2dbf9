"""The feed is watched through the death of each server in turn, while names are written. watch.py DEV-FOLDER ROUNDS"""
from feed import *

cluster, rounds = Cluster(sys.argv[1]), int(sys.argv[2])
count, done = len(cluster.urls), threading.Event()
accepted, lock = {}, threading.Lock()


class Watcher:
    """A `carillon watch` that runs to the end."""
    def __init__(self, target, first):
        self.lines, self.target = [], target
        self.errors = open(os.path.join(cluster.folder, f"watch-{first}-{target.replace('/', '-')}.log"), "w")
        urls = ",".join(cluster.urls[(first + n) % count] for n in range(count))
        self.process = subprocess.Popen(
            [CARILLON, "--server", urls, "watch", target, "--from", "begin", "-o", "jsonl", "--timeout", "60s"],
            stdout=subprocess.PIPE, stderr=self.errors)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))


def writer(index):
    pick, turn = random.Random(index), 0
    while not done.is_set():
        turn += 1
        name, key = f"w{index}/{pick.randrange(50)}", f"watch-{index}-{turn}"
        urls = cluster.urls[:]
        pick.shuffle(urls)
        delete = pick.random() < 0.15
        outcome, answer = submit(urls, "DELETE" if delete else "PUT", f"/v1/buckets/files/objects/{name}", None if delete else f"{index} {turn}".encode(), key)
        if outcome == "accepted":
            with lock:
                accepted[answer["uid"]] = (name, "delete" if delete else "put")


watchers = []
try:
    watchers = [Watcher("files", i) for i in range(count)] + [Watcher("files/w1/", 0)]
    writers = [threading.Thread(target=writer, args=(i,)) for i in range(4)]
    for thread in writers:
        thread.start()
    for turn in range(rounds):
        for i in range(count):
            time.sleep(2)
            cluster.kill(i)
            time.sleep(3)
            cluster.start(i)
            if not cluster.wait_ready(i, 60):
                fail(f"server {i + 1} is not ready")
    done.set()
    for thread in writers:
        thread.join()
    outcome, last = submit(cluster.urls, "PUT", "/v1/buckets/files/objects/w1/end", b"end", "watch-end", tries=20)
    if outcome != "accepted" or not wait_for(lambda: all(w.lines and w.lines[-1]["uid"] == last["uid"] for w in watchers), 60):
        fail(f"the last put ({outcome} {last}) did not come to everybody: {[w.lines[-1:] for w in watchers]}")
    upto = watchers[0].lines[-1]["sequence"]
    truth = same_everywhere(cluster.urls, upto, "&bucket=files")
    ok(f"every server tells the same {len(truth)} entries up to number {upto}")
    for watcher in watchers:
        prefix = watcher.target.partition("/")[2]
        if watcher.lines != [line for line in truth if line["name"].startswith(prefix)]:
            fail(f"a watcher of {watcher.target} saw {len(watcher.lines)} entries, not those of the feed")
    ok(f"{len(watchers)} watchers saw just these, none missing, none twice, in one order, through {rounds * count} deaths")
    uids = {}
    for line in truth:
        uids.setdefault(line["uid"], []).append((line["name"], line["kind"]))
    missing = [uid for uid, what in accepted.items() if uids.get(uid) != [what]]
    if missing:
        fail(f"{len(missing)} accepted writes are not there once, as {missing[:3]}")
    ok(f"{len(accepted)} accepted writes are there once each")
finally:
    done.set()
    for watcher in watchers:
        watcher.process.kill()
    cluster.end()
