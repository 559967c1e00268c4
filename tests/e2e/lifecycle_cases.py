"""Start, stop, crash, reload, a full tmpfs, and the command line."""

import json
import os
import signal
import subprocess
import time
import unittest

import harness
import judges


class Lifecycle(unittest.TestCase):
    def running(self, ids=("cam",), clip="quick", **more):
        self.place = harness.Place(self)
        self.cameras = harness.Cameras(self.place, {f"/{name}": {"clip": clip} for name in ids})
        self.tables = [{"id": name, "url": self.cameras.url(f"/{name}")} for name in ids]
        self.gateway = harness.Gateway(self.place, self.tables, **more)
        for name in ids:
            self.gateway.wait_for_playlist(name)

    def test_sigterm_ends_within_two_seconds_with_teardown(self):
        self.running(("a", "b", "c"))
        took = self.gateway.terminate()
        self.assertEqual(self.gateway.process.returncode, 0)
        self.assertLess(took, 2)
        for name in "abc":
            self.assertEqual(self.cameras.counts(f"/{name}")["teardown"], 1, f"no TEARDOWN to {name}")
        self.assertEqual(left_in(self.place.hls), [], "files are left")

    def test_sigterm_ends_within_two_seconds_when_a_camera_is_gone(self):
        self.running(("a", "b"))
        self.cameras.process.send_signal(signal.SIGSTOP)
        took = self.gateway.terminate()
        self.assertEqual(self.gateway.process.returncode, 0)
        self.assertLess(took, 2)

    def test_sigint_ends_too(self):
        self.running()
        self.gateway.process.send_signal(signal.SIGINT)
        self.assertEqual(self.gateway.process.wait(2), 0)

    def test_killed_and_started_again_leaves_nothing_stale(self):
        self.running()
        capture = judges.Capture(self.gateway.url("cam")).follow(4)
        before = capture.playlists[-1][1]
        self.gateway.kill()
        self.assertNotEqual(left_in(self.place.hls), [], "kill -9 leaves files; else this case proves nothing")
        self.gateway.start()
        self.gateway.wait_for_playlist("cam")
        after = judges.Playlist(self.gateway.get("/hls/cam/index.m3u8").body.decode())
        self.assertGreater(after.sequence, before.entries[-1].sequence, "the media sequence went back")
        stale = set(capture.seen.values()) & set(left_in(self.place.hls))
        self.assertEqual(stale, set(), "the crashed run's segments are still there")
        prefixes = {name.split("_main_seg")[0].lstrip(".") for name in left_in(self.place.hls) if "_main_seg" in name}
        self.assertEqual(len(prefixes), 1, "two runs in the folder")
        self.assertNotIn(before.entries[-1].uri.split("_main_seg")[0], prefixes)
        self.assertEqual(self.gateway.get(f"/hls/cam/{before.entries[-1].uri}").status, 404)

    def test_other_files_in_the_folder_are_left_alone(self):
        place = harness.Place(self)
        cameras = harness.Cameras(place, {"/live": {"clip": "quick"}})
        place.hls.mkdir()
        (place.hls / "notes.txt").write_text("mine")
        gateway = harness.Gateway(place, [{"id": "cam", "url": cameras.url("/live")}])
        gateway.wait_for_playlist("cam")
        gateway.terminate()
        self.assertEqual((place.hls / "notes.txt").read_text(), "mine")

    def test_sighup_restarts_only_what_changed(self):
        self.running(("stays", "moves", "goes"))
        stays = judges.Capture(self.gateway.url("stays")).follow(2)
        self.tables[1]["url"] = self.cameras.url("/goes")
        new = {"id": "new", "url": self.cameras.url("/moves")}
        self.gateway.write([self.tables[0], self.tables[1], new])
        self.gateway.reload()
        self.gateway.wait_for(lambda: self.gateway.get("/hls/goes/index.m3u8").status == 404, "camera goes to be gone")
        self.gateway.wait_for_playlist("new")
        self.gateway.wait_for_playlist("moves")
        stays.follow(4)
        # Nobody looked while the new cameras came, so not every version was seen in time.
        judges.all_of(stays, "quick", self.place.folder / "capture", punctual=False)
        self.assertEqual(self.cameras.counts("/stays")["play"], 1, "the unchanged camera was restarted")
        self.assertEqual([c["id"] for c in self.gateway.json("/api/v1/status")["cameras"]], ["stays", "moves", "new"])

    def test_sighup_with_an_invalid_file_keeps_the_old_one_and_says_why(self):
        self.running(("stays",))
        capture = judges.Capture(self.gateway.url("stays")).follow(2)
        self.gateway.config.write_text(self.gateway.config.read_text().replace("[[camera]]", "[[camera]]\ntransprot = \"tcp\""))
        self.gateway.reload()
        self.gateway.wait_for_log("transprot")
        self.assertIn("transport", self.gateway.log_text())
        capture.follow(3)
        judges.all_of(capture, "quick", self.place.folder / "capture")
        self.assertEqual(self.cameras.counts("/stays")["play"], 1)

    def test_sighup_moves_the_folder_and_turns_hls_off_and_on(self):
        self.running()
        gateway, moved = self.gateway, self.place.folder / "moved"
        self.reconfigure(output_dir=str(moved))
        gateway.wait_for(lambda: (moved / "cam/index.m3u8").exists(), "segments in the new folder")
        gateway.wait_for(lambda: gateway.get("/hls/cam/index.m3u8").status == 200, "the web port to answer again")
        self.assertFalse(self.place.hls.exists(), "the old folder is left")
        self.reconfigure(enabled=False)
        gateway.wait_for(lambda: gateway.get("/hls/cam/index.m3u8").status == 503, "HLS to be off")
        self.assertEqual(gateway.get("/hls/cam/index.m3u8").error(), "HLS is not enabled")
        self.assertFalse(moved.exists(), "the folder is left")
        self.reconfigure(enabled=True)
        gateway.wait_for(lambda: gateway.get("/hls/cam/index.m3u8").status == 200, "HLS to be on again")

    def test_a_folder_that_another_gateway_uses_is_refused(self):
        self.running()
        capture = judges.Capture(self.gateway.url("cam")).follow(2)
        other = harness.Gateway(self.place, [{"id": "other", "url": "rtsp://127.0.0.1:9/x"}], start=False)
        other.config = self.place.folder / "other.toml"
        other.write([{"id": "other", "url": "rtsp://127.0.0.1:9/x"}])
        self.gateway.write(self.tables)
        other.start(wait=False)
        self.assertEqual(other.process.wait(20), 1)
        self.assertIn("another porthole uses this folder", other.log_text())
        capture.follow(3)
        judges.all_of(capture, "quick", self.place.folder / "capture")

    def reconfigure(self, **hls):
        self.gateway.hls_settings |= hls
        self.gateway.write(self.tables)
        self.gateway.reload()
        # The web port goes and comes back with the folder.
        time.sleep(1)

    def test_full_tmpfs_stops_one_camera_and_nothing_else(self):
        """A small tmpfs for a 4 Mbit/s camera and a small one, filled up by somebody else."""
        place = harness.Place(self)
        small = place.folder / "small"
        small.mkdir()
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        mounted = subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", "size=32m,mode=1777", "porthole-test", str(small)],
                                 capture_output=True, text=True)
        self.assertEqual(mounted.returncode, 0, f"mounting a small tmpfs needs root or sudo: {mounted.stderr}")
        self.addCleanup(subprocess.run, [*as_root, "umount", "-l", str(small)], check=False)
        cameras = harness.Cameras(place, {"/big": {"clip": "main"}, "/little": {"clip": "quick"}})
        gateway = harness.Gateway(place, [{"id": "little", "url": cameras.url("/little")}, {"id": "big", "url": cameras.url("/big")}],
                                  output_dir=small / "hls", hls={"cleanup_threshold": 10})
        gateway.wait_for_playlist("little")
        # Its ring is at its full length after a while: what is full now hits the camera that still grows.
        capture = judges.Capture(gateway.url("little")).follow(12)
        fill = small / "fill"
        try:
            with open(fill, "wb") as file:
                while True:
                    file.write(bytes(65536))
                    file.flush()
        except OSError:
            pass
        # The big camera's pages are taken from it: it must say so, and take them again when there is room.
        time.sleep(8)
        self.assertIsNone(gateway.process.poll(), "the gateway ended")
        self.assertEqual(gateway.get("/healthz").status, 200)
        errors = {name: gateway.json(f"/api/v1/hls/streams/{name}/stats")["errors"] for name in ("little", "big")}
        harness.note(f"errors while full: {errors}")
        self.assertGreater(sum(errors.values()), 0, "a full tmpfs was no error; else this case proves nothing")
        capture.follow(3, patience=40)
        fill.unlink()
        for name in ("little", "big"):
            judges.Capture(gateway.url(name)).follow(4)
        self.assertRegex(gateway.log_text() + json.dumps(gateway.json("/api/v1/status")), r"(?i)tmpfs|no space|full")
        judges.playlist_rules(capture.playlists, punctual=False)

    test_full_tmpfs_stops_one_camera_and_nothing_else.takes = 40

    def test_folder_that_is_not_on_tmpfs_is_refused(self):
        place = harness.Place(self)
        gateway = harness.Gateway(place, [{"id": "cam", "url": "rtsp://127.0.0.1:1/"}], output_dir="/var/tmp/porthole-test", start=False)
        done = harness.porthole("run", "--config", gateway.config)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, "tmpfs.*(/run|/dev/shm)")

    def test_taken_port_is_a_sentence(self):
        self.running()
        done = harness.porthole("run", "--config", self.gateway.config)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.gateway.port), done.stdout + done.stderr)
        self.assertNotIn("panicked", done.stderr)
        # The second one must not have cleaned up under the first one.
        judges.Capture(self.gateway.url("cam")).follow(4)

    def test_threads_are_a_fixed_few(self):
        self.running(("a", "b", "c", "d"))
        facts = harness.process_facts(self.gateway.process.pid)
        self.assertLessEqual(facts["threads"], 11, "media, 4 http, accept and its 4, 1 resolver")


