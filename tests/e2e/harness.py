"""What every case uses: a place on tmpfs, cameras, the gateway under test, and HTTP."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
# Where failures and screenshots are kept; outside the repository.
KEPT = Path(os.environ.get("PORTHOLE_E2E_OUT") or Path(tempfile.gettempdir()) / "porthole-e2e")
ROOT = HERE.parent.parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "quick/porthole"
BINARY = Path(os.environ.get("PORTHOLE_BIN") or BUILT).resolve()


class Place:
    """A case's folder on tmpfs, removed at its end; after a failure its logs are kept and their ends printed."""

    def __init__(self, case):
        self.case = case
        self.folder = Path(tempfile.mkdtemp(prefix="porthole-test-", dir="/dev/shm"))
        self.hls = self.folder / "hls"
        self.kept = KEPT / case.id().removeprefix("__main__.")
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir(parents=True)
        case.addCleanup(self.close)

    def close(self):
        if failed(self.case):
            for path in self.folder.rglob("*"):
                if path.is_file() and not path.is_relative_to(self.hls) and path.stat().st_size < 64 << 20:
                    target = self.kept / path.relative_to(self.folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
            for log in sorted(self.folder.glob("*.log")):
                lines = log.read_text(errors="replace").splitlines()
                print(f"--- the end of {log.name} (kept in {self.kept})")
                print("\n".join(lines[-25:]))
        shutil.rmtree(self.folder, ignore_errors=True)


def failed(case):
    result = case._outcome.result
    return any(test is case or getattr(test, "test_case", None) is case for test, _ in result.failures + result.errors)


def free_port():
    """A port that is free for TCP and for UDP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port = stream.getsockname()[1]
            try:
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Cameras:
    """A `camera.py` process: one port, several mounts."""

    def __init__(self, place, mounts, port=None, auth=None):
        self.place, self.port = place, port or free_port()
        self.settings = {"port": self.port, "mounts": mounts}
        if auth:
            self.settings["auth"] = auth
        self.process = None
        place.case.addCleanup(self.stop)
        self.start()

    def start(self):
        with open(self.place.folder / "cameras.log", "a") as log:
            self.process = subprocess.Popen(["/usr/bin/python3", str(HERE / "camera.py"), json.dumps(self.settings)],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        if not self.process.stdout.readline():
            raise RuntimeError("the test camera did not start: see cameras.log")

    def stop(self):
        """The camera loses power."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()

    def do(self, what, mount=None, **more):
        self.process.stdin.write(json.dumps({"do": what, "mount": mount, **more}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def counts(self, mount):
        answer = self.do("counts")
        return answer["mounts"][mount] | {"clients": answer["clients"], "sessions": answer["sessions"]}

    def url(self, mount):
        return f"rtsp://127.0.0.1:{self.port}{mount}"


class Gateway:
    """The program under test, with a configuration made here."""

    def __init__(self, place, cameras, hls=None, web=None, webrtc=None, start=True, output_dir=None):
        self.place, self.port, self.process = place, free_port(), None
        self.udp_port, self.state = free_port(), place.folder / "state"
        self.config = place.folder / "config.toml"
        self.log = place.folder / "porthole.log"
        self.hls_settings = {"output_dir": str(output_dir or place.hls)} | (hls or {})
        self.web_settings = {"listen": f"127.0.0.1:{self.port}"} | (web or {})
        # Cases run side by side, and need no state of the machine's own.
        self.webrtc_settings = {"udp_port": self.udp_port, "tcp_port": self.udp_port} | (webrtc or {})
        self.write(cameras)
        place.case.addCleanup(self.kill)
        if start:
            self.start()

    def write(self, cameras):
        """Writes the configuration; `cameras` is a list of tables."""
        tables = [("[web]", self.web_settings), ("[hls]", self.hls_settings), ("[webrtc]", self.webrtc_settings),
                  ("[system]", {"state_dir": str(self.state)})]
        tables += [("[[camera]]", {"name": camera["id"]} | camera) for camera in cameras]
        lines = []
        for head, table in tables:
            lines += [head, *(f"{key} = {toml(value)}" for key, value in table.items()), ""]
        self.config.write_text("\n".join(lines))

    def start(self, wait=True):
        if not BINARY.exists():
            raise RuntimeError(f"{BINARY} is missing: build it, or name it with --binary")
        with open(self.log, "a") as log:
            environment = os.environ | {"RUST_BACKTRACE": "1"}
            self.process = subprocess.Popen([str(BINARY), "run", "--config", str(self.config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=environment)
        if wait:
            self.wait_for(lambda: self.get("/healthz").status == 200, "the web port to answer", 15)

    def wait_for(self, condition, what, seconds=20, every=0.05):
        """Until `condition()` is true; returns how long that took."""
        begun = time.monotonic()
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode} while waiting for {what}")
            try:
                if condition():
                    return time.monotonic() - begun
            except OSError:
                pass
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"waited {seconds} s for {what}")
            time.sleep(every)

    def wait_for_playlist(self, camera, seconds=20):
        return self.wait_for(lambda: self.get(f"/hls/{camera}/index.m3u8").status == 200, f"the playlist of {camera}", seconds)

    def wait_for_state(self, camera, state, seconds=20):
        return self.wait_for(lambda: self.camera(camera)["state"] == state, f"{camera} to be {state}", seconds)

    def wait_for_log(self, pattern, seconds=10):
        return self.wait_for(lambda: re.search(pattern, self.log_text()), f"{pattern!r} in the log", seconds)

    def log_text(self):
        return self.log.read_text(errors="replace")

    def get(self, path, method="GET", headers=None, timeout=15, body=None):
        return ask(self.port, path, method, headers, timeout, body)

    def json(self, path):
        return self.get(path).json()

    def camera(self, camera):
        return next(c for c in self.json("/api/v1/status")["cameras"] if c["id"] == camera)

    def url(self, camera):
        return f"http://127.0.0.1:{self.port}/hls/{camera}/index.m3u8"

    def whep(self, camera):
        return f"http://127.0.0.1:{self.port}/whep/{camera}"

    def offer(self, camera, sdp, kind="application/sdp"):
        """The answer to a WHEP offer."""
        return self.get(f"/whep/{camera}", "POST", {"Content-Type": kind}, body=sdp)

    def sessions(self, count=None):
        """WebRTC sessions, as the API tells them; `count` of them are waited for, as others may be on their way: for less than the
        10 s after which one that nobody ended is given up."""
        def found():
            return self.json("/api/v1/webrtc/sessions")["sessions"]
        if count is not None:
            self.wait_for(lambda: len(found()) == count, f"{count} sessions in the list", 5)
        return found()

    def terminate(self, seconds=10):
        """SIGTERM; how long the end took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)
        return time.monotonic() - begun

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Stalls:
    """When the machine did not let this process do a little work in time, so that no decoder or gateway could either: another
    user of it had the CPU, or the whole of it stood still. One thread looks, from the first one that asks on."""

    EVERY, WORK, LATE = 0.05, 0.001, 0.1
    found, looking = [], None

    def __init__(self):
        self.since = time.time()
        if not Stalls.looking:
            Stalls.looking = threading.Thread(target=self.look, daemon=True)
            Stalls.looking.start()

    def look(self):
        while True:
            begun = time.time()
            time.sleep(self.EVERY)
            enough = time.thread_time() + self.WORK
            while time.thread_time() < enough:
                pass
            if time.time() - begun > self.EVERY + self.WORK + self.LATE:
                self.found.append((begun, time.time()))

    def all(self):
        """[(begin, end)] since this one was made, seconds of wall-clock time."""
        return [stall for stall in self.found if stall[1] > self.since]

    def seconds(self):
        return sum(end - begin for begin, end in self.all())


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, answer, seconds):
        self.status, self.headers, self.seconds = answer.status, answer.headers, seconds
        self.body = answer.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The sentence of an error answer."""
        return self.json()["error"]


def ask(port, path, method="GET", headers=None, timeout=15, body=None):
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer, time.monotonic() - begun)
    finally:
        connection.close()


def porthole(*arguments, timeout=30):
    """Runs the program to its end."""
    return subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else json.dumps(value)


def process_facts(pid):
    """Threads, open files and memory of a process, bytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    def size(key):
        return int(status[key].split()[0]) * 1024
    return {"threads": int(status["Threads"]), "files": len(os.listdir(f"/proc/{pid}/fd")), "anon": size("RssAnon"),
            "file": size("RssFile"), "shared": size("RssShmem")}


def folder_bytes(folder):
    """Blocks that the files below `folder` hold."""
    total = 0
    for path in Path(folder).rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def note(*words):
    """A measured figure, printed by the runner also when the case passes."""
    print("note:", *words, flush=True)
