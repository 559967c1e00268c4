#!/usr/bin/python3
"""What cameras cost: Porthole beside 16 `ffmpeg -c copy -f hls` and a bare recv+memcpy program, on the same streams.

    benches/cameras/run.py [--binary PATH] [--rounds 3] [--window 8] [--without porthole|"hls alone"|ffmpeg|bare]

Cameras: 4 Mbit/s, 1080p25, H.264, key frame every 2 s, RTSP over TCP, from one GStreamer RTSP server.
The programs take turns in short windows, one at a time, so that a noisy machine disturbs all alike; medians are printed.
Exit code 1 when a target is missed.
"""

import argparse
import math
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
import judges  # noqa: E402

CAMERAS = 16
TURNS = [("porthole", 16), ("ffmpeg", 16), ("bare", 16), ("hls alone", 16), ("porthole", 4), ("bare", 4), ("porthole", 1), ("bare", 1)]
MOST_OF_FFMPEG = 0.4
AIM_OF_BARE = 2.0
MOST_RESIDENT = 16 << 20
# Linear or better: with more cameras each costs no more than with fewer, but for the noise of a measurement. (One camera
# alone bears the process's own housekeeping.)
MOST_GROWTH = 1.1
MOST_PER_CAMERA = (16 << 20) // 16


class Bench:
    """The cameras and the folder; stands in for a test case where the harness wants one."""

    def __init__(self, work):
        self.folder, self.case, self.hls = work, self, work / "hls"
        self.cleanups = []
        frame = 10**9 // footage.FPS
        mounts = {f"/cam{i}": {"clip": "main", "phase": i * frame // CAMERAS} for i in range(CAMERAS)}
        self.cameras = harness.Cameras(self, mounts)

    def addCleanup(self, call, *arguments):  # noqa: N802, unittest's name
        self.cleanups.append((call, arguments))

    def close(self):
        for call, arguments in reversed(self.cleanups):
            call(*arguments)


class Porthole:
    """As configured by default: HLS on, and WebRTC ready for viewers that do not come."""

    WEBRTC = True

    def __init__(self, bench, count, folder):
        tables = [{"id": f"cam{i}", "url": bench.cameras.url(f"/cam{i}"), "transport": "tcp"} for i in range(count)]
        self.gateway = harness.Gateway(bench, tables, output_dir=folder / "hls", webrtc={"enabled": self.WEBRTC})
        self.count = count
        for table in tables:
            self.gateway.wait_for_playlist(table["id"], 30)

    def pids(self):
        return [self.gateway.process.pid]

    def facts(self, folder):
        """Segments that the target allows: window, the one being written, and those out of the playlist but not out of time."""
        playlist = judges.Playlist(self.gateway.get("/hls/cam0/index.m3u8").body.decode())
        longest = max(entry.duration for entry in playlist.entries)
        grace = math.ceil((longest + playlist.length()) / longest)
        allowed = len(playlist.entries) + 1 + grace
        counts, largest, caches, private = [[] for _ in range(self.count)], 0, 0, 0
        # The median of some moments: in the instant of a change one file goes as another comes.
        for _ in range(7):
            for i, seen in enumerate(counts):
                files = [path for path in (folder / f"hls/cam{i}").iterdir() if ".ts" in path.name]
                seen.append(len(files))
                largest = max(largest, *(path.stat().st_size for path in files if path.exists()))
            # They grow over a GOP of 2 s, in step.
            cameras = self.gateway.json("/api/v1/status")["cameras"] if self.WEBRTC else []
            kept = sum(camera["webrtc"]["gop_bytes"] for camera in cameras)
            caches = max(caches, kept)
            private = max(private, harness.process_facts(self.gateway.process.pid)["anon"] - kept)
            time.sleep(0.3)
        return {"caches": caches, "private": private, "segments": max(statistics.median(seen) for seen in counts), "allowed": allowed, "largest": largest}

    def stop(self):
        self.gateway.terminate()


class HlsAlone(Porthole):
    """WebRTC switched off: no pictures are kept for its viewers."""

    WEBRTC = False


class Ffmpeg:
    def __init__(self, bench, count, folder):
        self.processes, self.playlists = [], []
        for i in range(count):
            place = folder / f"cam{i}"
            place.mkdir()
            self.playlists.append(place / "index.m3u8")
            self.processes.append(subprocess.Popen(
                ["ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", bench.cameras.url(f"/cam{i}"), "-c", "copy", "-f", "hls",
                 "-hls_time", "1", "-hls_list_size", "3", "-hls_flags", "delete_segments", str(self.playlists[-1])],
                stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 40
        while not all(path.exists() for path in self.playlists):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes):
                raise RuntimeError("ffmpeg made no playlist")
            time.sleep(0.2)

    def pids(self):
        return [process.pid for process in self.processes]

    def facts(self, _folder):
        return {}

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10)


class Bare:
    def __init__(self, bench, count, folder):
        self.process = subprocess.Popen([str(bench.bare), str(folder), "127.0.0.1", str(bench.cameras.port),
                                         *(f"/cam{i}" for i in range(count))], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("bare did not start")

    def pids(self):
        return [self.process.pid]

    def facts(self, _folder):
        return {}

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


PROGRAMS = {"porthole": Porthole, "hls alone": HlsAlone, "ffmpeg": Ffmpeg, "bare": Bare}


def turn(bench, name, count, window):
    folder = bench.folder / "turn"
    folder.mkdir()
    program = PROGRAMS[name](bench, count, folder)
    try:
        # Past the start, and past the time after which rings and windows have their full length.
        time.sleep(4 if name in ("ffmpeg", "bare") else 20)
        pids = program.pids()
        before, begun = [usage(pid) for pid in pids], time.monotonic()
        time.sleep(window)
        after, seconds = [usage(pid) for pid in pids], time.monotonic() - begun
        memory = [harness.process_facts(pid) for pid in pids]
        facts = program.facts(folder)
        return {
            "ms": sum(b[0] - a[0] for a, b in zip(before, after)) / 1e6 / seconds / count,
            "switches": sum(b[1] - a[1] for a, b in zip(before, after)) / seconds,
            "tmpfs": harness.folder_bytes(folder),
        } | {key: sum(m[key] for m in memory) for key in ("anon", "file", "shared", "threads")} | facts
    finally:
        program.stop()
        shutil.rmtree(folder)
        # Who connects while the server takes its pipelines down gets one that ends.
        deadline = time.monotonic() + 70
        while any(mount["live"] for mount in bench.cameras.do("counts")["mounts"].values()):
            if time.monotonic() > deadline:
                raise RuntimeError("the camera server keeps pipelines that nobody watches")
            time.sleep(0.2)


def usage(pid):
    """CPU time in ns (user and system, as the scheduler counts it) and context switches, over all threads."""
    cpu = switches = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            cpu += int((task / "schedstat").read_text().split()[0])
            for line in (task / "status").read_text().splitlines():
                if "ctxt_switches" in line:
                    switches += int(line.split()[1])
        except FileNotFoundError:
            pass
    return cpu, switches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=harness.BUILT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=8, help="seconds per turn")
    parser.add_argument("--without", action="append", default=[], choices=PROGRAMS)
    arguments = parser.parse_args()
    harness.BINARY = arguments.binary.resolve()
    turns = [(name, count) for name, count in TURNS if name not in arguments.without]
    work = Path(tempfile.mkdtemp(prefix="porthole-bench-", dir="/dev/shm"))
    bench = None
    try:
        bench = Bench(work)
        bench.bare = work / "bare"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(bench.bare), str(HERE / "bare.c")], check=True)
        results = {key: [] for key in turns}
        for number in range(arguments.rounds):
            for key in turns:
                if sys.stderr.isatty() or os.environ.get("VERBOSE"):
                    print(f"round {number + 1} of {arguments.rounds}: {key[0]} with {key[1]}", file=sys.stderr)
                results[key].append(turn(bench, *key, arguments.window))
    finally:
        if bench:
            bench.close()
        shutil.rmtree(work, ignore_errors=True)
    return report(results)


