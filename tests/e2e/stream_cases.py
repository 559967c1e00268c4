"""Every kind of camera, from its RTSP server to the players: the pictures that come out are those that went in."""

import unittest

import footage
import harness
import judges


class Streams(unittest.TestCase):
    def stream(self, clip, segments=6, players=(), audio=False, transport=None, auth=None, camera=None, hls=None, patience=30):
        """One camera sending `clip`, followed for some segments, judged by everybody."""
        place = harness.Place(self)
        mount = {"clip": clip} | ({"transport": transport} if transport else {})
        self.cameras = harness.Cameras(place, {"/live": mount}, auth=auth)
        table = {"id": "CCTV-TEST", "url": self.cameras.url("/live")} | (camera or {})
        self.gateway = harness.Gateway(place, [table], hls=hls)
        self.gateway.wait_for_playlist("CCTV-TEST", patience)
        capture = judges.Capture(self.gateway.url("CCTV-TEST")).follow(segments, patience=patience)
        rules = judges.all_of(capture, clip, place.folder / "capture", audio=audio)
        self.assertEqual(len(capture.runs()), 1, "a discontinuity without a cause")
        for player in players:
            report = judges.browser(self.gateway.url("CCTV-TEST"), player, place.kept / f"{player}.png")
            size = footage.info(clip)["size"]
            self.assertEqual(f"{report['videos'][0]['width']}x{report['videos'][0]['height']}", size)
        self.status = self.gateway.camera("CCTV-TEST")
        self.assertEqual(self.status["state"], "streaming")
        self.assertEqual(self.status["lost_packets"], 0)
        self.assertEqual(self.status["reconnects"], 0)
        self.assertEqual(self.gateway.json("/api/v1/hls/streams/CCTV-TEST/stats")["errors"], 0)
        self.assertEqual(self.cameras.counts("/live")["play"], 1, "more than one session")
        return rules

    def video(self):
        video = self.status["video"]
        return video["codec"], video["width"], video["height"], round(video["fps"]), video["b_frames"]

    def test_h264_baseline(self):
        rules = self.stream("quick", players=("hls.js", "native"))
        self.assertEqual(rules["target"], 1)
        self.assertEqual(self.video(), ("H.264", 640, 360, 25, False))
        self.assertAlmostEqual(self.status["video"]["gop_seconds"], 1, delta=0.05)

    def test_h264_high_1080p(self):
        rules = self.stream("main", players=("hls.js", "native"))
        self.assertEqual(rules["target"], 2)
        self.assertEqual(self.video(), ("H.264", 1920, 1080, 25, False))
        self.assertAlmostEqual(self.status["bitrate"] / 4e6, 1, delta=0.25)

    def test_b_frames(self):
        self.stream("bframes", players=("hls.js", "native"))
        self.assertEqual(self.video(), ("H.264", 640, 360, 25, True))

    def test_gop_of_10_seconds(self):
        rules = self.stream("gop10", segments=4, patience=45)
        self.assertEqual(rules["target"], 10)
        self.assertAlmostEqual(self.status["video"]["gop_seconds"], 10, delta=0.1)
        self.assertTrue(any("10 s" in warning["sentence"] for warning in self.status["warnings"]), self.status["warnings"])

    test_gop_of_10_seconds.takes = 70

    def test_four_slices(self):
        self.stream("slices4", players=("hls.js",))

    def test_h265(self):
        self.stream("h265")
        self.assertEqual(self.video(), ("H.265", 640, 360, 25, False))

    def test_h265_open_gop(self):
        self.stream("h265cra")
        self.assertEqual(self.video(), ("H.265", 640, 360, 25, True))

    def test_aac(self):
        self.stream("aac", players=("hls.js", "native"), audio=True)
        self.assertEqual(self.status["audio"]["codec"], "AAC")
        self.assertEqual(self.status["audio"]["sample_rate"], 48000)
        self.assertTrue(self.status["audio"]["carried"])

    def test_g711_plays_without_sound_and_the_status_says_why(self):
        self.stream("pcma", players=("hls.js",))
        audio = self.status["audio"]
        self.assertEqual((audio["codec"], audio["sample_rate"], audio["carried"]), ("PCMA", 8000, False))
        self.assertIn("HLS carries AAC only", audio["reason"])
        # It is received all the same: 50 packets a second beside 25 pictures.
        handed = self.gateway.json("/api/v1/hls/streams/CCTV-TEST/stats")["packets_received"]
        self.assertGreater(self.gateway.camera("CCTV-TEST")["access_units"], 2 * handed)

    def test_sound_is_left_out_when_not_wanted(self):
        self.stream("aac", camera={"audio": False}, segments=4)

    def test_udp_only_camera(self):
        self.stream("quick", transport="udp")
        self.assertEqual(self.status["transport"], "udp")

    def test_udp_asked_for(self):
        self.stream("quick", camera={"transport": "udp"}, segments=4)
        self.assertEqual(self.status["transport"], "udp")

    def test_digest(self):
        self.stream("quick", auth={"method": "digest", "user": "admin", "password": "p@ss:w/ö rd%41"},
                    camera={"username": "admin", "password": "p@ss:w/ö rd%41"}, segments=4)

    def test_basic(self):
        self.stream("quick", auth={"method": "basic", "user": "admin", "password": "secret"},
                    camera={"username": "admin", "password": "secret"}, segments=4)

    def test_longer_segments_hold_several_gops(self):
        rules = self.stream("quick", segments=5, hls={"segment_duration": 2, "segment_count": 4})
        self.assertEqual(rules["target"], 2)


class FromTheMiddle(unittest.TestCase):
    def test_stream_that_begins_within_a_gop(self):
        """Pictures before the first key frame are left out."""
        place = harness.Place(self)
        cameras = harness.Cameras(place, {"/live": {"clip": "quick", "start": 10}})
        gateway = harness.Gateway(place, [{"id": "mid", "url": cameras.url("/live")}])
        gateway.wait_for_playlist("mid")
        capture = judges.Capture(gateway.url("mid")).follow(4)
        judges.all_of(capture, "quick", place.folder / "capture")
