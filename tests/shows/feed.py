"""What the shows of the feed share: the sequencer, the feed as a server tells it, commands."""
import subprocess, sys
from cluster import *


def fail(text):
    sys.exit(f"FAILED: {text}")


def ok(what):
    print(f"ok: {what}", flush=True)


def feed_status(url):
    """The feed as that server knows it; {} if it does not answer."""
    try:
        status, answer, _ = request(url, "GET", "/v1/cluster", timeout=2)
        return json.loads(answer)["feed"] if status == 200 else {}
    except (OSError, http.client.HTTPException):
        return {}


def sequencer(cluster, up, seconds=20):
    """Which of the servers that are up gives the numbers, as one of them says."""
    names = [s["name"] for s in cluster.servers]
    found = []

    def known():
        for i in up:
            name = feed_status(cluster.urls[i]).get("sequencer")
            if name and names.index(name) in up:
                found.append(names.index(name))
                return True
        return False

    if not wait_for(known, seconds):
        fail(f"no sequencer within {seconds} s")
    return found[-1]


def entries(url, upto, query="", seconds=60):
    """The feed's lines at one server, from the beginning up to a number, in order of (sequence, name)."""
    target = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=seconds)
    connection.request("GET", f"/v1/feed?from=begin{query}", headers={"Accept": "application/jsonl"})
    answer = connection.getresponse()
    if answer.status != 200:
        fail(f"the feed of {url}: {answer.status} {answer.read()}")
    lines = []
    while True:
        line = json.loads(answer.readline())
        if line["sequence"] > upto:
            break
        lines.append(line)
        if line["sequence"] == upto and not line.get("more"):
            break
    connection.close()
    return lines


def same_everywhere(urls, upto, query=""):
    """Every server tells the same up to that number; those lines."""
    told = [entries(url, upto, query) for url in urls]
    for url, lines in zip(urls[1:], told[1:]):
        if lines != told[0]:
            different = next(((a, b) for a, b in zip(told[0], lines) if a != b), (len(told[0]), len(lines)))
            fail(f"{urls[0]} and {url} tell different feeds: {different}")
    return told[0]


def carillon(arguments, urls, timeout=60, **how):
    return subprocess.run([CARILLON, "--server", ",".join(urls), *arguments], capture_output=True, text=True, timeout=timeout, **how)


def outcome_of(urls, key, seconds=60):
    """What became of a write, by its key, once any server can tell: "accepted" or "rejected", and its UID."""
    found = []

    def told():
        run = carillon(["submission", "show", "--key", key, "-o", "json"], urls)
        if run.returncode == 0 and json.loads(run.stdout)["outcome"] in ("accepted", "rejected"):
            found.append(json.loads(run.stdout))
            return True
        return False

    if not wait_for(told, seconds):
        fail(f"nobody can tell what became of {key}")
    return found[-1]["outcome"], found[-1].get("uid")