class CommandLine(unittest.TestCase):
    def test_check_prints_every_problem_at_once(self):
        place = harness.Place(self)
        config = place.folder / "bad.toml"
        config.write_text('''
[web]
listen = "nonsense"
[hls]
segment_count = 0
output_dir = "/var/tmp/x"
segmnt_duration = 1
[[camera]]
id = "a b"
name = "first"
url = "http://10.0.0.5/"
[[camera]]
id = "same"
name = "second"
url = "rtsp://10.0.0.5/"
transport = "pigeon"
[[camera]]
id = "same"
name = "third"
url = "rtsp://admin:hunter2@10.0.0.5/"
''')
        done = harness.porthole("check", "--config", config)
        self.assertEqual(done.returncode, 1)
        said = done.stdout + done.stderr
        for word in ("listen", "segment_count", "tmpfs", "segmnt_duration", "segment_duration", "a b", "same", "pigeon", "rtsp"):
            with self.subTest(word):
                self.assertIn(word, said)
        self.assertNotIn("hunter2", said)
        self.assertRegex(said, r"8|line", "the line of the unknown key")

    def test_check_accepts_a_good_file(self):
        place = harness.Place(self)
        gateway = harness.Gateway(place, [{"id": "cam", "url": "rtsp://10.0.0.5/live"}], start=False)
        done = harness.porthole("check", "--config", gateway.config)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_missing_file_is_a_sentence(self):
        for command in ("run", "check"):
            done = harness.porthole(command, "--config", "/nonexistent.toml")
            self.assertEqual(done.returncode, 1)
            self.assertIn("/nonexistent.toml", done.stderr + done.stdout)

    def test_help_and_version(self):
        helped = harness.porthole("--help")
        self.assertEqual(helped.returncode, 0)
        for word in ("run", "check", "probe", "demo"):
            self.assertIn(word, helped.stdout)
            self.assertEqual(harness.porthole(word, "--help").returncode, 0)
        for word in ("--config", "--board"):
            self.assertIn(word, harness.porthole("run", "--help").stdout)
        self.assertRegex(harness.porthole("--version").stdout, r"^porthole \d+\.\d+\.\d+")

    def test_probe_says_what_the_camera_sends(self):
        place = harness.Place(self)
        cameras = harness.Cameras(place, {"/main": {"clip": "main"}, "/b": {"clip": "bframes"}, "/aac": {"clip": "aac"},
                                         "/pcma": {"clip": "pcma"}})
        main = harness.porthole("probe", cameras.url("/main"))
        self.assertEqual(main.returncode, 0, main.stderr)
        for word in ("H.264", "1920x1080", r"25(\.\d+)? ?(fps|pictures|frames)?", r"2(\.\d+)? s", "HLS", "WebRTC"):
            with self.subTest(word):
                self.assertRegex(main.stdout, word)
        self.assertRegex(harness.porthole("probe", cameras.url("/b")).stdout, "(?i)b-frames")
        self.assertRegex(harness.porthole("probe", cameras.url("/aac")).stdout, "AAC .* plays as HLS only")
        self.assertRegex(harness.porthole("probe", cameras.url("/pcma")).stdout, "PCMA .* plays as WebRTC only")
        self.assertEqual(cameras.counts("/main")["teardown"], 1)
        gone = harness.porthole("probe", cameras.url("/none"))
        self.assertEqual(gone.returncode, 1)
        self.assertIn("404", gone.stdout + gone.stderr)

    test_probe_says_what_the_camera_sends.takes = 30

    def test_demo_shows_moving_pictures_within_5_seconds(self):
        place, port = harness.Place(self), harness.free_port()
        with open(place.folder / "demo.log", "w") as log:
            begun = time.monotonic()
            demo = subprocess.Popen([str(harness.BINARY), "demo", "--listen", f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(demo.wait)
        self.addCleanup(demo.kill)
        while True:
            self.assertIsNone(demo.poll(), "the demo ended")
            self.assertLess(time.monotonic() - begun, 5, "no playlist after 5 s")
            try:
                [camera] = harness.ask(port, "/api/v1/status").json()["cameras"]
                if harness.ask(port, f"/hls/{camera['id']}/index.m3u8").status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.05)
        harness.note(f"demo playlist after {time.monotonic() - begun:.2f} s")
        # A browser that the machine delays falls back to HLS; one that the gateway delays does so every time.
        for _ in range(3):
            report = judges.browser(f"http://127.0.0.1:{port}/", "page", place.kept / "demo.png", seconds=3)
            if report["videos"][0]["by"] == "webrtc" and report["openedMs"] < 1000:
                break
        self.assertLess(report["startedAfterMs"], 5000)
        harness.note(f"the page's picture after {report['openedMs']} ms, by {report['videos'][0]['by']}")
        self.assertEqual(report["videos"][0]["by"], "webrtc")
        self.assertLess(report["openedMs"], 1000)
        self.assertIn(f"http://127.0.0.1:{port}", (place.folder / "demo.log").read_text())
        demo.send_signal(signal.SIGINT)
        self.assertEqual(demo.wait(3), 0)

    test_demo_shows_moving_pictures_within_5_seconds.alone = True


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
