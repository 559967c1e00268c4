"""Watching by WebRTC: every kind of viewer, from the camera's encoder to the decoded picture."""

import time
import unittest

import harness
import judges
import viewers
import watch_judges

# How long a viewer that vanished may stay on the list, s.
MOST_VANISHED = 15


class Watching(unittest.TestCase):
    """A camera that is watched; cases are in the classes below."""

    def watched(self, clip="numbered", webrtc=None, hls=None, wait=True, **camera):
        self.place = harness.Place(self)
        self.cameras = harness.Cameras(self.place, {"/live": {"clip": clip}})
        self.table = {"id": "cam", "url": self.cameras.url("/live")} | camera
        self.gateway = harness.Gateway(self.place, [self.table], webrtc=webrtc, hls=hls)
        self.url = self.gateway.whep("cam")
        if wait:
            self.gateway.wait_for_playlist("cam", 30)

    def pushes(self):
        return self.cameras.do("pushes", "/live")["pushes"]

    def none_is_left(self, seconds=5):
        return self.gateway.wait_for(lambda: self.gateway.sessions() == [], "every session to be gone", seconds)

    def stayed_connected(self, viewer):
        states = [state for _, state in viewer["states"]]
        self.assertEqual(states[-1], "connected", states)
        self.assertFalse({"disconnected", "failed", "closed"} & set(states), states)


class Viewers(Watching):
    def test_chromium_plays(self):
        self.watched()
        viewer = viewers.chromium(self.place, self.url, seconds=8, numbers=True, screenshot=str(self.place.kept / "chromium.png"))
        viewer.playing()
        viewer.sample()
        viewer.sample()
        [session] = self.gateway.sessions(1)
        self.assertEqual((session["camera"], session["transport"], session["codec"]), ("cam", "udp", "H.264"))
        self.assertIn(session["ice_state"], ("connected", "completed"))
        self.assertRegex(session["remote"], r"^[0-9a-f.:\[\]]+:\d+$")
        self.assertGreater(session["packets"], 20)
        self.assertGreater(session["bytes"], 20000)
        self.assertLess(session["since_seconds"], 10)
        report = viewer.report()
        self.note("Chromium", watch_judges.plays(report, 8, freezes=0) | watch_judges.live(report, self.pushes()))
        watch_judges.starts(report, 1000)
        watch_judges.deleted(report)
        [seen] = report["viewers"]
        self.assertTrue(seen["session"].endswith(session["session"]))
        self.assertEqual(seen["pair"]["remote"]["port"], self.gateway.udp_port)
        self.assertEqual(seen["video"]["packetsLost"], 0)
        self.stayed_connected(seen)
        self.none_is_left()
        self.assertEqual(self.cameras.counts("/live")["play"], 1, "HLS and WebRTC together make one session")

    test_chromium_plays.alone = True

    def note(self, who, measured):
        harness.note(f"{who}: {measured}")

    def test_chromium_plays_high_profile_1080p(self):
        self.watched("main")
        report = viewers.chromium(self.place, self.url, seconds=8).report()
        watch_judges.plays(report, 8, freezes=0)
        [seen] = report["viewers"]
        self.assertEqual((seen["video"]["frameWidth"], seen["video"]["frameHeight"]), (1920, 1080))

    test_chromium_plays_high_profile_1080p.alone = True

    def test_sound_of_a_g711_camera_is_heard(self):
        self.watched("pcma")
        viewer = viewers.chromium(self.place, self.url, seconds=8, sound=True)
        viewer.playing()
        [session] = self.gateway.sessions(1)
        self.assertEqual(session["sound"], "PCMA")
        report = viewer.report()
        watch_judges.plays(report, 8)
        watch_judges.sounds(report, 8)
        for client in (viewers.aiortc, viewers.webrtcbin):
            with self.subTest(client.__name__):
                report = client(self.place, self.url, seconds=5, sound=True).report()
                watch_judges.plays(report, 5)
                watch_judges.sounds(report, 5)

    test_sound_of_a_g711_camera_is_heard.takes = 30

    def test_sound_that_webrtc_does_not_carry_is_left_out_and_the_status_says_why(self):
        self.watched("aac")
        report = viewers.chromium(self.place, self.url, seconds=4, sound=True).report()
        watch_judges.plays(report, 4)
        self.assertFalse(report["viewers"][0].get("audio"), "sound arrives")
        self.assertIn("AAC", self.gateway.camera("cam")["webrtc"]["sound_problem"]["sentence"])

    def test_aiortc_plays(self):
        self.watched()
        report = viewers.aiortc(self.place, self.url, seconds=8, numbers=True).report()
        self.note("aiortc", watch_judges.plays(report, 8) | watch_judges.live(report, self.pushes()))
        watch_judges.order(report["viewers"][0], "numbered", complete=True)
        watch_judges.deleted(report)
        self.none_is_left()

    def test_webrtcbin_plays(self):
        self.watched()
        # libnice checks its path at the start only, and what is not checked for 15 s is gone for str0m: longer than that.
        report = viewers.webrtcbin(self.place, self.url, seconds=24).report()
        self.note("webrtcbin", watch_judges.plays(report, 24))
        watch_judges.deleted(report)
        self.none_is_left()

    def test_16_viewers_at_once(self):
        self.watched("small")
        viewer = viewers.chromium(self.place, self.url, viewers=16, seconds=10, patience=30)
        viewer.playing()
        self.gateway.sessions(16)
        report = viewer.report()
        # Sixteen decoders on a small machine may stumble; the gateway must not.
        self.note("16 viewers", watch_judges.plays(report, 10, count=16))
        watch_judges.deleted(report)
        self.assertEqual([seen["video"]["packetsLost"] for seen in report["viewers"]], [0] * 16)
        self.none_is_left()
        self.assertEqual(self.cameras.counts("/live")["play"], 1)

    test_16_viewers_at_once.alone = True

    def test_ice_tcp_where_udp_is_blocked(self):
        self.watched()
        viewer = viewers.chromium(self.place, self.url, seconds=6, candidates="tcp", numbers=True)
        viewer.playing()
        self.gateway.wait_for(lambda: self.gateway.sessions(1)[0]["transport"] == "tcp", "the session to be told as one over TCP", 10)
        report = viewer.report()
        self.note("Chromium over TCP", watch_judges.plays(report, 6) | watch_judges.live(report, self.pushes()))
        [seen] = report["viewers"]
        self.assertEqual(seen["pair"]["remote"]["protocol"], "tcp")
        self.none_is_left()


