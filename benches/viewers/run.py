#!/usr/bin/python3
"""What WebRTC viewers cost: Porthole beside a bare sendto of the same packets, and MediaMTX where it is on the PATH.

    benches/viewers/run.py [--binary PATH] [--client PATH] [--rounds 3] [--window 6] [--only cost|delay|start|cycles]

cost: one camera of 4 Mbit/s, 0 to 16 viewers that receive and decrypt. What a viewer costs is what the sixteenth adds to the
first, divided by fifteen. delay: 8 cameras with 2 viewers each; a picture's last packet as a viewer has it, less the same as
somebody has it who reads the camera itself. start: from POST to the first whole key frame, and to Chromium's first decoded
picture, GOPs of 2 and of 10 s. cycles (only when asked for): 50,000 viewers come and go, with whole handshakes.
The programs take turns in short windows, so that a noisy machine disturbs all alike; medians of the rounds are printed.
Exit code 1 when a target is missed.
"""

import argparse
import bisect
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
import footage  # noqa: E402
import harness  # noqa: E402
import viewers  # noqa: E402

VIEWERS = [0, 1, 4, 8, 16]
# Largest payload that Porthole makes, bytes.
PACKET_BYTES = 1200
MOST_OF_BARE = 2.5
AIM_OF_MEDIAMTX = 0.25
MOST_PER_VIEWER = 1 << 20
MOST_DELAY_MS = 5
MOST_START_MS = 500
DELAY_CAMERAS, DELAY_VIEWERS = 8, 2
STARTS = 20
CYCLES = 50_000