def report(results):
    def median(key, what):
        return statistics.median(sample[what] for sample in results[key])

    def resident(key):
        return median(key, "anon") + median(key, "file")

    def ratio(above, below):
        """Round by round, so that what slows a whole round down cancels out."""
        return statistics.median(a["ms"] / b["ms"] for a, b in zip(results[above], results[below]))

    megabyte = 1 << 20
    print("CPU in ms per camera and second; memory in MiB (median of the rounds)\n")
    print(f"{'':10}{'cameras':>8}{'CPU ms':>9}{'min':>7}{'max':>7}{'anon':>8}{'file':>8}{'shared':>8}{'tmpfs':>8}{'threads':>9}{'switches/s':>12}")
    for key, samples in results.items():
        low, high = min(s["ms"] for s in samples), max(s["ms"] for s in samples)
        print(f"{key[0]:10}{key[1]:8}{median(key, 'ms'):9.2f}{low:7.2f}{high:7.2f}"
              + "".join(f"{median(key, what) / megabyte:8.1f}" for what in ("anon", "file", "shared", "tmpfs"))
              + f"{median(key, 'threads'):9.0f}{median(key, 'switches'):12.0f}")
    print()
    ours, missed = ("porthole", CAMERAS), []

    def target(text, value, most, unit="", aim=False):
        holds = value <= most
        verdict = "holds" if holds else "not reached" if aim else "MISSED"
        print(f"{text:66}{value:8.2f}{unit} (at most {most:g}{unit}): {verdict}")
        if not holds and not aim:
            missed.append(text)

    if ours in results:
        if ("ffmpeg", CAMERAS) in results:
            target("CPU, ratio to ffmpeg", ratio(ours, ("ffmpeg", CAMERAS)), MOST_OF_FFMPEG)
        if ("bare", CAMERAS) in results:
            target("CPU, ratio to the bare program (an aim)", ratio(ours, ("bare", CAMERAS)), AIM_OF_BARE, aim=True)
        print(f"GOPs kept for WebRTC viewers, at their largest: {median(ours, 'caches') / megabyte:.1f} MiB")
        target("RssAnon without them, largest of seven moments", median(ours, "private") / megabyte, MOST_RESIDENT / megabyte, " MiB")
        allowed = median(ours, "allowed")
        target("segment files per camera (window + 1 + grace)", max(s["segments"] for s in results[ours]), allowed)
        # Slots grow in steps of up to 64 KiB and pages.
        most = allowed * (max(s["largest"] for s in results[ours]) + (64 << 10)) / megabyte
        target("tmpfs per camera", median(ours, "tmpfs") / CAMERAS / megabyte, round(most, 2), " MiB")
        target("CPU of one of sixteen, ratio to one of four", ratio(ours, ("porthole", 4)), MOST_GROWTH)
        target("CPU of one of four, ratio to one alone", ratio(("porthole", 4), ("porthole", 1)), MOST_GROWTH)
        grown = (median(ours, "private") - median(("porthole", 4), "private")) / 12
        target("RssAnon without the kept GOPs per further camera", grown / megabyte, MOST_PER_CAMERA / megabyte, " MiB")
    if ("hls alone", CAMERAS) in results:
        target("RssAnon + RssFile, HLS alone", resident(("hls alone", CAMERAS)) / megabyte, MOST_RESIDENT / megabyte, " MiB")
    print("\nevery target holds" if not missed else f"\n{len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
