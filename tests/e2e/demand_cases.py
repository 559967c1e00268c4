"""Cameras that run only while somebody watches."""

import concurrent.futures
import threading
import time
import unittest

import harness
import judges


class OnDemand(unittest.TestCase):
    def sleeping(self, clip="quick", idle_timeout=60, **more):
        self.place = harness.Place(self)
        self.cameras = harness.Cameras(self.place, {"/live": {"clip": clip}})
        table = {"id": "cam", "url": self.cameras.url("/live"), "on_demand": True, "idle_timeout": idle_timeout} | more
        self.gateway = harness.Gateway(self.place, [table])

    def test_twenty_first_requests_make_one_session(self):
        self.sleeping()
        time.sleep(1)
        self.assertEqual(self.gateway.camera("cam")["state"], "sleeping")
        self.assertEqual(self.gateway.camera("cam")["hls"]["url"], "/hls/cam/index.m3u8", "players cannot wake what has no address")
        self.assertEqual(self.cameras.counts("/live")["clients"], 0, "connected before anybody asked")
        others, done = [], threading.Event()

        def ask_others():
            while not done.is_set():
                for path in ("/healthz", "/api/v1/status", "/"):
                    others.append((self.gateway.get(path).seconds, path))
                time.sleep(0.02)

        asking = threading.Thread(target=ask_others)
        asking.start()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: self.gateway.get("/hls/cam/index.m3u8"), range(20)))
        done.set()
        asking.join()
        self.assertEqual({answer.status for answer in answers}, {200}, [answer.body for answer in answers if answer.status != 200][:1])
        counts = self.cameras.counts("/live")
        self.assertEqual((counts["clients"], counts["describe"], counts["play"]), (1, 1, 1))
        others.sort()
        self.assertGreater(len(others), 20)
        # Who waits behind the sleeping camera waits until it has come; one in twenty may have met a busy machine.
        came = min(answer.seconds for answer in answers)
        self.assertLess(others[len(others) * 19 // 20][0], 0.1, "others are slow while a camera wakes")
        self.assertLess(others[-1][0], 0.7 * came, f"{others[-1][1]} waited behind the sleeping camera, which came after {came:.2f} s")

    test_twenty_first_requests_make_one_session.alone = True

    def first_playlist_within_a_gop(self, clip, gop, on_demand):
        stalls = harness.Stalls()
        self.sleeping(clip, on_demand=on_demand)
        answered = None

        def asked():
            nonlocal answered
            if self.gateway.get("/hls/cam/index.m3u8").status == 200:
                answered = time.monotonic()
                return True
            return False

        self.gateway.wait_for(asked, "the first playlist", every=0.005)
        # Without the time in which the machine itself stood still.
        late = answered - self.cameras.counts("/live")["first_key_frame"] - stalls.seconds()
        harness.note(f"first playlist {late:.3f} s after the first key frame, GOP {gop} s")
        self.assertLess(late, gop + 0.3)
        judges.silent(self.first_segment())

    def first_segment(self):
        capture = judges.Capture(self.gateway.url("cam"))
        capture.poll()
        [path, *_] = capture.save(self.place.folder / "capture")
        return path

    def test_first_playlist_within_a_gop_and_300_ms(self):
        self.first_playlist_within_a_gop("quick", 1, on_demand=False)

    test_first_playlist_within_a_gop_and_300_ms.alone = True

    def test_first_playlist_on_demand_within_a_gop_and_300_ms(self):
        self.first_playlist_within_a_gop("main", 2, on_demand=True)

    test_first_playlist_on_demand_within_a_gop_and_300_ms.alone = True

    def test_let_go_after_idle_timeout_and_woken_again(self):
        self.sleeping(idle_timeout=5)
        first = self.gateway.get("/hls/cam/index.m3u8")
        self.assertEqual(first.status, 200)
        sequence = judges.Playlist(first.body.decode()).sequence
        took = self.gateway.wait_for_state("cam", "sleeping", 12)
        self.assertGreater(took, 3.5)
        self.assertLess(took, 8)
        self.gateway.wait_for(lambda: self.cameras.counts("/live")["teardown"] == 1, "TEARDOWN", 3)
        self.assertEqual(harness.folder_bytes(self.place.hls), 0, "a sleeping camera holds tmpfs")
        again = self.gateway.get("/hls/cam/index.m3u8")
        self.assertEqual(again.status, 200, again.body)
        self.assertGreater(judges.Playlist(again.body.decode()).sequence, sequence)
        self.assertEqual(self.cameras.counts("/live")["play"], 2)

    def test_watching_keeps_it_awake(self):
        self.sleeping(idle_timeout=5)
        capture = judges.Capture(self.gateway.url("cam")).follow(9)
        judges.all_of(capture, "quick", self.place.folder / "capture")
        self.assertEqual(self.cameras.counts("/live")["play"], 1)

    def test_camera_that_does_not_come_answers_within_its_wait(self):
        self.sleeping()
        self.cameras.stop()
        answer = self.gateway.get("/hls/cam/index.m3u8")
        self.assertEqual(answer.status, 503)
        self.assertIn("refused", answer.error())
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertLess(answer.seconds, 6)
        # It goes on starting: when the camera appears, it plays.
        self.cameras.start()
        self.gateway.wait_for_playlist("cam", 20)

    def test_long_gop_is_named_as_the_cause_of_the_wait(self):
        """With a key frame every 10 s there is nothing to show after 5 s; the answer says what to change in the camera."""
        self.sleeping("gop10")
        answer = self.gateway.get("/hls/cam/index.m3u8")
        self.assertEqual(answer.status, 503)
        self.assertRegex(answer.error(), "(?i)key frame")
        self.assertLess(answer.seconds, 6)
        self.gateway.wait_for_playlist("cam", 20)
        self.assertEqual(self.cameras.counts("/live")["play"], 1)
