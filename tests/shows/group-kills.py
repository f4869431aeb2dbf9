"""The group's sequencer is killed again and again while messages are published and read. group-kills.py DEV-FOLDER KILLS RATE"""
import sys
from cluster import *

PUBLISHERS, SUBSCRIBERS, GROUP = 8, 4, "ticks"
LONGEST = 5.0

cluster, kills, rate = Cluster(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
names = [s["name"] for s in cluster.servers]
os.environ["CARILLON_SERVER"] = ",".join(cluster.urls)
processes = []
stopping = threading.Event()


def fail(text):
    sys.exit(f"FAILED: {text}")


class Publisher:
    """Feeds lines to a `carillon publish --lines`, which prints the numbers in the order of the lines."""
    def __init__(self, index):
        self.index, self.sent, self.numbers = index, [], []
        self.errors = open(os.path.join(cluster.folder, f"publisher-{index}.log"), "w")
        self.process = subprocess.Popen(
            [CARILLON, "publish", GROUP, "--lines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        processes.append(self.process)
        self.feeder = threading.Thread(target=self.feed)
        self.reader = threading.Thread(target=self.read)
        self.feeder.start()
        self.reader.start()

    def feed(self):
        while not stopping.is_set():
            text = f"{self.index}-{len(self.sent)}"
            self.sent.append(text)
            try:
                self.process.stdin.write((text + "\n").encode())
                self.process.stdin.flush()
            except OSError:
                return
            time.sleep(1 / rate)
        self.process.stdin.close()

    def read(self):
        for line in self.process.stdout:
            self.numbers.append(int(line))


class Subscriber:
    def __init__(self, index):
        self.messages, self.times = [], []
        self.errors = open(os.path.join(cluster.folder, f"subscriber-{index}.log"), "w")
        self.process = subprocess.Popen(
            [CARILLON, "subscribe", GROUP, "--from", "begin", "-o", "jsonl"], stdout=subprocess.PIPE, stderr=self.errors)
        processes.append(self.process)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            self.times.append(time.monotonic())
            self.messages.append((message["sequence"], message["payload"]))


def status(i):
    code, body, _ = request(cluster.urls[i], "GET", f"/v1/groups/{GROUP}", timeout=2)
    return json.loads(body) if code == 200 else None


def sequencer(up, least_epoch, seconds):
    """Who sequences, as the servers that are up say; in an epoch above the last one."""
    found = []
    def known():
        for i in up:
            answer = status(i)
            if answer and answer["sequencer"] and answer["epoch"] > least_epoch and names.index(answer["sequencer"]) in up:
                found.append((names.index(answer["sequencer"]), answer["epoch"]))
                return True
        return False
    if not wait_for(known, seconds):
        fail(f"no sequencer above epoch {least_epoch} within {seconds} s")
    return found[-1]


def longest_stop(times, begin, end):
    inside = [begin] + [t for t in times if begin <= t <= end] + [end]
    return max(b - a for a, b in zip(inside, inside[1:]))


try:
    subprocess.run([CARILLON, "group", "create", GROUP], check=True, stdout=subprocess.DEVNULL)
    subscribers = [Subscriber(i) for i in range(SUBSCRIBERS)]
    publishers = [Publisher(i) for i in range(PUBLISHERS)]
    if not wait_for(lambda: all(len(p.numbers) > 5 for p in publishers), 60):
        fail("not all publishers got numbers")
    epoch, moments, up = 0, [], list(range(len(names)))
    for kill in range(kills):
        victim, epoch = sequencer(up, epoch, 20)
        time.sleep(1)
        moments.append(time.monotonic())
        cluster.kill(victim)
        up.remove(victim)
        before = subscribers[0].messages[-1][0]
        if not wait_for(lambda: subscribers[0].messages[-1][0] > before + PUBLISHERS * 4, 30):
            fail(f"nothing goes on after kill {kill + 1} of {names[victim]}")
        cluster.start(victim)
        if not cluster.wait_ready(victim, 60):
            fail(f"{names[victim]} is not ready")
        up.append(victim)
    moments.append(time.monotonic())
    stopping.set()
    for p in publishers:
        p.feeder.join()
        if p.process.wait(60) != 0:
            fail(f"publisher {p.index} ended with {p.process.returncode}")
        p.reader.join()
        if len(p.numbers) != len(p.sent):
            fail(f"publisher {p.index} sent {len(p.sent)} messages and got {len(p.numbers)} numbers")
    last = max(p.numbers[-1] for p in publishers)
    if not wait_for(lambda: all(s.messages and s.messages[-1][0] >= last for s in subscribers), 30):
        fail(f"not all subscribers came to {last}: {[s.messages[-1][0] for s in subscribers]}")
    first = subscribers[0].messages
    for s in subscribers[1:]:
        if s.messages != first:
            at = next((i for i, (a, b) in enumerate(zip(first, s.messages)) if a != b), min(len(first), len(s.messages)))
            fail(f"two subscribers differ at {at}: {first[at:at + 2]} and {s.messages[at:at + 2]}")
    numbers = [n for n, _ in first]
    if any(b <= a for a, b in zip(numbers, numbers[1:])) or numbers[0] < 1:
        fail("numbers do not grow")
    at = {}
    for number, payload in first:
        if payload in at:
            fail(f"'{payload}' stands at {at[payload]} and {number}")
        at[payload] = number
    acknowledged = 0
    for p in publishers:
        for payload, number in zip(p.sent, p.numbers):
            acknowledged += 1
            if at.get(payload) != number:
                fail(f"'{payload}' was acknowledged at {number} and stands at {at.get(payload)}")
    if len(at) != acknowledged:
        fail(f"{len(at)} messages are there, {acknowledged} were acknowledged")
    empty = numbers[-1] - len(numbers)
    print(f"ok: {acknowledged} messages, all acknowledged, each once, in one order for {SUBSCRIBERS} subscribers; "
          f"{empty} numbers stand for nothing", flush=True)
    stops = sorted(longest_stop(subscribers[0].times, a, min(b, a + 20)) for a, b in zip(moments, moments[1:]))
    print(f"stops of the stream: p50 {stops[len(stops) // 2]:.2f} s, longest {stops[-1]:.2f} s, {kills} kills", flush=True)
    if stops[-1] >= LONGEST:
        fail(f"a stop of {LONGEST} s or more")
    print(f"ok: no stop of {LONGEST:.0f} s", flush=True)
finally:
    stopping.set()
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        process.wait(15)
    cluster.end()
