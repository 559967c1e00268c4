"""What goes wrong at cameras: each fault has its sentence, ends by itself, and leaves the stream in order."""

import socket
import threading
import time
import unittest

import harness
import judges


class Faults(unittest.TestCase):
    def one_camera(self, mount, **more):
        self.place = harness.Place(self)
        self.cameras = harness.Cameras(self.place, {"/live": mount}, auth=more.pop("auth", None))
        self.table = {"id": "cam", "url": self.cameras.url(more.pop("path", "/live"))} | more
        self.gateway = harness.Gateway(self.place, [self.table])

    def refusal(self, pattern, seconds=15):
        """The playlist answers 503 with Retry-After and this cause."""
        answer = None

        def refused():
            nonlocal answer
            answer = self.gateway.get("/hls/cam/index.m3u8")
            return answer.status == 503 and any(word in answer.error().lower() for word in pattern)

        try:
            self.gateway.wait_for(refused, f"a 503 that says {' or '.join(pattern)}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer: {answer and (answer.status, answer.body)}") from error
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertIn("camera cam:", answer.error())
        return answer.error()

    def playing_capture(self, segments=3):
        self.gateway.wait_for_playlist("cam")
        self.capture = judges.Capture(self.gateway.url("cam")).follow(segments)
        return self.capture

    def judge_runs(self, clips, gaps=0):
        """The capture's runs between discontinuities hold these clips, one each."""
        judges.playlist_strict(self.capture.playlists)
        judges.playlist_rules(self.capture.playlists, punctual=False)
        paths = self.capture.save(self.place.folder / "capture")
        runs = self.capture.runs()
        self.assertEqual(len(runs), len(clips), [[e.uri for e, _ in run] for run in runs])
        for path, run, clip in zip(paths, runs, clips):
            [units] = judges.structure([run], "h264")
            judges.same_pictures(units, clip, gaps)
            judges.silent(path)
            judges.clean_packets(path)
            judges.frames(path, len(units))

    def test_wrong_password(self):
        self.one_camera({"clip": "quick"}, auth={"method": "digest", "user": "admin", "password": "right"},
                        username="admin", password="wr0ng-secret")
        self.assertIn("127.0.0.1", self.refusal(["password"]))
        # Cameras lock accounts: at most three tries, then one every five minutes.
        time.sleep(12)
        self.assertLessEqual(self.cameras.counts("/live")["clients"], 3)
        self.assertNotIn("wr0ng-secret", self.gateway.log_text())
        self.assertNotIn("wr0ng-secret", self.gateway.get("/api/v1/status").body.decode())

    test_wrong_password.takes = 20

    def test_no_password_given(self):
        self.one_camera({"clip": "quick"}, auth={"method": "digest", "user": "admin", "password": "right"})
        self.refusal(["password"])

    def test_path_not_found(self):
        self.one_camera({"clip": "quick"}, path="/live2")
        sentence = self.refusal(["404"])
        self.assertIn("/live2", sentence)

    def test_jpeg_camera(self):
        self.one_camera({"clip": "jpeg"})
        self.assertIn("H.264", self.refusal(["jpeg"]))

    def test_silent_host(self):
        """Something accepts the connection and never answers."""
        self.place = harness.Place(self)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            table = {"id": "cam", "url": f"rtsp://127.0.0.1:{listener.getsockname()[1]}/live"}
            self.gateway = harness.Gateway(self.place, [table])
            self.refusal(["did not answer", "no answer", "not answering", "answer"], 25)

    def test_absent_at_start_then_there(self):
        self.one_camera({"clip": "quick"})
        self.gateway.kill()
        self.cameras.stop()
        self.gateway.start()
        self.refusal(["refused"])
        self.cameras.start()
        self.gateway.wait_for_playlist("cam", 40)
        self.playing_capture()
        self.judge_runs(["quick"])

    test_absent_at_start_then_there.takes = 20

    def test_connection_drops(self):
        self.one_camera({"clip": "quick"})
        self.playing_capture()
        self.cameras.do("drop")
        self.capture.follow(4)
        self.judge_runs(["quick", "quick"])
        self.assertEqual(self.gateway.camera("cam")["reconnects"], 1)

    def test_camera_restarts(self):
        self.one_camera({"clip": "quick"})
        self.playing_capture()
        self.cameras.stop()
        self.gateway.wait_for_state("cam", "waiting")
        time.sleep(3)
        self.cameras.start()
        self.capture.follow(4, patience=40)
        self.judge_runs(["quick", "quick"])
        self.assertEqual(self.cameras.counts("/live")["play"], 1)

    def test_picture_freezes_and_returns(self):
        self.one_camera({"clip": "quick"})
        self.playing_capture()
        self.cameras.do("freeze", "/live")
        self.gateway.wait_for_state("cam", "waiting", 40)
        self.assertIsNotNone(self.gateway.camera("cam")["last_error"])
        self.cameras.do("resume", "/live")
        self.capture.follow(4, patience=60)
        self.judge_runs(["quick", "quick"])
        # Never two sessions: the old one is torn down before the new one begins.
        self.assertLessEqual(self.cameras.counts("/live")["sessions"], 1)

    test_picture_freezes_and_returns.takes = 50

    def test_parameter_sets_change(self):
        self.one_camera({"clip": "quick"})
        self.playing_capture()
        self.cameras.do("clip", "/live", clip="small")
        self.capture.follow(6)
        self.judge_runs(["quick", "small"])
        video = self.gateway.camera("cam")["video"]
        self.assertEqual((video["width"], video["height"]), (480, 270))
        judges.browser(self.gateway.url("cam"), "hls.js", self.place.kept / "after.png", seconds=3)
        self.assertEqual(self.gateway.camera("cam")["reconnects"], 0)

    def test_player_survives_a_change_of_parameter_sets(self):
        """hls.js goes on over the discontinuity."""
        self.one_camera({"clip": "quick"})
        self.gateway.wait_for_playlist("cam")
        change = threading.Timer(5, lambda: self.cameras.do("clip", "/live", clip="small"))
        change.start()
        report = judges.browser(self.gateway.url("cam"), "hls.js", self.place.kept / "after.png", seconds=15)
        change.join()
        self.assertEqual((report["videos"][0]["width"], report["videos"][0]["height"]), (480, 270))

    test_player_survives_a_change_of_parameter_sets.takes = 25

    def test_pictures_missing_in_the_stream(self):
        """The camera leaves pictures out: the stream goes on, no picture is invented."""
        self.one_camera({"clip": "quick"})
        self.playing_capture(2)
        self.cameras.do("skip", "/live", units=30)
        self.capture.follow(5)
        judges.playlist_strict(self.capture.playlists)
        judges.playlist_rules(self.capture.playlists, punctual=False)
        for units in judges.structure(self.capture.runs(), "h264", gaps=1):
            judges.same_pictures(units, "quick", gaps=1)

    def test_other_cameras_do_not_notice(self):
        place = harness.Place(self)
        good = harness.Cameras(place, {"/live": {"clip": "quick"}})
        bad = harness.Cameras(place, {"/live": {"clip": "quick"}})
        gateway = harness.Gateway(place, [{"id": "good", "url": good.url("/live")}, {"id": "bad", "url": bad.url("/live")}])
        gateway.wait_for_playlist("good")
        gateway.wait_for_playlist("bad")
        capture = judges.Capture(gateway.url("good")).follow(2)
        bad.stop()
        capture.follow(6)
        judges.all_of(capture, "quick", place.folder / "capture")
        gateway.wait_for(lambda: gateway.get("/hls/bad/index.m3u8").status == 503, "the lost camera to be refused", 30)
