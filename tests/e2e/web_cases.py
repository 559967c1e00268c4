"""The web port: every path with curl's eyes, and the page in a browser."""

import gzip
import re
import subprocess
import unittest

import harness
import judges


class Api(unittest.TestCase):
    def gateway_with_camera(self, **more):
        self.place = harness.Place(self)
        self.cameras = harness.Cameras(self.place, {"/live": {"clip": "quick"}})
        self.gateway = harness.Gateway(self.place, [{"id": "CCTV-TEST", "url": self.cameras.url("/live"), "name": "정문 Gate"}], **more)

    def delivering(self, **more):
        self.gateway_with_camera(**more)
        self.gateway.wait_for_playlist("CCTV-TEST")

    def test_each_path_answers_as_documented(self):
        self.delivering()
        get = self.gateway.get
        playlist = get("/hls/CCTV-TEST/index.m3u8")
        self.assertRegex(playlist.headers["Content-Type"], "application/vnd.apple.mpegurl|application/x-mpegurl")
        self.assertIn("no-cache", playlist.headers["Cache-Control"])
        self.assertEqual(playlist.headers["Access-Control-Allow-Origin"], "*")
        [*_, entry] = judges.Playlist(playlist.body.decode()).entries
        self.assertRegex(entry.uri, r"^[A-Za-z0-9]+_main_seg\d+\.ts$")
        segment = get(f"/hls/CCTV-TEST/{entry.uri}")
        self.assertEqual(segment.status, 200)
        self.assertEqual(segment.headers["Content-Type"], "video/mp2t")
        self.assertEqual(int(segment.headers["Content-Length"]), len(segment.body))
        self.assertRegex(segment.headers["Cache-Control"], r"max-age=\d+")
        self.assertIn("immutable", segment.headers["Cache-Control"])
        self.assertEqual(segment.headers["Access-Control-Allow-Origin"], "*")

        streams = get("/api/v1/hls/streams").json()
        self.assertIn("CCTV-TEST", str(streams))
        self.assertEqual(get("/api/v1/hls/streams/CCTV-TEST").status, 200)
        stats = get("/api/v1/hls/streams/CCTV-TEST/stats").json()
        self.assertLessEqual({"stream_id", "packets_received", "bytes_written", "segments_created", "current_bitrate", "errors"}, set(stats))
        self.assertEqual((stats["stream_id"], stats["errors"]), ("CCTV-TEST", 0))
        for number in ("packets_received", "bytes_written", "segments_created", "current_bitrate"):
            self.assertGreater(stats[number], 0, number)

        status = get("/api/v1/status").json()
        [camera] = status["cameras"]
        self.assertEqual((camera["id"], camera["name"], camera["state"]), ("CCTV-TEST", "정문 Gate", "streaming"))
        self.assertLess(camera["last_key_frame_age"], 2.5)
        self.assertGreater(status["memory"]["resident"]["limit"], 0)
        self.assertGreater(status["memory"]["tmpfs"]["used"], 0)
        # Between the two looks one may have come or gone.
        self.gateway.wait_for(lambda: get("/api/v1/status").json()["threads"] == harness.process_facts(self.gateway.process.pid)["threads"],
                              "the number of threads to be told")
        self.assertEqual(get("/healthz").status, 200)

    def test_metrics_are_prometheus_text(self):
        self.delivering()
        answer = self.gateway.get("/metrics")
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))
        samples = check_prometheus(answer.body.decode())
        self.assertTrue(any('CCTV-TEST' in labels for _name, labels in samples), "no sample of the camera")

    def test_errors_are_sentences_in_json(self):
        self.delivering()
        for method, path, status in [
            ("GET", "/hls/nobody/index.m3u8", 404), ("GET", "/api/v1/hls/streams/nobody", 404),
            ("GET", "/api/v1/hls/streams/nobody/stats", 404), ("GET", "/nowhere", 404),
            ("GET", "/hls/CCTV-TEST/none_main_seg1.ts", 404), ("GET", "/hls/CCTV-TEST/..%2f..%2fconfig.toml", 400),
            ("GET", "/hls/CCTV-TEST/../../config.toml", 404), ("POST", "/api/v1/status", 405), ("DELETE", "/hls/CCTV-TEST/index.m3u8", 405),
        ]:
            with self.subTest(f"{method} {path}"):
                answer = self.gateway.get(path, method)
                self.assertEqual(answer.status, status, answer.body)
                self.assertTrue(answer.headers["Content-Type"].startswith("application/json"))
                self.assertGreater(len(answer.error()), 5)
        self.assertIn("GET", self.gateway.get("/api/v1/status", "POST").headers["Allow"])

    def test_hls_switched_off(self):
        self.gateway_with_camera(hls={"enabled": False})
        for path in ("/hls/CCTV-TEST/index.m3u8", "/api/v1/hls/streams"):
            answer = self.gateway.get(path)
            self.assertEqual((answer.status, answer.error()), (503, "HLS is not enabled"), path)

    def test_head_and_range(self):
        self.delivering()
        [*_, entry] = judges.Playlist(self.gateway.get("/hls/CCTV-TEST/index.m3u8").body.decode()).entries
        path = f"/hls/CCTV-TEST/{entry.uri}"
        whole = self.gateway.get(path).body
        head = self.gateway.get(path, "HEAD")
        self.assertEqual((head.status, head.body, int(head.headers["Content-Length"])), (200, b"", len(whole)))
        for spec, start, end in [("bytes=188-375", 188, 376), ("bytes=-188", len(whole) - 188, len(whole)), ("bytes=376-", 376, len(whole))]:
            part = self.gateway.get(path, headers={"Range": spec})
            self.assertEqual((part.status, part.body), (206, whole[start:end]), spec)
            self.assertEqual(part.headers["Content-Range"], f"bytes {start}-{end - 1}/{len(whole)}")
        self.assertEqual(self.gateway.get(path, headers={"Range": f"bytes={len(whole)}-"}).status, 416)
        head = self.gateway.get("/hls/CCTV-TEST/index.m3u8", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertGreater(int(head.headers["Content-Length"]), 50)

    def test_compression_only_when_enabled_and_accepted(self):
        self.delivering(hls={"enable_compression": True})
        path = "/hls/CCTV-TEST/index.m3u8"
        answer = self.gateway.get(path, headers={"Accept-Encoding": "gzip"})
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        self.assertIn("Accept-Encoding", answer.headers["Vary"])
        judges.Playlist(gzip.decompress(answer.body).decode())
        self.assertIsNone(self.gateway.get(path).headers["Content-Encoding"])
        self.assertIsNone(self.gateway.get(path, headers={"Accept-Encoding": "gzip;q=0"}).headers["Content-Encoding"])
        self.assertTrue(gzip.decompress(self.gateway.get("/api/v1/status", headers={"Accept-Encoding": "gzip"}).body))
        judges.browser(self.gateway.url("CCTV-TEST"), "hls.js", seconds=2)

    def test_page_is_not_sent_twice(self):
        self.gateway_with_camera()
        page = self.gateway.get("/")
        self.assertTrue(page.headers["Content-Type"].startswith("text/html"))
        again = self.gateway.get("/", headers={"If-None-Match": page.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))

    def test_curl_agrees(self):
        """Another HTTP client, HTTP/1.0, keep-alive over several requests, and a request in two halves."""
        self.delivering()
        base = f"http://127.0.0.1:{self.gateway.port}"
        done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", f"{base}/healthz",
                               "-o", "/dev/null", f"{base}/api/v1/status", "-o", "/dev/null", f"{base}/hls/CCTV-TEST/index.m3u8"],
                              capture_output=True, text=True, timeout=10)
        self.assertEqual(done.stdout.split(), ["200", "1", "200", "0", "200", "0"], done.stderr)
        old = subprocess.run(["curl", "-sS", "--http1.0", "-w", "%{http_code}", "-o", "/dev/null", f"{base}/"], capture_output=True, text=True, timeout=10)
        self.assertEqual(old.stdout, "200", old.stderr)
        late = subprocess.run(["curl", "-sS", "-X", "POST", "-H", "Expect: 100-continue", "-d", "x" * 2000, "-w", "%{http_code}",
                               "-o", "/dev/null", f"{base}/api/v1/status"], capture_output=True, text=True, timeout=10)
        self.assertEqual(late.stdout, "405", late.stderr)

    def test_ffmpeg_plays_the_address(self):
        """VLC-class players: ffmpeg's HLS client follows the live playlist."""
        self.delivering()
        done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", self.gateway.url("CCTV-TEST"), "-t", "6", "-f", "null", "-"],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Page(unittest.TestCase):
    def test_page_shows_every_camera_moving(self):
        place = harness.Place(self)
        cameras = harness.Cameras(place, {"/a": {"clip": "quick"}, "/b": {"clip": "small"}})
        gateway = harness.Gateway(place, [
            {"id": "gate", "name": "Front gate", "url": cameras.url("/a")},
            {"id": "yard", "name": "Yard", "url": cameras.url("/b")},
            {"id": "lost", "name": "Lost", "url": cameras.url("/none")},
        ])
        gateway.wait_for_playlist("gate")
        gateway.wait_for_playlist("yard")
        url = f"http://127.0.0.1:{gateway.port}/"
        for name, options in {
            "desktop": {"width": 1280, "height": 800},
            "phone": {"width": 390, "height": 844, "mobile": True},
            "phone-ko": {"width": 390, "height": 844, "mobile": True, "locale": "ko-KR"},
        }.items():
            with self.subTest(name):
                report = judges.browser(url, "page", place.kept / f"{name}.png", seconds=3, tiles=1 if "phone" in name else 2, **options)
                self.assertLessEqual(report["overflow"], 0, "the page scrolls sideways")
                self.assertIn("Front gate", report["text"])
                self.assertIn("Lost", report["text"])
                self.assertEqual(bool(re.search("[가-힣]", report["text"])), name == "phone-ko", report["text"])
                self.assertEqual(report["lang"][:2], "ko" if name == "phone-ko" else "en")

    test_page_shows_every_camera_moving.takes = 30

    def test_tap_starts_a_sleeping_camera(self):
        place = harness.Place(self)
        cameras = harness.Cameras(place, {"/a": {"clip": "quick"}})
        gateway = harness.Gateway(place, [{"id": "gate", "url": cameras.url("/a"), "on_demand": True}])
        url = f"http://127.0.0.1:{gateway.port}/"
        judges.browser(url, "page", place.kept / "asleep.png", seconds=2, tiles=0)
        self.assertEqual(cameras.counts("/a")["clients"], 0, "opening the page woke a camera that nobody watches")
        judges.browser(url, "page", place.kept / "woken.png", seconds=3, tap="button.tap, .tap")
        self.assertEqual(cameras.counts("/a")["play"], 1)


def check_prometheus(text):
    """Text format 0.0.4: HELP and TYPE before a family's samples, no sample twice, numbers that are numbers."""
    types, samples, helped = {}, set(), set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, f"TYPE of {name} twice"
            assert kind in ("counter", "gauge", "histogram", "summary"), line
            types[name] = kind
        elif line and not line.startswith("#"):
            match = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)( \d+)?', line)
            assert match, f"not a sample: {line}"
            name, labels, value = match[1], match[2] or "", match[3]
            float(value)
            assert name in types and name in helped, f"{name} has no TYPE or HELP before it"
            assert types[name] != "counter" or name.endswith("_total"), f"counter {name} does not end in _total"
            assert (name, labels) not in samples, f"{line} twice"
            samples.add((name, labels))
    assert samples and text.endswith("\n")
    return samples
