"""The WebRTC viewers and their judges themselves: green on a WHEP server that is not ours, red on the same with one thing broken."""

import copy
import time
import unittest

import harness
import viewers
import watch_judges
from transport_stream import Broken


class WatchJudges(unittest.TestCase):
    def setUp(self):
        self.place = harness.Place(self)

    def refuses(self, pattern, judge, *arguments, **more):
        with self.assertRaisesRegex(Broken, pattern):
            judge(*arguments, **more)

    def test_chromium_plays_and_what_does_not_is_refused(self):
        reference = viewers.Reference(self.place, sound=True)
        viewer = viewers.chromium(self.place, reference.url, seconds=5, numbers=True, sound=True)
        viewer.playing()
        samples = [viewer.sample() for _ in range(3)]
        watch_judges.goes_on(samples)
        self.refuses("stands still", watch_judges.goes_on, [*samples, samples[-1]])
        report = viewer.report()
        watch_judges.plays(report, 5, replayed=1)
        watch_judges.deleted(report)
        watch_judges.starts(report, 1500)
        self.refuses("first picture", watch_judges.starts, report | {"stalls": []}, 1)
        watch_judges.starts(report | {"stalls": [(0, time.time())]}, 1)
        watch_judges.sounds(report, 5)
        harness.note(f"Chromium on the reference: {watch_judges.live(report, reference.pushes())}")

        earlier = [(number, at - 0.6, wall - 0.6) for number, at, wall in reference.pushes()]
        self.refuses("behind the camera", watch_judges.live, report | {"stalls": []}, earlier)
        self.refuses("only 0 pictures", watch_judges.live, report | {"stalls": [(0, time.time())]}, earlier)
        self.refuses("not sent before", watch_judges.live, report, [])
        self.refuses("2 wanted", watch_judges.plays, report, 5, count=2)
        self.refuses("pictures decoded in 7 s", watch_judges.plays, report, 7)
        self.refuses("too little sound", watch_judges.sounds, report, 9)
        broken = copy.deepcopy(report)
        broken["viewers"][0]["audio"]["totalAudioEnergy"] = 0.0001
        self.refuses("silence", watch_judges.sounds, broken, 5)
        broken = copy.deepcopy(report) | {"stalls": []}
        broken["viewers"][0]["video"]["framesDropped"] = 60
        self.refuses("60 of .* pictures dropped", watch_judges.plays, broken, 5)
        broken = copy.deepcopy(report)
        broken["viewers"][0]["seen"].reverse()
        self.refuses("was seen after", watch_judges.order, broken["viewers"][0], "numbered")
        self.refuses("else this proves nothing", watch_judges.recovers, report, 5)

        # The viewers of a page: the reference takes one at a time, so of two one is left without pictures.
        self.refuses("no picture", viewers.chromium(self.place, reference.url, viewers=2, patience=3).playing)
        self.refuses("no picture", viewers.chromium(self.place, reference.url, candidates="tcp", patience=2).playing)
        self.refuses("no picture", viewers.chromium(self.place, reference.url, port=viewers.Hole(self.place).port, patience=2).playing)
        gone = viewers.chromium(self.place, reference.url.replace("cam", "nobody"))
        self.assertEqual(gone.refused()[0], 404)
        self.refuses("no picture", gone.playing)

    test_chromium_plays_and_what_does_not_is_refused.takes = 35

    def test_what_the_server_does_wrong_is_refused(self):
        stalled = viewers.Reference(self.place, clip="quick", stall=[2, 2])
        # What the machine excuses is another matter.
        report = viewers.chromium(self.place, stalled.url, numbers=True, end="close").report() | {"stalls": []}
        self.refuses("pictures decoded|freezes", watch_judges.plays, report, 5)
        self.refuses("[1-9] freezes", watch_judges.plays, report, 0, freezes=0)
        frozen = report["viewers"][0]["video"]["freezeCount"]
        self.refuses("[1-9] freezes", watch_judges.plays, report | {"stalls": [(0, 1)] * (frozen - 1)}, 0, freezes=0)
        watch_judges.plays(report | {"stalls": [(0, 1)] * frozen}, 0, freezes=0)
        self.refuses("cannot be read", watch_judges.latencies, report["viewers"][0], stalled.pushes())
        self.refuses("DELETE answered None", watch_judges.deleted, report)
        late = viewers.Reference(self.place, stall=[0, 2], expose=False)
        viewer = viewers.chromium(self.place, late.url, seconds=2, sound=True)
        viewer.playing()
        self.refuses("not refused", viewer.refused)
        report = viewer.end() | {"stalls": []}
        self.refuses("first picture", watch_judges.starts, report, 1500)
        # Another origin does not learn where the session is: it cannot be ended.
        self.refuses("DELETE answered None", watch_judges.deleted, report)
        self.refuses("no PCMA", watch_judges.sounds, report, 2)

    test_what_the_server_does_wrong_is_refused.takes = 20

    def test_aiortc_and_webrtcbin_play(self):
        reference = viewers.Reference(self.place, sound=True)
        report = viewers.aiortc(self.place, reference.url, seconds=4, numbers=True, sound=True).report()
        watch_judges.plays(report, 4)
        watch_judges.deleted(report)
        watch_judges.sounds(report, 4)
        watch_judges.order(report["viewers"][0], "numbered", complete=True)
        harness.note(f"aiortc on the reference: {watch_judges.live(report, reference.pushes())}")
        del report["viewers"][0]["seen"][20]
        self.refuses("follows", watch_judges.order, report["viewers"][0], "numbered", complete=True)
        report = viewers.webrtcbin(self.place, reference.url, seconds=4, sound=True).report()
        watch_judges.plays(report, 4)
        watch_judges.deleted(report)
        watch_judges.sounds(report, 4)
        # An RSA certificate is refused by the reference: no picture.
        self.refuses("no picture", viewers.webrtcbin(self.place, reference.url, rsa=True, patience=3).playing)
        for client in (viewers.aiortc, viewers.webrtcbin):
            self.assertEqual(client(self.place, reference.url.replace("cam", "nobody")).refused()[0], 404)

    test_aiortc_and_webrtcbin_play.takes = 20

    def test_loss_is_recovered_from_by_retransmission_alone(self):
        answering = viewers.Reference(self.place)
        for client in (viewers.chromium, viewers.aiortc):
            proxy = viewers.LossProxy(self.place, answering.udp_port)
            report = client(self.place, answering.url, seconds=8, port=proxy.port).report()
            harness.note(f"{client.__name__} under loss: {watch_judges.recovers(report, 8)}, {proxy.counts()}")
        deaf = viewers.Reference(self.place, retransmit=False)
        proxy = viewers.LossProxy(self.place, deaf.udp_port)
        report = viewers.chromium(self.place, deaf.url, seconds=8, patience=6, port=proxy.port).report()
        self.refuses("pictures decoded", watch_judges.recovers, report, 8)

    test_loss_is_recovered_from_by_retransmission_alone.takes = 40
