"""A server is stopped while puts and checkpoints pass, and comes back from a checkpoint. checkpoint.py DEV-FOLDER PUTS CLIENTS EVERY"""
import glob, hashlib, re, struct
from feed import *

LOADED = re.compile(r"the catalog goes on behind the checkpoint at (\d+)")
FACTS = 1 + 8 + 8 + 8 + 8 + 4 * 4

cluster, puts, clients, every = Cluster(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
away, others = len(cluster.urls) - 1, cluster.urls[:-1]


def state(url):
    """A server's catalog, as the answer to a backup tells it: its number, a digest of it, its bytes. The sessions' state in it is the newest
    that was kept, which is equal only where a checkpoint is due (docs/formats/catalog.md): left out."""
    status, body, _ = request(url, "POST", "/v1/backup", b"", timeout=300)
    if status != 200:
        fail(f"the state of {url}: {status}")
    at, content = 0, bytearray()
    while (length := struct.unpack_from("<I", body, at)[0]) > 0:
        content += body[at + 4:at + 4 + length]
        at += 4 + length
    facts = struct.unpack_from("<I", content, 1)[0]
    digest = hashlib.sha256(content[5:5 + FACTS])
    digest.update(content[5 + facts:])
    return struct.unpack_from("<Q", content, 6)[0], digest.hexdigest(), len(content)


def lists(i):
    """The checkpoints on a server's disk: the digest of each, and its bytes."""
    folder, found = os.path.join(os.path.dirname(cluster.servers[i]["config"]), "data", "checkpoints"), {}
    for name in glob.glob(folder + "/*.list"):
        try:
            with open(name, "rb") as file:
                found[int(os.path.basename(name).split(".")[0])] = hashlib.sha256(file.read()).hexdigest(), os.path.getsize(name[:-4] + "blocks")
        except FileNotFoundError:
            pass
    return found


def log(i):
    with open(os.path.join(cluster.folder, f"restarted-{i + 1}.log")) as file:
        return file.read()


def put_through(urls, count, before):
    """Puts, and which checkpoints are advertised meanwhile."""
    bench = subprocess.Popen([CARILLON, "--server", ",".join(urls), "bench", "put", "--ack", "agreed", "--clients", str(clients),
                              "--count", str(count), "--size", "100", "--no-limits", "-o", "json", "-q"], stdout=subprocess.PIPE, text=True)
    seen, begin, told = [], time.monotonic(), time.monotonic()
    while bench.poll() is None:
        now = feed_status(urls[0])
        if (now.get("checkpoint") or 0) > max([before, *seen]):
            seen.append(now["checkpoint"])
        if time.monotonic() - told > 15:
            told = time.monotonic()
            print(f"   {told - begin:.0f} s: {now.get('applied')} applied, checkpoints {seen}", flush=True)
        time.sleep(0.2)
    if bench.returncode != 0:
        fail(f"the puts ended with {bench.returncode}: {bench.stdout.read()}")
    print(f"   {count} puts in {time.monotonic() - begin:.1f} s", flush=True)
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


try:
    if not wait_for(lambda: all(json.loads(request(url, "GET", "/v1/cluster")[1])["quorum"]["connected"] == len(cluster.urls) for url in cluster.urls), 60):
        fail("not connected")
    if carillon(["bucket", "create", "bench", "-q"], cluster.urls).returncode != 0:
        fail("no bucket")
    stopped_at = level(cluster.urls, 60)
    cluster.kill(away)
    print(f"   {cluster.servers[away]['name']} is stopped at {stopped_at}", flush=True)
    seen = put_through(others, puts, stopped_at)
    upto = level(others, 120)
    if (newest := feed_status(others[0]).get("checkpoint") or 0) not in seen:
        seen.append(newest)
    if len(seen) < 3:
        fail(f"{len(seen)} checkpoints were advertised: {seen}")
    ok(f"{upto - stopped_at} numbers and {len(seen)} checkpoints ({', '.join(map(str, seen))}) passed while it was stopped")
    begin = time.monotonic()
    cluster.start(away)
    taken = {}

    def has_loaded():
        if not taken and (loaded := LOADED.search(log(away))):
            taken.update(number=int(loaded[1]), seconds=time.monotonic() - begin, bytes=lists(away)[int(loaded[1])][1])
        return taken

    if not wait_for(has_loaded, 120):
        fail(f"it has loaded none of {seen}; the feed there: {feed_status(cluster.urls[away])}, checkpoints {sorted(lists(away))}")
    if taken["number"] not in seen:
        fail(f"it loaded {taken}, which was not advertised: {seen}")
    upto = level(cluster.urls, 180)
    ok(f"level at {upto} in {time.monotonic() - begin:.1f} s: the checkpoint at {taken['number']}, {taken['bytes']:,} bytes, loaded after "
       f"{taken['seconds']:.1f} s, and {upto - taken['number']} numbers behind it")
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
    due = (upto // every + 1) * every
    put_through(cluster.urls, due - upto + 10, due)
    level(cluster.urls, 60)
    if not wait_for(lambda: all(due in lists(i) for i in range(len(cluster.urls))), 60):
        fail(f"not every server made a checkpoint at {due}: {[sorted(lists(i)) for i in range(len(cluster.urls))]}")
    made = [lists(i)[due][0] for i in range(len(cluster.urls))]
    if len(set(made)) != 1:
        fail(f"the checkpoints at {due} differ: {made}")
    ok(f"the checkpoint at {due}, which each made of its own state, is the same: digest {made[0][:16]}…, {lists(away)[due][1]:,} bytes")
    if any(carillon(["check", "feed"], [url]).returncode != 0 for url in cluster.urls):
        fail("check feed")
    ok("check feed, at each server")
finally:
    cluster.end()
