"""One output fails, the other goes on; and what strangers may send to the WebRTC ports and paths."""

import os
import re
import socket
import subprocess
import time
import unittest

import harness
import hostile
import judges
import viewers
import watch_judges
from whep_cases import OFFER


class Outputs(unittest.TestCase):
    def small_tmpfs(self, megabytes):
        small = self.place.folder / "small"
        small.mkdir()
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        mounted = subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=1777", "porthole-test", str(small)],
                                 capture_output=True, text=True)
        self.assertEqual(mounted.returncode, 0, f"mounting a small tmpfs needs root or sudo: {mounted.stderr}")
        self.addCleanup(subprocess.run, [*as_root, "umount", "-l", str(small)], check=False)
        return small

    def test_webrtc_plays_on_while_hls_has_no_room(self):
        self.place = harness.Place(self)
        small = self.small_tmpfs(32)
        # The ring of a camera that has just begun still grows: what is full now hits it.
        cameras = harness.Cameras(self.place, {"/live": {"clip": "main"}})
        gateway = harness.Gateway(self.place, [{"id": "cam", "url": cameras.url("/live")}], output_dir=small / "hls", hls={"cleanup_threshold": 10})
        gateway.wait_for_playlist("cam")
        viewer = viewers.chromium(self.place, gateway.whep("cam"), seconds=14)
        viewer.playing()
        try:
            with open(small / "fill", "wb") as file:
                while True:
                    file.write(bytes(65536))
                    file.flush()
        except OSError:
            pass
        report = viewer.report()
        self.assertGreater(gateway.json("/api/v1/hls/streams/cam/stats")["errors"], 0, "a full tmpfs was no error; else this case proves nothing")
        watch_judges.plays(report, 14)
        self.assertEqual(cameras.counts("/live")["play"], 1)

    test_webrtc_plays_on_while_hls_has_no_room.alone = True

    def test_hls_plays_on_while_webrtc_has_no_port(self):
        self.place = harness.Place(self)
        cameras = harness.Cameras(self.place, {"/live": {"clip": "quick"}})
        gateway = harness.Gateway(self.place, [{"id": "cam", "url": cameras.url("/live")}], start=False)
        with socket.socket(type=socket.SOCK_DGRAM) as taken:
            taken.bind(("0.0.0.0", gateway.udp_port))
            gateway.start()
            gateway.wait_for_playlist("cam")
            capture = judges.Capture(gateway.url("cam")).follow(4)
            judges.all_of(capture, "quick", self.place.folder / "capture")
            answer = gateway.offer("cam", OFFER)
            self.assertEqual(answer.status, 503, answer.body)
            self.assertIn(str(gateway.udp_port), answer.error() + gateway.log_text())
        # The port is free again: WebRTC comes by itself, or with the next SIGHUP.
        gateway.reload()
        gateway.wait_for(lambda: gateway.offer("cam", OFFER).status == 201, "WebRTC to come back", 30)

    def test_webrtc_plays_without_hls(self):
        self.place = harness.Place(self)
        cameras = harness.Cameras(self.place, {"/live": {"clip": "quick"}})
        gateway = harness.Gateway(self.place, [{"id": "cam", "url": cameras.url("/live")}], hls={"enabled": False})
        gateway.wait_for_state("cam", "streaming")
        watch_judges.plays(viewers.chromium(self.place, gateway.whep("cam"), seconds=6).report(), 6)
        self.assertFalse(self.place.hls.exists())

    def test_other_cameras_viewers_do_not_notice(self):
        self.place = harness.Place(self)
        good = harness.Cameras(self.place, {"/live": {"clip": "quick"}})
        bad = harness.Cameras(self.place, {"/live": {"clip": "quick"}})
        gateway = harness.Gateway(self.place, [{"id": "good", "url": good.url("/live")}, {"id": "bad", "url": bad.url("/live")}])
        gateway.wait_for_playlist("good")
        gateway.wait_for_playlist("bad")
        watching = viewers.chromium(self.place, gateway.whep("good"), seconds=10)
        leaving = viewers.aiortc(self.place, gateway.whep("bad"), seconds=20)
        watching.playing()
        leaving.playing()
        bad.stop()
        time.sleep(2)
        leaving.kill()
        watch_judges.plays(watching.report(), 10)


