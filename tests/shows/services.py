"""What the shows of services share: the lines that a service writes on each node, and what follows from them."""
import glob, json, os, subprocess, sys
from cluster import *

# Every 50 ms: epoch, node and time, into a file of its node.
WRITER = 'while :; do echo "$CARILLON_EPOCH $CARILLON_NODE $(date +%s.%N)" >> lines; sleep 0.05; done'


def carillon(*arguments, server=None, check=True):
    """Runs the program; its output."""
    before = ["--server", server] if server else []
    done = subprocess.run([CARILLON, *before, *arguments], capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        sys.exit(f"FAILED: carillon {' '.join(arguments)}: {done.returncode} {done.stderr.strip()}")
    return done


def show(service, urls):
    """The service as the first of the servers that answers knows it; {} if none does."""
    for url in urls:
        try:
            status, answer, _ = request(url, "GET", f"/v1/services/{service}", timeout=1)
            if status == 200:
                return json.loads(answer)
        except (OSError, http.client.HTTPException):
            pass
    return {}


def primary_of(service, urls):
    return show(service, urls).get("primary")


def wait_primary(service, urls, seconds, other_than=None):
    """The name of the primary, once there is one, and not that one."""
    found = []

    def look():
        name = primary_of(service, urls)
        if name and name != other_than:
            found.append(name)
        return bool(found)

    if not wait_for(look, seconds):
        sys.exit(f"FAILED: {service} has no primary after {seconds} s")
    return found[0]


def lines(folder, service):
    """All lines that the service wrote, on whatever node: (time, epoch, node), in order of time."""
    found = []
    for path in glob.glob(os.path.join(folder, "**", "services", service, "work", "lines"), recursive=True):
        with open(path) as file:
            for line in file:
                words = line.split()
                if len(words) == 3:
                    found.append((float(words[2]), int(words[0]), words[1]))
    return sorted(found)


def wait_line(folder, service, after_epoch, seconds):
    """Until a line of a newer epoch is there; that epoch."""
    newest = [0]

    def look():
        newest[0] = max((epoch for _, epoch, _ in lines(folder, service)), default=0)
        return newest[0] > after_epoch

    if not wait_for(look, seconds):
        sys.exit(f"FAILED: nothing of {service} after epoch {after_epoch} in {seconds} s")
    return newest[0]


def terms(written):
    """Per epoch, in order: (epoch, node, first, last); ends the show where two epochs overlap, or one has two nodes."""
    by_epoch = {}
    for time_, epoch, node in written:
        term = by_epoch.setdefault(epoch, [set(), time_, time_])
        term[0].add(node)
        term[1], term[2] = min(term[1], time_), max(term[2], time_)
    result = []
    for epoch in sorted(by_epoch):
        nodes, first, last = by_epoch[epoch]
        if len(nodes) != 1:
            sys.exit(f"FAILED: epoch {epoch} on {sorted(nodes)}")
        if result and first <= result[-1][3]:
            sys.exit(f"FAILED: epoch {epoch} begins {result[-1][3] - first:.3f} s before epoch {result[-1][0]} ends")
        result.append((epoch, nodes.pop(), first, last))
    return result


def gaps(all_terms):
    """Seconds between the last line of one epoch and the first of the next."""
    return [b[2] - a[3] for a, b in zip(all_terms, all_terms[1:])]


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p))]


def ok(what):
    print(f"ok: {what}", flush=True)
