"""Clients race to make one object through all servers, in rounds; in some the sequencer is killed in the middle. cas.py DEV-FOLDER CLIENTS ROUNDS"""
from feed import *

cluster, clients, rounds = Cluster(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
count = len(cluster.urls)
totals = {}
if not wait_for(lambda: all(json.loads(request(url, "GET", "/v1/cluster")[1])["quorum"]["connected"] == count for url in cluster.urls), 60):
    fail("not connected")


class Racer:
    """One `put`, by way of all servers. Exit code 7 says that nothing was stored, and to try again; so it does, under its key."""
    def __init__(self, turn, index):
        self.turn, self.index, self.code = turn, index, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        urls = [cluster.urls[(self.index + n) % count] for n in range(count)]
        name = f"race-{self.turn}"
        for _ in range(5):
            run = carillon(["put", "-", f"files/{name}", "--if-none-match", "*", "--key", f"{name}-{self.index}", "--timeout", "20s"], urls,
                           timeout=100, input=f"{self.turn}-{self.index}")
            self.code, self.uid, self.error = run.returncode, run.stdout.strip(), run.stderr.strip()
            if self.code != 7:
                return


try:
    for turn in range(rounds):
        name, kill = f"race-{turn}", turn % 4 == 2
        victim = sequencer(cluster, range(count)) if kill else None
        racers = [Racer(turn, i) for i in range(clients)]
        if kill:
            time.sleep(random.Random(turn).uniform(0.3, 2.5))
            cluster.kill(victim)
        codes, winners = [], []
        for racer in racers:
            racer.thread.join(120)
            codes.append(racer.code)
            if racer.code == 0:
                winners.append((racer.index, racer.uid))
            elif racer.code not in (5, 8):
                fail(f"round {turn}, client {racer.index}: exit code {racer.code}: {racer.error}")
        if kill:
            cluster.start(victim)
            if not cluster.wait_ready(victim, 60):
                fail(f"server {victim + 1} is not ready")
        for i, code in enumerate(codes):
            if code == 8:
                outcome, uid = outcome_of(cluster.urls, f"{name}-{i}")
                if outcome == "accepted":
                    winners.append((i, uid))
        if len(winners) != 1:
            fail(f"round {turn}: {len(winners)} winners: {winners}, codes {codes}")
        status, body, headers = request(cluster.urls[turn % count], "GET", f"/v1/buckets/files/objects/{name}")
        if body.decode() != f"{turn}-{winners[0][0]}" or headers["ETag"] != f'"{winners[0][1]}"':
            fail(f"round {turn}: {winners[0]} won, and the object is {status} {body} {headers['ETag']}")
        for code in codes:
            totals[code] = totals.get(code, 0) + 1
        print(f"   round {turn + 1}{' (sequencer killed)' if kill else ''}: {sorted(codes)[0]} once, {codes.count(5)} times 5, {codes.count(8)} times 8", flush=True)
    ok(f"{rounds} rounds of {clients} clients, one winner each; exit codes {totals}")
finally:
    cluster.end()