class Hostile(unittest.TestCase):
    def watched(self):
        self.place = harness.Place(self)
        self.cameras = harness.Cameras(self.place, {"/live": {"clip": "quick"}})
        self.gateway = harness.Gateway(self.place, [{"id": "cam", "url": self.cameras.url("/live")}])
        self.gateway.wait_for_playlist("cam")

    def unharmed(self, facts):
        """The process is the same, and holds no more than before."""
        self.assertIsNone(self.gateway.process.poll(), "the gateway ended")
        def threads():
            return harness.process_facts(self.gateway.process.pid)["threads"]
        # tiny_http lets threads that a burst called for go after 5 s.
        self.gateway.wait_for(lambda: threads() <= facts["threads"], f"no more than {facts['threads']} threads", 15)
        now = harness.process_facts(self.gateway.process.pid)
        self.assertLessEqual(now["files"], facts["files"] + 8)
        self.assertLess(now["anon"], facts["anon"] + (8 << 20))
        self.assertNotIn("panicked", self.gateway.log_text())

    def test_offers_that_cannot_be_used(self):
        self.watched()
        facts = harness.process_facts(self.gateway.process.pid)
        for name, body in hostile.offers(OFFER.decode()):
            with self.subTest(name):
                answer = min((self.gateway.offer("cam", body) for _ in range(2)), key=lambda answer: answer.seconds)
                # Too long for an offer; no video that could be refused or shared.
                allowed = {"a line of 30,000": (400, 413), "900 media": (400, 413), "only sound": (400, 406),
                           "payload types beyond bounds": (400, 406)}.get(name, (400,))
                self.assertIn(answer.status, allowed, answer.body[:300])
                self.assertGreater(len(answer.error()), 10)
                self.assertLess(answer.seconds, 1)
        self.assertEqual(self.gateway.sessions(), [])
        self.unharmed(facts)

    def test_offers_with_something_wrong(self):
        """Some of them can be used; each is answered, and the next viewer plays."""
        self.watched()
        facts = harness.process_facts(self.gateway.process.pid)
        counts = {}
        for number, body in enumerate(hostile.mutations(OFFER.decode(), 600)):
            answer = self.gateway.offer("cam", body)
            counts[answer.status] = counts.get(answer.status, 0) + 1
            self.assertIn(answer.status, (201, 400, 406), f"offer {number}: {answer.body[:300]}\n{body[:2000]}")
            if answer.status == 201:
                self.assertEqual(self.gateway.get(answer.headers["Location"], "DELETE").status, 200)
        harness.note(f"answers to 600 offers: {counts}")
        self.assertGreater(counts.get(201, 0), 20, "too few can be used: this looks at the first lines only")
        self.assertGreater(counts.get(400, 0), 20)
        self.unharmed(facts)
        watch_judges.plays(viewers.aiortc(self.place, self.gateway.whep("cam"), seconds=3).report(), 3)

    def test_2000_sessions_leave_nothing_behind(self):
        """Those that are ended, and those that nobody comes to. (`viewers cycles` in benches/ does it with whole handshakes.)"""
        self.watched()

        def come_and_go(times):
            for _ in range(times):
                answer = self.gateway.offer("cam", OFFER)
                self.assertEqual(answer.status, 201, answer.body)
                self.assertEqual(self.gateway.get(answer.headers["Location"], "DELETE").status, 200)

        come_and_go(200)
        facts = harness.process_facts(self.gateway.process.pid)
        come_and_go(1800)
        self.gateway.sessions(0)
        now = harness.process_facts(self.gateway.process.pid)
        harness.note(f"private memory before {facts['anon'] >> 10} KiB, after {now['anon'] >> 10} KiB")
        # Less than 600 bytes for each; how full the kept GOP and answers are at the moment makes half of that.
        self.assertLess(now["anon"] - facts["anon"], 1 << 20)
        self.unharmed(facts)

    test_2000_sessions_leave_nothing_behind.takes = 30

    def test_datagrams_of_strangers(self):
        self.watched()
        viewer = viewers.chromium(self.place, self.gateway.whep("cam"), seconds=12)
        viewer.playing()
        # The name of a session that waits for its viewer: strangers may know it from the HTTP they overheard.
        ufrag = re.search(r"^a=ice-ufrag:(\S+)\r$", self.gateway.offer("cam", OFFER).body.decode(), re.M)[1]
        facts = harness.process_facts(self.gateway.process.pid)
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            for number, datagram in enumerate(hostile.datagrams(ufrag, 6000)):
                address = ("127.0.0.1", self.gateway.udp_port)
                if number % 7:
                    one.sendto(datagram, address)
                else:
                    with socket.socket(type=socket.SOCK_DGRAM) as another:
                        another.sendto(datagram, address)
                if number % 20 == 0:
                    time.sleep(0.01)
        report = viewer.report()
        watch_judges.plays(report, 12)
        self.assertEqual(report["viewers"][0]["video"]["packetsLost"], 0)
        self.assertGreater(self.gateway.json("/api/v1/status")["webrtc"]["counters"]["stray"], 1000)
        self.unharmed(facts)

    test_datagrams_of_strangers.takes = 30

    def test_bytes_of_strangers_on_the_tcp_port(self):
        self.watched()
        viewer = viewers.chromium(self.place, self.gateway.whep("cam"), seconds=12, candidates="tcp")
        viewer.playing()
        facts = harness.process_facts(self.gateway.process.pid)
        idle = []
        for number, datagram in enumerate(hostile.datagrams("none", 400)):
            stranger = socket.create_connection(("127.0.0.1", self.gateway.udp_port), timeout=5)
            try:
                # RFC 4571: a length, then so many bytes; or fewer, or none, or no length.
                stranger.sendall([len(datagram).to_bytes(2, "big") + datagram, b"\xff\xff" + datagram, datagram[:1], b""][number % 4])
            except OSError:
                pass
            if number % 4 == 3 and len(idle) < 40:
                idle.append(stranger)
            else:
                stranger.close()
        watch_judges.plays(viewer.report(), 12)
        # Those that say nothing are let go.
        deadline = time.monotonic() + 30
        for stranger in idle:
            stranger.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                self.assertEqual(stranger.recv(1), b"")
            except ConnectionResetError:
                pass
            stranger.close()
        self.unharmed(facts)

    test_bytes_of_strangers_on_the_tcp_port.takes = 50

    def test_viewer_that_sends_garbage_harms_only_itself(self):
        self.watched()
        other = viewers.chromium(self.place, self.gateway.whep("cam"), seconds=12)
        other.playing()
        facts = harness.process_facts(self.gateway.process.pid)
        viewer = viewers.aiortc(self.place, self.gateway.whep("cam"), seconds=8, garbage=300)
        viewer.playing()
        viewer.report()
        watch_judges.plays(other.report(), 12)
        self.unharmed(facts)

    test_viewer_that_sends_garbage_harms_only_itself.takes = 30
