"""No server may be elected to sequence: puts go on as agreed; released, all are in the feed once. agreed-without-sequencer.py DEV-FOLDER PUTS"""
from feed import *

cluster, puts = Cluster(sys.argv[1]), int(sys.argv[2])
count, uids, failed = len(cluster.urls), {}, []


def start_all(may_lead):
    for i in range(count):
        cluster.kill(i)
    for i in range(count):
        cluster.start(i, {} if may_lead else {"CARILLON__FEED__LEAD": "false"})
    for i in range(count):
        if not cluster.wait_ready(i, 60):
            fail(f"server {i + 1} is not ready")


def putter(first):
    for n in range(first, puts, 4):
        urls = [cluster.urls[(n + i) % count] for i in range(count)]
        run = carillon(["put", "-", f"files/{n % 20}", "--ack", "agreed", "-o", "json", "--key", f"agreed-{n}"], urls, input=f"content {n}")
        if run.returncode != 0:
            failed.append((n, run.returncode, run.stderr))
            continue
        answer = json.loads(run.stdout)
        if answer["sequence"] is not None:
            failed.append((n, "has a number", answer))
        uids[answer["uid"]] = str(n % 20)


try:
    start_all(may_lead=False)
    if not wait_for(lambda: all(json.loads(request(url, "GET", "/v1/cluster")[1])["quorum"]["connected"] == count for url in cluster.urls), 30):
        fail("not connected")
    before = max(feed_status(url)["applied"] for url in cluster.urls)
    threads = [threading.Thread(target=putter, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed or len(uids) != puts:
        fail(f"{len(failed)} of {puts} puts failed: {failed[:3]}")
    ok(f"{puts} puts with --ack agreed while nobody sequences")
    newest = max(uids)
    status, body, headers = request(cluster.urls[-1], "GET", f"/v1/buckets/files/objects/{uids[newest]}")
    if status != 200 or headers["Carillon-Sequence"] is not None:
        fail(f"a read of {uids[newest]}: {status} {headers['Carillon-Sequence']}")
    ok("what is agreed is read, without a number")
    run = carillon(["put", "-", "files/late", "--ack", "sequenced", "--key", "late", "-o", "json"], cluster.urls, input="late")
    if run.returncode != 8 or json.loads(run.stderr)["code"] not in ("not-sequenced", "outcome-unknown"):
        fail(f"a put with --ack sequenced: {run.returncode} {run.stderr}")
    ok("a put that wants its number ends with 8")
    if any(feed_status(url)["sequencer"] or feed_status(url)["applied"] > before for url in cluster.urls):
        fail(f"something was sequenced: {[feed_status(url) for url in cluster.urls]}")
    start_all(may_lead=True)
    numbered = []

    def is_numbered():
        status, answer, _ = request(cluster.urls[0], "PUT", "/v1/buckets/files/objects/last", b"last", {"Idempotency-Key": f"last-{len(numbered)}"})
        numbered.append(json.loads(answer).get("sequence") if status == 200 else None)
        return bool(numbered[-1])

    if not wait_for(is_numbered, 60):
        fail(f"nothing is sequenced after the release: {[feed_status(url) for url in cluster.urls]}")
    told = {}

    def all_there():
        # The servers apply numbers a little apart: what all of them have is looked at.
        told["upto"] = min(feed_status(url)["applied"] for url in cluster.urls)
        told["lines"] = entries(cluster.urls[0], told["upto"])
        return uids.keys() <= {line["uid"] for line in told["lines"]}

    def further():
        is_numbered()
        return all_there()

    if not wait_for(further, 60):
        fail(f"{len(uids.keys() - {line['uid'] for line in told['lines']})} agreed puts are not in the feed")
    lines = same_everywhere(cluster.urls, told["upto"])
    seen = [line["uid"] for line in lines]
    if any(seen.count(uid) != 1 for uid in uids):
        fail("an agreed put is in the feed twice")
    ok(f"released: all {puts} are in the feed once each, in the same order at all {count} servers")
    if outcome_of(cluster.urls, "late")[0] != "accepted":
        fail("the put that wanted its number is lost")
    ok("the put that ended with 8 is accepted, and has its number")
finally:
    cluster.end()
