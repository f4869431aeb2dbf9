"""Puts, overwrites and deletes over HTTP, several at once: changes.py COUNT URL…"""
import http.client, random, sys, threading, urllib.parse

count, urls = int(sys.argv[1]), sys.argv[2:]
failed = []


def work(worker, workers):
    pick = random.Random(worker)
    target = urllib.parse.urlparse(urls[worker % len(urls)])
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=30)
    for i in range(worker, count, workers):
        name = f"/v1/buckets/files/objects/c/{pick.randrange(count // 4)}"
        if pick.random() < 0.2:
            connection.request("DELETE", name, headers={"Idempotency-Key": f"d{i}"})
        else:
            connection.request("PUT", name, body=f"content {i}".encode() * 20, headers={"Idempotency-Key": f"p{i}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status not in (200, 202):
            failed.append((i, answer.status, body[:200]))


threads = [threading.Thread(target=work, args=(w, 16)) for w in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(f"{count} changes, {len(failed)} failed", failed[:3])
sys.exit(1 if failed else 0)
