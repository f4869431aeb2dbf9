"""Parts of partition-feed.sh, each run in a server's network namespace.
partition-feed.py load URL TOKEN-FILE FILE STOP     one put after the other until the file STOP is there; a line for each into FILE
partition-feed.py feed URL TOKEN-FILE UPTO FILE     the feed from the beginning up to a number
partition-feed.py judge FOLDER BEGIN CUT HEALED           what FILEs load1, load4 and feed1 to feed5 say; the cut was made between BEGIN
                                                    and CUT; times as time.monotonic()"""
from feed import *

command, arguments = sys.argv[1], sys.argv[2:]


def load(url, token, path, stop):
    headers = {"Authorization": "Bearer " + open(token).read().strip(), "Carillon-Ack": "sequenced"}
    turn = 0
    with open(path, "w") as file:
        while not os.path.exists(stop):
            turn += 1
            key = f"{os.path.basename(path)}-{turn}"
            entry = {"key": key, "invoked": time.monotonic()}
            try:
                status, answer, _ = request(url, "PUT", f"/v1/buckets/files/objects/{key}", key.encode(), {"Idempotency-Key": key, **headers}, timeout=4)
                entry |= {"status": status, "answer": json.loads(answer)}
            except (OSError, http.client.HTTPException) as fault:
                entry |= {"status": 0, "answer": {"detail": str(fault)}}
            file.write(json.dumps(entry | {"returned": time.monotonic()}) + "\n")
            file.flush()
            time.sleep(0.05)


def feed(url, token, upto, path):
    target = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=30)
    connection.request("GET", "/v1/feed?from=begin&bucket=files", headers={
        "Accept": "application/jsonl", "Authorization": "Bearer " + open(token).read().strip()})
    answer, lines = connection.getresponse(), []
    while not lines or lines[-1]["sequence"] < int(upto):
        lines.append(json.loads(answer.readline()))
    json.dump(lines, open(path, "w"))


def judge(folder, begin, cut, healed):
    def lines(name):
        return [json.loads(line) for line in open(os.path.join(folder, name))]
    begin, cut, healed = float(begin), float(cut), float(healed)
    minority, majority = lines("load1"), lines("load4")
    cut_off = [e for e in minority if e["invoked"] > cut and e["returned"] < healed]
    wrong = [e for e in cut_off if e["status"] in (200, 202)]
    if wrong or not cut_off:
        fail(f"the minority acknowledged {wrong[:2]} of {len(cut_off)}")
    ok(f"the minority acknowledged none of {len(cut_off)} puts while it was cut off")
    went_on = next((e for e in majority if e["invoked"] > cut and e["status"] == 200 and e["answer"]["sequence"]), None)
    if went_on is None or went_on["returned"] > healed:
        fail("the majority gave no number while the minority was cut off")
    sequenced = [e["returned"] for e in majority if e["status"] == 200 and begin - 1 < e["returned"] < healed]
    stop = max(b - a for a, b in zip(sequenced, sequenced[1:]))
    ok(f"the majority's longest stop around the cut: {stop:.2f} s")
    if stop > 5:
        fail("longer than 5 s")
    feeds = [json.load(open(os.path.join(folder, f"feed{i}"))) for i in range(1, 6)]
    if any(f != feeds[0] for f in feeds):
        fail(f"different histories: {[len(f) for f in feeds]}")
    names = [line["name"] for line in feeds[0]]
    acknowledged = [e["key"] for e in minority + majority if e["status"] in (200, 202)]
    bad = [key for key in acknowledged if names.count(key) != 1]
    if bad or len(set(names)) != len(names):
        fail(f"acknowledged and not there once: {bad[:3]}; {len(names) - len(set(names))} names twice")
    ok(f"one history of {len(names)} entries at all five servers, with all {len(acknowledged)} acknowledged puts once each")


{"load": load, "feed": feed, "judge": judge}[command](*arguments)