class Bench:
    """The folder and what is to be ended; stands in for a test case where the harness wants one."""

    def __init__(self, work, client):
        self.folder, self.case, self.hls, self.client = work, self, work / "hls", client
        self.cleanups = []
        self.bare = work / "bare"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(self.bare), str(HERE / "bare.c")], check=True)

    def addCleanup(self, call, *arguments):  # noqa: N802, unittest's name
        self.cleanups.append((call, arguments))

    def close(self):
        for call, arguments in reversed(self.cleanups):
            call(*arguments)
        self.cleanups.clear()

    def viewers(self, *words):
        return subprocess.Popen([str(self.client), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def viewers_report(self, *words):
        process = self.viewers(*words)
        output, _ = process.communicate(timeout=300)
        if process.returncode:
            raise RuntimeError(f"the viewers ended with {process.returncode}")
        return json.loads(output.splitlines()[-1])


class Porthole:
    def __init__(self, bench, cameras, limit):
        tables = [{"id": f"cam{i}", "url": url, "transport": "tcp"} for i, url in enumerate(cameras)]
        # Without HLS: what is measured is WebRTC.
        self.gateway = harness.Gateway(bench, tables, hls={"enabled": False}, webrtc={"max_viewers": limit})
        for table in tables:
            self.gateway.wait_for_state(table["id"], "streaming", 30)
        # A key frame is there, and the GOP has grown to its full length once.
        time.sleep(3)
        self.pid = self.gateway.process.pid

    def url(self, camera=0):
        return self.gateway.whep(f"cam{camera}")

    def stop(self):
        self.gateway.terminate()


class MediaMtx:
    def __init__(self, bench, cameras, _limit):
        port, self.http = harness.free_port(), harness.free_port()
        config = bench.folder / "mediamtx.yml"
        config.write_text(f"""rtsp: no
rtmp: no
hls: no
srt: no
webrtcAddress: 127.0.0.1:{self.http}
webrtcLocalUDPAddress: 127.0.0.1:{port}
webrtcAdditionalHosts: [127.0.0.1]
paths:
""" + "".join(f"  cam{i}:\n    source: {url}\n    rtspTransport: tcp\n" for i, url in enumerate(cameras)))
        with open(bench.folder / "mediamtx.log", "w") as log:
            self.process = subprocess.Popen([shutil.which("mediamtx"), str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        time.sleep(5)
        self.pid = self.process.pid

    def url(self, camera=0):
        return f"http://127.0.0.1:{self.http}/cam{camera}/whep"

    def stop(self):
        self.process.terminate()
        self.process.wait()


def packets_per_second():
    """Of clip `main`, in payloads of that size."""
    info = footage.info("main")
    return round(sum(-(-size // PACKET_BYTES) for _, size, *_ in info["video"]) / (info["video_ns"] / 1e9))


def cpu(pid):
    """CPU time in ns, user and system, as the scheduler counts it, over all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total


def over(window, pid):
    """CPU in ms per second over a window, and private memory at its end."""
    before, begun = cpu(pid), time.monotonic()
    time.sleep(window)
    return {"ms": (cpu(pid) - before) / 1e6 / (time.monotonic() - begun), "anon": harness.process_facts(pid)["anon"]}


def cost_turn(bench, camera, name, count, window):
    if name == "bare":
        packets = packets_per_second()
        process = subprocess.Popen([str(bench.bare), str(count), str(packets), str(PACKET_BYTES)], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        try:
            time.sleep(1)
            return over(window, process.pid) | {"packets": packets}
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
    program = {"porthole": Porthole, "mediamtx": MediaMtx}[name](bench, [camera], max(count, 1))
    try:
        if count == 0:
            return over(window, program.pid) | {"packets": 0}
        viewers = bench.viewers("watch", count, program.url())
        if json.loads(viewers.stdout.readline() or "{}").get("event") != "playing":
            raise RuntimeError(f"{name}: {count} viewers do not play")
        # Past the catching up.
        time.sleep(3)
        measured = over(window, program.pid)
        report = json.loads(viewers.communicate("\n", timeout=30)[0])
        gaps = sum(viewer["gaps"] for viewer in report["viewers"])
        return measured | {"packets": statistics.mean(v["packets"] / v["seconds"] for v in report["viewers"]), "gaps": gaps}
    finally:
        program.stop()


def cost(bench, arguments, targets):
    cameras = harness.Cameras(bench, {"/main": {"clip": "main"}})
    names = ["porthole", "bare"] + (["mediamtx"] if shutil.which("mediamtx") else [])
    turns = [(name, count) for name in names for count in VIEWERS if count or name == "porthole"]
    results = {turn: [] for turn in turns}
    for _ in range(arguments.rounds):
        for name, count in turns:
            results[name, count].append(cost_turn(bench, cameras.url("/main"), name, count, arguments.window))
            wait_for_rest(cameras)
    print("CPU in ms per second; private memory in MiB (median of the rounds)\n")
    print(f"{'':10}{'viewers':>8}{'CPU ms':>9}{'min':>7}{'max':>7}{'anon':>8}{'packets/s each':>16}{'gaps':>6}")
    for (name, count), samples in results.items():
        print(f"{name:10}{count:8}{median(samples, 'ms'):9.2f}{min(s['ms'] for s in samples):7.2f}{max(s['ms'] for s in samples):7.2f}"
              f"{median(samples, 'anon') / (1 << 20):8.1f}{median(samples, 'packets'):16.0f}{sum(s.get('gaps', 0) for s in samples):6}")
    print()

    def added(name, what="ms", low=1):
        """What a viewer adds, in each round."""
        return [(most[what] - least[what]) / (max(VIEWERS) - low) for least, most in zip(results[name, low], results[name, max(VIEWERS)])]

    for name in names:
        print(f"{name}: a further viewer costs {statistics.median(added(name)):.2f} ms per second")
    ratio = statistics.median(ours / bare for ours, bare in zip(added("porthole"), added("bare")))
    targets.hold("CPU of a further viewer, ratio to a bare sendto", ratio, MOST_OF_BARE)
    if "mediamtx" in names:
        ratio = statistics.median(ours / theirs for ours, theirs in zip(added("porthole"), added("mediamtx")))
        targets.hold("CPU of a further viewer, ratio to MediaMTX (an aim)", ratio, AIM_OF_MEDIAMTX, aim=True)
        print(f"mediamtx: a further viewer takes {statistics.median(added('mediamtx', 'anon')) / (1 << 20):.2f} MiB")
    targets.hold("private memory of a viewer", statistics.median(added("porthole", "anon", 0)) / (1 << 20), MOST_PER_VIEWER / (1 << 20), " MiB")
    cameras.stop()


def wait_for_rest(cameras):
    """Who connects while the server takes its pipelines down gets one that ends."""
    deadline = time.monotonic() + 70
    while any(mount["live"] for mount in cameras.do("counts")["mounts"].values()):
        if time.monotonic() > deadline:
            raise RuntimeError("the camera server keeps pipelines that nobody watches")
        time.sleep(0.2)


def delay(bench, arguments, targets):
    """A picture is known by its last 8 bytes, which neither RTP packetisation changes."""
    frame = 10**9 // footage.FPS
    mounts = {f"/cam{i}": {"clip": "main", "phase": i * frame // DELAY_CAMERAS} for i in range(DELAY_CAMERAS)}
    cameras = harness.Cameras(bench, mounts)
    program = Porthole(bench, [cameras.url(path) for path in mounts], DELAY_CAMERAS * DELAY_VIEWERS)
    urls = [cameras.url(path) for path in mounts] + [program.url(i) for i in range(DELAY_CAMERAS) for _ in range(DELAY_VIEWERS)]
    rounds = []
    try:
        for _ in range(arguments.rounds):
            bench.viewers_report("arrivals", bench.folder / "arrivals", SETTLED + 2 * arguments.window, *urls)
            pushed = {path: cameras.do("pushes", path)["pushes"] for path in mounts}
            rounds.append(delays(bench.folder / "arrivals", pushed))
            time.sleep(1)
    finally:
        program.stop()
        cameras.stop()
    print(f"\n{'ms (median of the rounds)':60}{'p50':>8}{'p90':>8}{'p99':>8}{'pictures':>10}")
    def of(which, share):
        return statistics.median(at(measured[which], share) for measured in rounds)
    for which, what in ((2, "camera server to somebody who reads the camera"), (1, "camera server to a viewer"),
                        (0, "reader of the camera to a viewer: added by the gateway")):
        print(f"{what:60}{of(which, 0.5):8.2f}{of(which, 0.9):8.2f}{of(which, 0.99):8.2f}{sum(len(measured[which]) for measured in rounds):10}")
    unmatched, pictures = (sum(measured[i] for measured in rounds) for i in (3, 4))
    targets.hold("delay added by the gateway, p99", of(0, 0.99), MOST_DELAY_MS, " ms")
    targets.hold("share of pictures that nobody else has seen", unmatched / pictures, 0.03)


# Viewers need this long to get their GOP and be live, s.
SETTLED = 5


def delays(file, pushed):
    """ms: reader -> viewer, push -> viewer, push -> reader; how many pictures of viewers matched none, and how many there were."""
    info = footage.info("main")
    blob = (footage.clip("main") / "clip.bin").read_bytes()
    tails = [blob[offset:offset + size][-8:].hex() for offset, size, *_ in info["video"]]
    arrived = {}
    for line in file.read_text().splitlines():
        number, at_ns, tail = line.split()
        arrived.setdefault(int(number), []).append((int(at_ns) / 1e9, tail))
    paths, found, unmatched, pictures = list(pushed), ([], [], []), 0, 0
    for camera, path in enumerate(paths):
        sent, direct = {}, {}
        for index, at_s, _ in pushed[path]:
            sent.setdefault(tails[index], []).append(at_s)
        for at_s, tail in arrived.get(camera, []):
            direct.setdefault(tail, []).append(at_s)
            late = since(sent.get(tail), at_s)
            if late is not None:
                found[2].append(late)
        for viewer in range(DELAY_VIEWERS):
            seen = arrived.get(len(paths) + camera * DELAY_VIEWERS + viewer, [])
            for at_s, tail in seen:
                if at_s < seen[0][0] + SETTLED:
                    continue
                pictures += 1
                late, added = since(sent.get(tail), at_s), nearest(direct.get(tail), at_s)
                if late is None or added is None:
                    unmatched += 1
                else:
                    found[0].append(added)
                    found[1].append(late)
    return *found, unmatched, max(pictures, 1)


def since(times, at_s):
    """ms since the last of these times, if that is less than a second ago."""
    index = bisect.bisect_right(times or [], at_s) - 1
    return (at_s - times[index]) * 1e3 if index >= 0 and at_s - times[index] < 1 else None


def nearest(times, at_s):
    """ms since the nearest of these times, which may come after, if that is less than a second away."""
    gap = min((at_s - time_s for time_s in times or []), key=abs, default=9)
    return gap * 1e3 if abs(gap) < 1 else None


def at(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else float("nan")


def start(bench, _arguments, targets):
    clips = {"GOP 2 s": "main", "GOP 10 s": "main10"}
    cameras = harness.Cameras(bench, {f"/{clip}": {"clip": clip} for clip in clips.values()})
    program = Porthole(bench, [cameras.url(f"/{clip}") for clip in clips.values()], 4)
    try:
        # The GOP of the second camera began some time ago.
        time.sleep(8)
        for number, name in enumerate(clips):
            report = bench.viewers_report("starts", STARTS, program.url(number))
            took = [viewer["first_key_ms"] for viewer in report["viewers"]]
            print(f"\n{name}: first whole key frame {statistics.median(took):.0f} ms after POST (median of {STARTS}, most {max(took):.0f} ms)")
            targets.hold(f"{name}: POST to the first whole key frame, p95", at(took, 0.95), MOST_START_MS, " ms")
            decoded = []
            for _ in range(STARTS):
                [seen] = viewers.chromium(bench, program.url(number), seconds=1).report()["viewers"]
                decoded.append(seen["firstDecodedMs"])
            print(f"{name}: first picture decoded by Chromium {statistics.median(decoded):.0f} ms after POST (most {max(decoded):.0f} ms)")
            targets.hold(f"{name}: POST to the first decoded picture, p95", at(decoded, 0.95), MOST_START_MS, " ms")
    finally:
        program.stop()
        cameras.stop()


def cycles(bench, arguments, targets):
    cameras = harness.Cameras(bench, {"/small": {"clip": "small"}})
    program = Porthole(bench, [cameras.url("/small")], 4)
    try:
        def come_and_go(count):
            bench.viewers_report("cycles", count, program.url())
            # Sessions, and what they leave in the allocator, are gone a moment later.
            time.sleep(3)
            return harness.process_facts(program.pid)

        before = come_and_go(CYCLES // 50)
        for turn in range(10):
            after = come_and_go(CYCLES // 10)
            print(f"{(turn + 1) * CYCLES // 10:8} viewers: private memory {after['anon'] / (1 << 20):.2f} MiB, files {after['files']}", flush=True)
        targets.hold("private memory grown", (after["anon"] - before["anon"]) / (1 << 20), 1, " MiB")
        targets.hold("open files more", after["files"] - before["files"], 0)
    finally:
        program.stop()
        cameras.stop()


class Targets:
    def __init__(self):
        self.missed = 0

    def hold(self, text, value, most, unit="", aim=False):
        # Nothing measured is nothing held.
        holds = value <= most
        print(f"{text:66}{value:8.2f}{unit} (at most {most:g}{unit}): {'holds' if holds else 'not reached' if aim else 'MISSED'}")
        self.missed += not holds and not aim


def median(samples, what):
    return statistics.median(sample[what] for sample in samples)


def main():
    parts = {"cost": cost, "delay": delay, "start": start, "cycles": cycles}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    parser.add_argument("--binary", type=Path, default=harness.BUILT)
    parser.add_argument("--client", type=Path, default=target / "quick/examples/viewers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=6, help="seconds per turn")
    parser.add_argument("--only", choices=parts)
    arguments = parser.parse_args()
    harness.BINARY = arguments.binary.resolve()
    work, targets = Path(tempfile.mkdtemp(prefix="porthole-bench-", dir="/dev/shm")), Targets()
    bench = Bench(work, arguments.client.resolve())
    try:
        for name, part in parts.items():
            if arguments.only == name or (arguments.only is None and part is not cycles):
                part(bench, arguments, targets)
                bench.close()
    finally:
        bench.close()
        shutil.rmtree(work, ignore_errors=True)
    print("\nevery target holds" if not targets.missed else f"\n{targets.missed} missed")
    return 1 if targets.missed else 0


if __name__ == "__main__":
    sys.exit(main())