class Start(Watching):
    def in_mid_gop(self):
        """Waits until the last key frame of a GOP of 10 s is some seconds old."""
        self.gateway.wait_for(lambda: 4 < (self.gateway.camera("cam")["last_key_frame_age"] or 0) < 8, "the middle of a GOP", 15)

    def test_first_picture_does_not_wait_for_the_next_key_frame(self):
        self.watched("numbered10")
        self.in_mid_gop()
        report = viewers.chromium(self.place, self.url, seconds=6, numbers=True).report()
        [seen] = report["viewers"]
        first = watch_judges.latencies(seen, self.pushes())[0]
        harness.note(f"GOP 10 s: first picture after {watch_judges.starts(report, 1000):.0f} ms, {first[1]:.1f} s old; "
                     f"then {watch_judges.live(report, self.pushes(), within=2, clip='numbered10')}")
        watch_judges.plays(report, 6, freezes=0, replayed=250)

    test_first_picture_does_not_wait_for_the_next_key_frame.alone = True

    def test_no_picture_is_missing_between_the_key_frame_and_live(self):
        """aiortc shows every picture that it decodes: from the GOP's first one on, each one once."""
        self.watched("numbered10")
        self.in_mid_gop()
        report = viewers.aiortc(self.place, self.url, seconds=6, numbers=True).report()
        [seen] = report["viewers"]
        watch_judges.starts(report, 1000)
        self.assertEqual(seen["seen"][0][1] % 250, 0, "the first picture is not the key frame")
        watch_judges.order(seen, "numbered10", complete=True)
        harness.note(f"aiortc, GOP 10 s: {watch_judges.live(report, self.pushes(), within=2, clip='numbered10')}")

    test_no_picture_is_missing_between_the_key_frame_and_live.alone = True

    def test_offer_wakes_a_sleeping_camera_and_watching_keeps_it_awake(self):
        self.watched(wait=False, on_demand=True, idle_timeout=5)
        time.sleep(1)
        self.assertEqual(self.gateway.camera("cam")["state"], "sleeping")
        viewer = viewers.chromium(self.place, self.url, seconds=9)
        viewer.playing()
        report = viewer.report()
        watch_judges.plays(report, 9)
        watch_judges.starts(report, 6000)
        self.assertEqual(self.cameras.counts("/live")["play"], 1)
        self.gateway.wait_for_state("cam", "sleeping", 12)

    test_offer_wakes_a_sleeping_camera_and_watching_keeps_it_awake.takes = 30


