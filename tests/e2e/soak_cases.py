"""Minutes of running, players and faults included, without growth. `run.py --soak 15` makes it long."""

import itertools
import os
import threading
import time
import unittest

import harness
import judges
import viewers
import watch_judges
from whep_cases import OFFER


class Soak(unittest.TestCase):
    soak = True
    alone = True

    def test_nothing_grows(self):
        seconds = float(os.environ.get("PORTHOLE_SOAK_SECONDS", 60))
        place = harness.Place(self)
        cameras = harness.Cameras(place, {"/main": {"clip": "main"}, "/aac": {"clip": "aac"}, "/b": {"clip": "bframes"}})
        flaky = harness.Cameras(place, {"/flaky": {"clip": "quick"}})
        gateway = harness.Gateway(place, [{"id": name, "url": cameras.url(f"/{name}")} for name in ("main", "aac", "b")]
                                  + [{"id": "flaky", "url": flaky.url("/flaky")}])
        for name in ("main", "aac", "b", "flaky"):
            gateway.wait_for_playlist(name)
        captures = {name: judges.Capture(gateway.url(name)) for name in ("main", "aac", "b")}
        stop, problems = threading.Event(), []

        def watch(capture):
            try:
                while not stop.is_set():
                    capture.follow(seconds=2)
                    # The last run of a long soak is judged; the rest was looked at by the playlist rules.
                    del capture.segments[:-12], capture.playlists[:-40]
            except Exception as error:
                problems.append(error)

        def annoy():
            while not stop.wait(15):
                flaky.do("drop")

        def come_and_go():
            """Browsers that ask and never come, that leave at once, and that watch for a while."""
            try:
                for turn in itertools.count():
                    answer = gateway.offer("main", OFFER)
                    self.assertIn(answer.status, (201, 503), answer.body)
                    if answer.status == 201 and turn % 3:
                        gateway.get(answer.headers["Location"], "DELETE")
                    if turn % 40 == 0:
                        viewers.aiortc(place, gateway.whep("flaky"), seconds=3, end="leave" if turn % 80 else "delete").report()
                    if stop.wait(0.5):
                        return
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=watch, args=(capture,)) for capture in captures.values()] + [threading.Thread(target=annoy)]
        watching = viewers.aiortc(place, gateway.whep("aac"), seconds=seconds - 5)
        watching.playing()
        threads.append(threading.Thread(target=come_and_go))
        for thread in threads:
            thread.start()
        try:
            # The rings have their full length after window and grace have passed once.
            time.sleep(min(20, seconds / 3))
            first = self.facts(gateway, place)
            begun = time.monotonic()
            while time.monotonic() - begun < seconds - 20 and not problems:
                time.sleep(1)
                self.assertIsNone(gateway.process.poll(), "the gateway ended")
            last = self.facts(gateway, place)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(problems, [])
        watch_judges.plays(watching.report(), seconds - 5)
        kept = [capture.kept for capture in captures.values()]
        self.assertTrue(all(kept), f"segments that left a playlist, fetched late: {kept}")
        harness.note(f"first {first}")
        harness.note(f"last  {last}")
        # tiny_http lets threads that a burst called for go after 5 s.
        gateway.wait_for(lambda: harness.process_facts(gateway.process.pid)["threads"] <= first["threads"], "no more threads than at first", 15)
        self.assertLessEqual(last["files"], first["files"] + 4)
        self.assertLess(last["anon"] - first["anon"], 1 << 20, "private memory grew")
        self.assertLess(last["file"] - first["file"], 1 << 20)
        self.assertLess(last["tmpfs"] - first["tmpfs"], 2 << 20, "tmpfs grew")
        for name, capture in captures.items():
            judges.all_of(capture, {"b": "bframes"}.get(name, name), place.folder / name, audio=name == "aac")
            self.assertEqual(cameras.counts(f"/{name}")["play"], 1)
        self.assertGreaterEqual(gateway.camera("flaky")["reconnects"], 1)

    def facts(self, gateway, place):
        """The median of some moments, so that an answer being written does not count as growth."""
        moments = []
        for _ in range(5):
            moments.append(harness.process_facts(gateway.process.pid) | {"tmpfs": harness.folder_bytes(place.hls)})
            time.sleep(0.4)
        return {key: sorted(moment[key] for moment in moments)[2] for key in moments[0]}
