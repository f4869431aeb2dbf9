"""The primary's server is stopped by SIGSTOP for 10 s, and goes on. service-pause.py DEV-FOLDER"""
from services import *

cluster, folder = Cluster(sys.argv[1]), sys.argv[1]
names = [s["name"] for s in cluster.servers]
carillon("bucket", "create", "files")
carillon("service", "add", "writer", "--nodes", ",".join(names), "--", "sh", "-c", WRITER)
old = wait_line(folder, "writer", 0, 20)
victim = names.index(wait_primary("writer", cluster.urls, 10))
others = [u for i, u in enumerate(cluster.urls) if i != victim]
fence = {"Carillon-Fence": f"service=writer;epoch={old}", "Idempotency-Key": "before"}
status, answer, _ = request(cluster.urls[victim], "PUT", "/v1/buckets/files/objects/before", b"x", fence)
if status != 200:
    sys.exit(f"FAILED: a put of the primary's own epoch: {status} {answer}")
cluster.stop(victim)
stopped = time.time()
try:
    new = wait_line(folder, "writer", old, 15)
    ok(f"epoch {new} began {time.time() - stopped:.2f} s after the server of epoch {old} was stopped")
    time.sleep(max(0, stopped + 10 - time.time()))
finally:
    cluster.go_on(victim)
went_on = time.time()
if not cluster.wait_ready(victim, 20):
    sys.exit("FAILED: the server that was stopped is not ready again")
time.sleep(2)
written = lines(folder, "writer")
all_terms = terms(written)
ok(f"{len(all_terms)} epochs, none overlaps another: the command of epoch {old} wrote last {all_terms[0][3] - stopped:.2f} s after the stop")
if any(epoch <= old and at > went_on for at, epoch, _ in written):
    sys.exit("FAILED: the old primary wrote again")
ok("the old primary has not written again")
for i, url in enumerate(cluster.urls):
    fence["Idempotency-Key"] = f"after-{i}"
    status, answer, _ = request(url, "PUT", "/v1/buckets/files/objects/after", b"x", fence)
    if status != 412 or json.loads(answer)["code"] != "fenced":
        sys.exit(f"FAILED: a put of epoch {old} by {names[i]}: {status} {answer}")
ok(f"a put of epoch {old} is refused by every server: 412, fenced")
put = carillon("put", __file__, "files/after", "--fence", f"service=writer,epoch={old}", server=cluster.urls[victim], check=False)
if put.returncode != 5:
    sys.exit(f"FAILED: exit code {put.returncode}: {put.stderr}")
ok(f"exit code 5: {put.stderr.strip()}")
epoch = show("writer", cluster.urls)["epoch"]
fence = {"Carillon-Fence": f"service=writer;epoch={epoch}", "Idempotency-Key": "new"}
status, answer, _ = request(others[0], "PUT", "/v1/buckets/files/objects/new", b"x", fence)
if status != 200:
    sys.exit(f"FAILED: a put of the newest epoch: {status} {answer}")
ok(f"a put of epoch {epoch} is taken")
