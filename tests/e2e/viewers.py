"""WebRTC viewers as processes of their own (Chromium, aiortc, GStreamer's webrtcbin), and what stands between them and the gateway."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import harness
from transport_stream import Broken

HERE = Path(__file__).parent
# Made by install-tools.sh: aiortc is not in Debian 12.
AIORTC = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "porthole-tests/aiortc/bin/python"
# A viewer that has nothing to show for so long after its last second is stuck.
PATIENCE = 45


class Viewer:
    """A process that tells events, one JSON line each: refused, playing, sample, report."""

    def __init__(self, place, command, request, speaks_first=False):
        self.seconds = request["seconds"]
        words = command if speaks_first else [*command, json.dumps(request)]
        number = len(list(place.folder.glob("viewer*.log")))
        with open(place.folder / f"viewer{number}.log", "w") as log:
            self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        place.case.addCleanup(self.close)
        self.events, self.changed, self.ended = [], threading.Condition(), False
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.stalls = harness.Stalls()
        if speaks_first:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append({"told": time.time()} | json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, names, seconds=PATIENCE, after=0):
        """The first event after the first `after` that has one of these names."""
        def found():
            return next((event for event in self.events[after:] if event["event"] in names), None)
        with self.changed:
            self.changed.wait_for(lambda: found() or self.ended, seconds)
            event = found()
        if not event:
            raise Broken(f"the viewer told no {' or '.join(names)} ({'it ended' if self.ended else f'after {seconds} s'}); "
                         f"the last it told: {json.dumps(self.events[-1:])[:1500]}")
        return event

    def playing(self, seconds=PATIENCE):
        """Waits for every viewer's first picture."""
        event = self.wait_for(["playing", "refused", "report"], seconds)
        if event["event"] != "playing" or event["waiting"]:
            raise Broken(f"no picture: {json.dumps(event)[:2500]}")
        return event

    def refused(self):
        """The answer that is not 201: (status, headers, body)."""
        event = self.wait_for(["refused", "playing", "report"])
        if event["event"] != "refused":
            raise Broken(f"not refused: {json.dumps(event)[:1500]}")
        [viewer, *_] = event["viewers"]
        return viewer["status"], viewer["headers"], viewer["body"]

    def sample(self):
        """The next sample."""
        return self.wait_for(["sample"], after=len(self.events))

    def wait_until(self, holds, what, seconds):
        """Until `holds(viewer)` in a sample, for every viewer; how long that took."""
        begun = time.monotonic()
        while True:
            sample = self.sample()
            if all(holds(viewer) for viewer in sample["viewers"]):
                return time.monotonic() - begun
            if time.monotonic() - begun > seconds:
                raise Broken(f"waited {seconds} s for {what}: {json.dumps(sample)[:1500]}")

    def report(self):
        """The report, once the viewing is over, with the times at which the machine stood still meanwhile."""
        report = self.wait_for(["report"], self.seconds + PATIENCE)
        self.process.wait(20)
        playing = next((event["told"] for event in self.events if event["event"] == "playing"), None)
        return report | {"stalls": self.stalls.all(), "playing": playing}

    def end(self):
        """Chromium only: ends the viewing now."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.report()

    def kill(self):
        """The viewer loses power."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdin.close()
        self.reader.join(5)
        self.process.stdout.close()


def chromium(place, url, **options):
    """See whep.mjs for the options."""
    return Viewer(place, ["node", HERE / "whep.mjs"], {"url": url, "seconds": 5} | options, speaks_first=True)


def aiortc(place, url, **options):
    """See whep_client.py for the options."""
    return Viewer(place, [AIORTC, HERE / "whep_client.py"], {"url": url, "seconds": 5} | options)


def webrtcbin(place, url, **options):
    """See whep_gst.py for the options."""
    return Viewer(place, ["/usr/bin/python3", HERE / "whep_gst.py"], {"url": url, "seconds": 5} | options)


class LossProxy:
    """`loss_proxy.py` in front of a UDP port; viewers take its `port`."""

    def __init__(self, place, to, loss=0.2, seed=8189):
        settings = {"to": to, "loss": loss, "seed": seed}
        self.process = subprocess.Popen([sys.executable, str(HERE / "loss_proxy.py"), json.dumps(settings)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        place.case.addCleanup(self.close)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def counts(self, **change):
        """Packets so far; {"loss": 0.1} changes the share."""
        self.process.stdin.write(json.dumps(change) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Hole:
    """A port on which UDP vanishes and TCP connections are never answered."""

    def __init__(self, place):
        self.port = harness.free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.socket()
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(8)
        place.case.addCleanup(self.close)

    def close(self):
        self.udp.close()
        self.tcp.close()


class Reference:
    """`reference_whep.py`, a WHEP server that is not ours."""

    def __init__(self, place, **settings):
        self.port, self.udp_port = harness.free_port(), harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}/whep/cam"
        settings = {"port": self.port, "udp_port": self.udp_port, "clip": "numbered"} | settings
        number = len(list(place.folder.glob("reference*.log")))
        with open(place.folder / f"reference{number}.log", "w") as log:
            self.process = subprocess.Popen([str(AIORTC), str(HERE / "reference_whep.py"), json.dumps(settings)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        place.case.addCleanup(self.close)
        if not self.process.stdout.readline():
            raise RuntimeError(f"the reference server did not start: see reference{number}.log")

    def pushes(self):
        self.process.stdin.write('{"do": "pushes"}\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["pushes"]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