class Trouble(Watching):
    def test_picture_recovers_from_20_percent_loss_by_retransmission(self):
        self.watched()
        for client in (viewers.chromium, viewers.aiortc):
            with self.subTest(client.__name__):
                proxy = viewers.LossProxy(self.place, self.gateway.udp_port)
                viewer = client(self.place, self.url, seconds=12, port=proxy.port)
                viewer.playing()
                samples = [viewer.sample() for _ in range(8)]
                [session] = self.gateway.sessions(1)
                self.assertGreater(session["nacks"], 10)
                report = viewer.report()
                harness.note(f"{client.__name__} under loss: {watch_judges.recovers(report, 12)}, {proxy.counts()}")
                watch_judges.goes_on(samples[::2])
                # A window without loss: all is well again at once.
        proxy = viewers.LossProxy(self.place, self.gateway.udp_port)
        viewer = viewers.chromium(self.place, self.url, seconds=12, port=proxy.port)
        viewer.playing()
        proxy.counts(loss=1.0)
        time.sleep(2)
        proxy.counts(loss=0.0)
        time.sleep(3)
        watch_judges.goes_on([viewer.sample() for _ in range(3)])
        self.stayed_connected(viewer.report()["viewers"][0])

    test_picture_recovers_from_20_percent_loss_by_retransmission.takes = 60

    def test_camera_restarts_while_watched(self):
        self.watched()
        viewer = viewers.chromium(self.place, self.url, seconds=90)
        viewer.playing()
        [before] = self.gateway.sessions(1)
        self.cameras.stop()
        self.gateway.wait_for_state("cam", "waiting")
        time.sleep(3)
        still = viewer.sample()["viewers"][0]["video"]["framesDecoded"]
        self.cameras.start()
        took = viewer.wait_until(lambda seen: seen["video"]["framesDecoded"] > still + 25, "the picture to return", 40)
        watch_judges.goes_on([viewer.sample() for _ in range(4)])
        [after] = self.gateway.sessions(1)
        self.assertEqual(after["session"], before["session"])
        harness.note(f"the picture returned within {took:.1f} s")
        report = viewer.end()
        self.stayed_connected(report["viewers"][0])
        watch_judges.deleted(report)

    test_camera_restarts_while_watched.takes = 40

    def test_parameter_sets_change_while_watched(self):
        self.watched("quick")
        viewer = viewers.chromium(self.place, self.url, seconds=60)
        viewer.playing()
        self.cameras.do("clip", "/live", clip="small")
        viewer.wait_until(lambda seen: seen["video"]["frameWidth"] == 480, "the smaller picture", 15)
        watch_judges.goes_on([viewer.sample() for _ in range(4)])
        report = viewer.end()
        self.stayed_connected(report["viewers"][0])
        self.assertEqual(report["viewers"][0]["video"]["pliCount"], 0, "Chromium asked for a key frame: it was not given one")
        self.assertEqual(self.gateway.camera("cam")["reconnects"], 0)

    test_parameter_sets_change_while_watched.takes = 25

    def test_pictures_missing_in_the_stream(self):
        """The camera leaves pictures out: Chromium goes on, and asks for nothing that cannot be had."""
        self.watched("quick")
        viewer = viewers.chromium(self.place, self.url, seconds=40)
        viewer.playing()
        self.cameras.do("skip", "/live", units=30)
        time.sleep(3)
        watch_judges.goes_on([viewer.sample() for _ in range(4)])
        report = viewer.end()
        self.stayed_connected(report["viewers"][0])
        self.assertEqual(report["viewers"][0]["video"]["packetsLost"], 0, "the camera's gap became one of the sequence numbers")

    def test_closed_tab_is_noticed(self):
        self.watched()
        viewer = viewers.chromium(self.place, self.url, seconds=2, end="close")
        viewer.playing()
        self.gateway.sessions(1)
        self.assertIsNone(viewer.report()["viewers"][0]["deleted"])
        harness.note(f"closed tab: noticed after {self.none_is_left(MOST_VANISHED):.1f} s")

    def test_viewer_that_loses_power_is_noticed(self):
        self.watched()
        viewer = viewers.aiortc(self.place, self.url, seconds=60)
        viewer.playing()
        self.gateway.sessions(1)
        viewer.kill()
        harness.note(f"lost power: noticed after {self.none_is_left(MOST_VANISHED):.1f} s")
        self.assertGreaterEqual(self.gateway.json("/api/v1/status")["webrtc"]["counters"]["vanished"], 1)

    def test_session_ended_by_the_operator(self):
        self.watched()
        viewer = viewers.chromium(self.place, self.url, seconds=60)
        viewer.playing()
        [session] = self.gateway.sessions(1)
        path = f"/api/v1/webrtc/sessions/{session['session']}"
        self.assertEqual(self.gateway.get(path, "DELETE").status, 200)
        self.gateway.sessions(0)
        counts = [viewer.sample()["viewers"][0]["video"]["framesDecoded"] for _ in range(4)]
        self.assertEqual(counts[-2], counts[-1], "pictures go on")
        self.assertEqual(self.gateway.get(path, "DELETE").status, 404)
        # The viewer's own DELETE finds nothing any more.
        self.assertEqual(viewer.end()["viewers"][0]["deleted"], 404)


