"""Clients and a fault injector for the shows: a dev cluster's servers by HTTP, killed, stopped and started by pid."""
import http.client, json, os, random, signal, socket, subprocess, threading, time, urllib.parse

CARILLON = os.environ["CARILLON"]


class Cluster:
    def __init__(self, folder):
        with open(os.path.join(folder, "dev.json")) as file:
            self.servers = json.load(file)["servers"]
        self.folder = folder
        self.urls = [s["http"] for s in self.servers]
        self.pids = [s["pid"] for s in self.servers]
        self.started = []

    def kill(self, i):
        os.kill(self.pids[i], signal.SIGKILL)

    def stop(self, i):
        os.kill(self.pids[i], signal.SIGSTOP)

    def go_on(self, i):
        os.kill(self.pids[i], signal.SIGCONT)

    def start(self, i, environment=None):
        log = open(os.path.join(self.folder, f"restarted-{i + 1}.log"), "a")
        process = subprocess.Popen([CARILLON, "server", "--config", self.servers[i]["config"]], stdout=log, stderr=log,
                                   env={**os.environ, **(environment or {})})
        self.pids[i] = process.pid
        self.started.append(process)

    def wait_ready(self, i, seconds):
        return wait_for(lambda: request(self.urls[i], "GET", "/healthz/ready", timeout=1)[0] == 200, seconds)

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return True
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    return False


def request(url, method, path, body=None, headers=None, timeout=10):
    target = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def submit(urls, method, path, body, key, tries=6, timeout=8, headers=None):
    """A write as the client library makes it: the same key through one server after the other. How it ended ("accepted", "refused" by its
    condition, "rejected" or "unknown"), and the last answer."""
    rejected, told = True, {}
    for attempt in range(tries):
        try:
            status, answer, _ = request(urls[attempt % len(urls)], method, path, body, {"Idempotency-Key": key, **(headers or {})}, timeout)
        except ConnectionRefusedError:
            time.sleep(0.05)
            continue
        except (OSError, http.client.HTTPException):
            rejected = False
            continue
        told = json.loads(answer) if answer else {}
        if status in (200, 202):
            return "accepted", told
        if told.get("code") == "precondition-failed":
            return "refused", told
        if told.get("code") == "key-rejected":
            return "rejected", told
        if status not in (503, 507, 409, 412):
            rejected = False
        time.sleep(0.1)
    return ("rejected" if rejected else "unknown"), told


def write(urls, method, path, body, key, tries=6, timeout=8):
    """The same; only how it ended."""
    return submit(urls, method, path, body, key, tries, timeout)[0]
