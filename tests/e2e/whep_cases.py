"""WHEP as a protocol: every path, method and refusal, with plain HTTP. draft-ietf-wish-whep."""

import re
import unittest
from pathlib import Path

import harness
import viewers

# What Chromium offers: two transceivers that receive, VP8, VP9, H.264, AV1; PCMA among the sound.
OFFER = (Path(__file__).parent / "offers/chromium.sdp").read_bytes()


class Whep(unittest.TestCase):
    def gateway_with(self, clip="quick", webrtc=None, wait=True, **camera):
        self.place = harness.Place(self)
        self.cameras = harness.Cameras(self.place, {"/live": {"clip": clip}})
        table = {"id": "cam", "url": self.cameras.url("/live")} | camera
        self.gateway = harness.Gateway(self.place, [table], webrtc=webrtc)
        if wait:
            self.gateway.wait_for_playlist("cam", 30)

    def opened(self):
        """A session's path."""
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual(answer.status, 201, answer.body)
        return answer.headers["Location"]

    def test_offer_is_answered(self):
        self.gateway_with()
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual(answer.status, 201, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/sdp")
        self.assertRegex(answer.headers["Location"], r"^/whep/cam/[0-9a-f]{32}$")
        self.assertRegex(answer.headers["ETag"], r'^"[^"]+"$')
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*")
        exposed = {name.strip().lower() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
        self.assertLessEqual({"location", "etag", "link"}, exposed)
        sdp = answer.body.decode()
        self.assertTrue(sdp.startswith("v=0\r\n"))
        for line in ("a=ice-lite", "a=sendonly", "a=rtcp-mux", "a=end-of-candidates"):
            self.assertIn(f"{line}\r\n", sdp)
        # One answer for each medium of the offer, in its order and under its name; H.264 under numbers that were offered.
        self.assertEqual([line.split()[0] for line in re.findall(r"^m=.*", sdp, re.M)], ["m=video", "m=audio"])
        self.assertEqual(re.findall(r"^a=mid:(\S+)", sdp, re.M), ["0", "1"])
        offered = set(re.findall(r"^a=rtpmap:(\d+) H264/90000", OFFER.decode(), re.M))
        answered = set(re.findall(r"^a=rtpmap:(\d+) H264/90000", sdp, re.M))
        self.assertTrue(answered and answered <= offered, (answered, offered))
        candidates = [line.split() for line in re.findall(r"^a=candidate:(.*)\r$", sdp, re.M)]
        self.assertEqual(candidates[0][4:6], ["127.0.0.1", str(self.gateway.udp_port)], "the address that the request came to is not the first")
        self.assertEqual({candidate[2].lower() for candidate in candidates}, {"udp", "tcp"})
        self.assertFalse([candidate for candidate in candidates if candidate[4].startswith(("169.254.", "fe80"))], "link-local addresses")
        self.assertTrue(all("passive" in candidate for candidate in candidates if candidate[2].lower() == "tcp"), candidates)

    def test_each_path_and_method(self):
        self.gateway_with()
        session, sdp = self.opened(), {"Content-Type": "application/sdp"}
        self.gateway.sessions(1)
        nobody = "/whep/cam/" + "0" * 32
        for method, path, headers, body, status in [
            ("OPTIONS", "/whep/cam", {"Origin": "http://a", "Access-Control-Request-Method": "POST"}, None, 204),
            ("OPTIONS", session, {"Origin": "http://a", "Access-Control-Request-Method": "DELETE"}, None, 204),
            ("GET", "/whep/cam", {}, None, 204),
            ("HEAD", "/whep/cam", {}, None, 204),
            ("PUT", "/whep/cam", sdp, OFFER, 405),
            ("POST", "/whep/nobody", sdp, OFFER, 404),
            ("POST", "/whep/cam", {"Content-Type": "application/json"}, OFFER, 415),
            ("POST", "/whep/cam", {}, OFFER, 415),
            ("POST", "/whep/cam", sdp, b"v=0\r\n", 400),
            ("POST", "/whep/cam", {"Content-Type": "Application/SDP; charset=utf-8"}, OFFER, 201),
            ("GET", session, {}, None, 204),
            ("GET", nobody, {}, None, 404),
            ("PATCH", session, {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}, b"a=ice-ufrag:x\r\n", 405),
            ("POST", session, sdp, OFFER, 405),
            ("DELETE", "/whep/cam", {}, None, 405),
            ("DELETE", nobody, {}, None, 404),
            ("DELETE", session.replace("cam", "nobody"), {}, None, 404),
            ("DELETE", session.upper().replace("/WHEP/CAM", "/whep/cam") + "x", {}, None, 404),
            ("DELETE", session, {}, None, 200),
            ("DELETE", session, {}, None, 404),
        ]:
            with self.subTest(f"{method} {path} {headers.get('Content-Type', '')}"):
                answer = self.gateway.get(path, method, headers, body=body)
                self.assertEqual(answer.status, status, answer.body[:300])
                self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*", "a page of another origin does not learn what is wrong")
                if status >= 400:
                    self.assertGreater(len(answer.error()), 5)
                if status == 405:
                    right = {"POST", "OPTIONS"} if path == "/whep/cam" else {"DELETE", "OPTIONS"}
                    self.assertLessEqual(right, {word.strip() for word in answer.headers["Allow"].split(",")})
                if method == "OPTIONS":
                    self.assertLessEqual({"POST", "DELETE"}, {word.strip() for word in answer.headers["Access-Control-Allow-Methods"].split(",")})
                    self.assertIn("content-type", answer.headers["Access-Control-Allow-Headers"].lower())

    def test_sessions_are_told_and_ended_by_the_api(self):
        self.gateway_with()
        self.assertEqual(self.gateway.json("/api/v1/webrtc/sessions"), {"sessions": []})
        path = self.opened()
        [session] = self.gateway.sessions()
        self.assertEqual(session["session"], path.rsplit("/", 1)[1])
        self.assertLessEqual({"session", "camera", "since_seconds", "remote", "transport", "ice_state", "rtt_ms", "loss", "packets", "bytes",
                              "nacks", "plis", "skips", "codec", "sound"}, set(session))
        self.assertEqual((session["camera"], session["remote"], session["transport"]), ("cam", None, None))
        self.assertEqual(self.gateway.camera("cam")["webrtc"]["viewers"], 1)
        self.assertEqual(self.gateway.get("/api/v1/webrtc/sessions/" + "0" * 32, "DELETE").status, 404)
        self.assertEqual(self.gateway.get(f"/api/v1/webrtc/sessions/{session['session']}", "DELETE").status, 200)
        self.gateway.sessions(0)
        self.assertEqual(self.gateway.get(path, "DELETE").status, 404)
        self.assertNotIn("a=ice-pwd", self.gateway.log_text())
        self.assertNotIn(session["session"], self.gateway.log_text(), "whoever reads the log could end the session")

    def test_session_that_nobody_comes_to_is_given_up(self):
        self.gateway_with()
        self.opened()
        self.gateway.sessions(1)
        took = self.gateway.wait_for(lambda: self.gateway.sessions() == [], "the session to be gone", 30)
        harness.note(f"never heard: given up after {took:.1f} s")
        self.assertGreaterEqual(self.gateway.json("/api/v1/status")["webrtc"]["counters"]["vanished"], 1)

    test_session_that_nobody_comes_to_is_given_up.takes = 35

    def test_viewers_at_the_limit(self):
        self.gateway_with(webrtc={"max_viewers": 3}, max_viewers=2)
        first = self.opened()
        self.opened()
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual(answer.status, 503, answer.body)
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertIn("2 WebRTC viewers", answer.error())
        self.assertEqual(self.gateway.get(first, "DELETE").status, 200)
        self.opened()
        # A browser that is refused learns why, from another origin too.
        status, headers, body = viewers.chromium(self.place, self.gateway.whep("cam")).refused()
        self.assertEqual(status, 503)
        self.assertIn("2 WebRTC viewers", body)

    def test_gateway_at_its_limit(self):
        self.gateway_with(webrtc={"max_viewers": 2})
        self.opened()
        self.opened()
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual(answer.status, 503, answer.body)
        self.assertRegex(answer.error(), "gateway.*2 WebRTC viewers")

    def test_b_frames_are_refused_with_what_to_do(self):
        self.gateway_with("bframes")
        self.gateway.wait_for(lambda: self.gateway.camera("cam")["video"]["b_frames"], "B-frames to be noticed")
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual(answer.status, 406, answer.body)
        self.assertIn("no B-frames over WebRTC: set the camera to Baseline or Main without B-frames, or use HLS", answer.error())
        self.assertIn("B-frames", self.gateway.camera("cam")["webrtc"]["problem"]["sentence"])
        self.assertEqual(self.gateway.sessions(), [])

    def test_h265_is_refused_to_a_browser_without_it(self):
        self.gateway_with("h265")
        status, _, body = viewers.chromium(self.place, self.gateway.whep("cam")).refused()
        self.assertEqual(status, 406, body)
        self.assertRegex(body, "camera sends H.265, this browser accepts .*H.264.*: use HLS")
        self.assertEqual(self.gateway.sessions(), [])

    def test_camera_that_does_not_deliver_is_named(self):
        self.gateway_with(wait=False)
        self.cameras.stop()
        self.gateway.wait_for_state("cam", "waiting")
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual(answer.status, 503, answer.body)
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertRegex(answer.error(), "camera cam: 127.0.0.1 (refused|closed)")

    def test_sleeping_camera_is_woken(self):
        self.gateway_with(wait=False, on_demand=True)
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual(answer.status, 201, answer.body)
        self.assertLess(answer.seconds, 6)
        self.assertEqual(self.cameras.counts("/live")["play"], 1)

    def test_switched_off(self):
        self.gateway_with(webrtc={"enabled": False})
        answer = self.gateway.offer("cam", OFFER)
        self.assertEqual((answer.status, answer.error()), (503, "WebRTC is not enabled"))
        self.assertIsNone(self.gateway.camera("cam")["webrtc"])

    def test_certificate_survives_a_restart_and_is_private(self):
        self.gateway_with()

        def fingerprint():
            return re.search(r"^a=fingerprint:(.*)\r$", self.gateway.offer("cam", OFFER).body.decode(), re.M)[1]

        before = fingerprint()
        kept = [path for path in self.gateway.state.rglob("*") if path.is_file()]
        self.assertTrue(kept)
        self.assertEqual([path.stat().st_mode & 0o777 for path in kept], [0o600] * len(kept))
        self.gateway.kill()
        self.gateway.start()
        self.gateway.wait_for_playlist("cam")
        self.assertEqual(fingerprint(), before)
