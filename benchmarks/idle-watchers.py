"""Opens connections to one server of a dev cluster and looks at its process: idle-watchers.py DEV-FOLDER COUNT"""
import json, os, selectors, socket, sys, time, urllib.parse, urllib.request

folder, count = sys.argv[1], int(sys.argv[2])
server = json.load(open(os.path.join(folder, "dev.json")))["servers"][0]
url, pid = urllib.parse.urlparse(server["http"]), server["pid"]
tick = os.sysconf("SC_CLK_TCK")


def look():
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(status["RssAnon"].split()[0]) * 1024, int(status["Threads"]), (int(fields[11]) + int(fields[12])) / tick


def connect(path, accept):
    s = socket.create_connection((url.hostname, url.port))
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: {accept}\r\n\r\n".encode())
    return s


def drain(sockets, until):
    """Reads until that text came on every socket; when it came on the last."""
    left = {s: b"" for s in sockets}
    with selectors.DefaultSelector() as selector:
        for s in sockets:
            s.setblocking(False)
            selector.register(s, selectors.EVENT_READ)
        while left:
            for key, _ in selector.select(60):
                left[key.fileobj] = left[key.fileobj][-200:] + key.fileobj.recv(65536)
                if until in left[key.fileobj]:
                    selector.unregister(key.fileobj)
                    del left[key.fileobj]
    return time.monotonic()


def put(bucket, name):
    request = urllib.request.Request(f"{server['http']}/v1/buckets/{bucket}/objects/{name}", data=b"x", method="PUT")
    with urllib.request.urlopen(request) as answer:
        answer.read()


def settle():
    time.sleep(12)  # long enough for the server to give back what it only needed to open them
    return look()


def open_many(what, path, accept, until):
    before = look()[0]
    sockets = []
    for begin in range(0, count, 200):
        some = [connect(path, accept) for _ in range(min(200, count - begin))]
        drain(some, until)
        sockets += some
    memory, threads, _ = settle()
    print(f"{count} {what}: {(memory - before) / count:.0f} B of memory each, {threads} threads")
    return sockets


def rest(what, seconds=30):
    busy = look()[2]
    time.sleep(seconds)
    return print(f"{what}: {(look()[2] - busy) / seconds * 100:.2f} % of a processor")


put("files", "warm")
base, threads, _ = settle()
print(f"server at rest: {base >> 20} MiB, {threads} threads")
rest("processor without watchers")
plain = open_many("connections that rest", "/healthz/live", "*/*", b'"live"')
watchers = open_many("watchers that wait", "/v1/feed?bucket=files", "text/event-stream", b"Carillon-Next")
rest("processor with them, heartbeats included")
for name in ("other/a", "files/a"):
    bucket, key = name.split("/")
    times = []
    for i in range(5):
        busy, begin = look()[2], time.monotonic()
        put(bucket, key + str(i))
        if bucket == "files":
            drain(watchers, f'"{key}{i}"'.encode())
        times.append((time.monotonic() - begin, look()[2] - busy))
    took, busy = sorted(times)[2]
    print(f"a put into {bucket}, {'which none' if bucket == 'other' else 'which all'} of them watch: {took * 1000:.0f} ms to its {'answer' if bucket == 'other' else 'last watcher'}, "
          f"{busy * 1000:.0f} ms of processor")