class Page(Watching):
    def page(self, name, seconds=3, **options):
        return judges.browser(f"http://127.0.0.1:{self.gateway.port}/", "page", self.place.kept / f"{name}.png", seconds=seconds, **options)

    def plays_by(self, report, transport, why):
        """What the tile says of its picture is what the picture comes by."""
        [video, *_] = report["videos"]
        self.assertEqual((video["by"], video["transport"], video["why"]), (transport, transport, why), video["said"])

    def test_page_plays_by_webrtc_and_says_so(self):
        self.watched("quick")
        report = self.page("webrtc")
        self.plays_by(report, "webrtc", None)
        self.assertIn("WebRTC", report["text"])

    def test_page_falls_back_to_hls_and_says_why_when_nothing_gets_through(self):
        self.watched("quick")
        report = self.page("blocked", narrow={"hole": viewers.Hole(self.place).port}, patience=40)
        self.plays_by(report, "hls", "udp_and_tcp")
        self.assertRegex(report["text"], rf"UDP {self.gateway.udp_port} did not get through")
        self.assertRegex(report["text"], rf"TCP {self.gateway.udp_port}")

    test_page_falls_back_to_hls_and_says_why_when_nothing_gets_through.takes = 40

    def test_page_plays_over_tcp_when_udp_does_not_get_through(self):
        self.watched("quick")
        report = self.page("tcp", narrow={"candidates": "tcp"})
        self.plays_by(report, "webrtc", None)

    def test_page_plays_hls_and_says_why_webrtc_cannot(self):
        self.watched("bframes")
        self.gateway.wait_for(lambda: self.gateway.camera("cam")["video"]["b_frames"], "B-frames to be noticed")
        report = self.page("bframes", patience=30)
        self.plays_by(report, "hls", "b_frames")
        self.assertIn("no B-frames over WebRTC", report["text"])
