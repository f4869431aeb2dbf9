"""A server is stopped while puts and checkpoints pass, and comes back from a checkpoint. checkpoint.py DEV-FOLDER PUTS CLIENTS"""
import glob, hashlib, struct
from feed import *

cluster, puts, clients = Cluster(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
away, others = len(cluster.urls) - 1, cluster.urls[:-1]


def state(url):
    """The state of a server's catalog, as the answer to a backup tells it: its number, the digest of its list of blocks, their bytes."""
    status, body, _ = request(url, "POST", "/v1/backup", b"", timeout=300)
    if status != 200:
        fail(f"the state of {url}: {status}")
    at, total = 0, 0
    while (length := struct.unpack_from("<I", body, at)[0]) > 0:
        at, total = at + 4 + length, total + length
    length = struct.unpack_from("<I", body, at + 4)[0]
    listed = body[at + 8:at + 8 + length]
    return struct.unpack_from("<Q", listed, 1)[0], hashlib.sha256(listed).hexdigest(), total


def put_through(before):
    """Puts, and which checkpoints are advertised meanwhile."""
    bench = subprocess.Popen([CARILLON, "--server", ",".join(others), "bench", "put", "--ack", "agreed", "--clients", str(clients),
                              "--count", str(puts), "--size", "100", "--no-limits", "-o", "json", "-q"], stdout=subprocess.PIPE, text=True)
    seen, begin, told = [], time.monotonic(), time.monotonic()
    while bench.poll() is None:
        now = feed_status(others[0])
        if now.get("checkpoint") and now["checkpoint"] > before and now["checkpoint"] not in seen:
            seen.append(now["checkpoint"])
        if time.monotonic() - told > 15:
            told = time.monotonic()
            print(f"   {told - begin:.0f} s: {now.get('applied')} applied, checkpoints {seen}", flush=True)
        time.sleep(0.2)
    if bench.returncode != 0:
        fail(f"the puts ended with {bench.returncode}: {bench.stdout.read()}")
    print(f"   {puts} puts in {time.monotonic() - begin:.1f} s", flush=True)
    return seen


def level(urls, seconds):
    """All of them have applied what any of them knows to be committed; that number."""
    upto = []

    def is_level():
        known = [feed_status(url) for url in urls]
        upto.append(max(k.get("committed", 0) for k in known))
        return upto[-1] > 0 and all(k.get("applied", 0) >= upto[-1] for k in known)

    if not wait_for(is_level, seconds):
        fail(f"not level after {seconds} s: {[feed_status(url) for url in urls]}")
    return upto[-1]


def fetched():
    """Bytes of checkpoints on the disk of the one that was away."""
    folder = os.path.join(os.path.dirname(cluster.servers[away]["config"]), "data", "checkpoints")
    return {int(os.path.basename(name).split(".")[0]): os.path.getsize(name) for name in glob.glob(folder + "/*.blocks")}


try:
    if not wait_for(lambda: all(json.loads(request(url, "GET", "/v1/cluster")[1])["quorum"]["connected"] == len(cluster.urls) for url in cluster.urls), 60):
        fail("not connected")
    if carillon(["bucket", "create", "bench", "-q"], cluster.urls).returncode != 0:
        fail("no bucket")
    stopped_at = level(cluster.urls, 60)
    cluster.kill(away)
    print(f"   {cluster.servers[away]['name']} is stopped at {stopped_at}", flush=True)
    seen = put_through(stopped_at)
    upto = level(others, 120)
    if (newest := feed_status(others[0]).get("checkpoint") or 0) not in seen:
        seen.append(newest)
    if len(seen) < 3:
        fail(f"{len(seen)} checkpoints were advertised: {seen}")
    ok(f"{upto - stopped_at} numbers and {len(seen)} checkpoints ({', '.join(map(str, seen))}) passed while it was stopped")
    begin = time.monotonic()
    cluster.start(away)
    if not cluster.wait_ready(away, 120):
        fail("it is not ready")
    ready = time.monotonic() - begin
    upto = level(cluster.urls, 180)
    there = time.monotonic() - begin
    had = fetched()
    if not any(number in had for number in seen):
        fail(f"it is level, and has no checkpoint of {seen}: {had}")
    number = max(number for number in had if number in seen)
    ok(f"level at {upto} in {there:.1f} s (answers after {ready:.1f} s): the checkpoint at {number}, {had[number]:,} bytes, and {upto - number} numbers behind it")
    put = carillon(["put", "-", "bench/last", "--ack", "sequenced", "-o", "json"], [cluster.urls[away]], input="last")
    if put.returncode != 0:
        fail(f"a put through it: {put.stderr}")
    level(cluster.urls, 60)
    states = [state(url) for url in cluster.urls]
    for server, (at, digest, size) in zip(cluster.servers, states):
        print(f"   {server['name']}: state at {at}, {size:,} bytes, digest {digest[:16]}…", flush=True)
    if len({(at, digest) for at, digest, _ in states}) != 1:
        fail("the states differ")
    ok("the digests of all states are equal")
    if any(carillon(["check", "feed"], [url]).returncode != 0 for url in cluster.urls):
        fail("check feed")
    ok("check feed, at each server")
finally:
    cluster.end()
