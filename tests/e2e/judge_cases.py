"""The judges themselves: green on what ffmpeg makes, red on the same with one thing broken."""

import copy
import time
import unittest

import harness
import judges
from judges import Broken, Playlist
from reference import Reference

PACKET = 188


class Judges(unittest.TestCase):
    def test_judges_accept_good_and_refuse_broken(self):
        place = harness.Place(self)
        reference = Reference(place.folder / "reference")
        self.addCleanup(reference.close)
        deadline = time.monotonic() + 20
        while not (reference.folder / "index.m3u8").exists():
            self.assertLess(time.monotonic(), deadline, "ffmpeg made no playlist")
            time.sleep(0.1)
        capture = judges.Capture(reference.url).follow(seconds=14)
        self.assertGreater(capture.kept, 0, "no removed segment was asked for")
        judges.playlist_strict(capture.playlists)
        judges.playlist_rules(capture.playlists)
        units = judges.structure(capture.runs(), "h264")
        judges.same_pictures(units[0], "aac")
        judges.same_sound(capture.segments[:6], "aac")
        judges.steady(units[0][:200])  # ffmpeg joins its loops less exactly
        [path] = capture.save(place.folder / "good")
        judges.silent(path)
        judges.clean_packets(path)
        judges.frames(path, len(units[0]), audio=True)
        for player in ("hls.js", "native"):
            with self.subTest(player):
                judges.browser(reference.url, player, seconds=3)
        page = reference.folder / "page.html"
        page.write_text("<html lang=ko><body style='width:2000px'>door<video autoplay muted playsinline src=index.m3u8></video>")
        address = reference.url.replace("index.m3u8", "page.html")
        report = judges.browser(address, "page", place.folder / "page.png", seconds=2, width=390, height=844, mobile=True)
        self.assertEqual((report["lang"], report["text"].strip()), ("ko", "door"))
        self.assertGreater(report["overflow"], 0)
        with self.assertRaisesRegex(Broken, "1 of 2 videos move"):
            judges.browser(address, "page", seconds=1, patience=1, tiles=2)

        self.playlists_are_refused(capture.playlists)
        self.packets_are_refused(place, capture, path)
        self.timestamps_are_refused(units[0])
        with self.assertRaisesRegex(Broken, "sound at|not the AAC frame"):
            judges.same_sound([capture.segments[0], capture.segments[2]], "aac")
        with self.assertRaisesRegex(Broken, "video element|videos move"):
            judges.browser(reference.url + "x", "native", seconds=1, patience=2)
        with self.assertRaisesRegex(Broken, "hls.js: networkError"):
            judges.browser(reference.url + "x", "hls.js", seconds=1, patience=2)

    test_judges_accept_good_and_refuse_broken.takes = 60

    def playlists_are_refused(self, good):
        text = good[-1][1].text

        def refused(pattern, change, rules=judges.playlist_rules):
            broken = [*good, (good[-1][0] + 1, change)]
            with self.assertRaisesRegex(Broken, pattern):
                rules(broken)

        with self.assertRaisesRegex(Broken, "INDEPENDENT"):
            Playlist(text.replace("#EXTINF", "#EXT-X-INDEPENDENT-SEGMENTS\n#EXTINF", 1))
        refused("TARGETDURATION changed", Playlist(text.replace("TARGETDURATION:1", "TARGETDURATION:2")))
        longer = copy.deepcopy(good[-1][1])
        longer.entries[-1].duration = 1.6
        refused("lasts 1.6 s", longer)
        refused("went back", good[0][1])
        other = copy.deepcopy(good[-1][1])
        other.entries[0].uri = "other.ts"
        refused("and is other.ts now", other)
        marked = copy.deepcopy(good[-1][1])
        marked.entries[-1].discontinuity += 1
        refused("discontinuity sequence", marked)
        short = copy.deepcopy(good[-1][1])
        short.sequence += 3
        short.entries = short.entries[3:]
        refused("less than 3 x 1", short)
        late = copy.deepcopy(good[-1][1])
        late.entries = [*late.entries[1:], copy.deepcopy(late.entries[-1])]
        late.sequence += 1
        late.entries[-1].sequence += 1
        late.entries[-1].uri = "late.ts"
        with self.assertRaisesRegex(Broken, "without a new segment"):
            judges.playlist_rules([*good, (good[-1][0] + 4, late)])
        refused("hls-parser", Playlist(text.replace("#EXT-X-TARGETDURATION:1", "#EXT-X-TARGETDURATION:1\n" * 2)), judges.playlist_strict)

    def packets_are_refused(self, place, capture, path):
        segments = [data for _entry, data in capture.segments]
        entry, first = capture.segments[0]

        def refused(pattern, data):
            with self.assertRaisesRegex(Broken, pattern):
                judges.structure([[(entry, bytes(data))]], "h264")

        def broken_file(data):
            broken = place.folder / "broken.ts"
            broken.write_bytes(data)
            return broken

        middle = len(first) // PACKET // 2 * PACKET
        without_one = first[:middle] + first[middle + PACKET:]
        refused("continuity counter", without_one)
        with self.assertRaisesRegex(Broken, "tshark"):
            judges.clean_packets(broken_file(without_one))
        with self.assertRaisesRegex(Broken, "ffmpeg says"):
            judges.silent(broken_file(without_one))
        tables = next(at for at in range(0, len(first), PACKET) if first[at + 1:at + 3] == b"\x40\x00")
        bad_crc = bytearray(first)
        bad_crc[tables + 5 + 8] ^= 1
        refused("CRC", bad_crc)
        with self.assertRaisesRegex(Broken, "tshark"):
            judges.clean_packets(broken_file(bad_crc))
        refused("in no table|PMT says None", first[tables + 2 * PACKET:])
        # A segment that begins in mid-GOP: the tables, then what comes after the key frame.
        starts = [unit.packet for kind, unit in judges.Reader().segment(first, "") if kind == "video"]
        head = first[:tables + 2 * PACKET]
        with self.assertRaisesRegex(Broken, "marked key frame|continuity"):
            judges.structure([[(entry, head + first[starts[1] * PACKET:])]], "h264")
        with self.assertRaisesRegex(Broken, "DTS"):
            judges.frames(broken_file(segments[1] + segments[0]), audio=True)
        with self.assertRaisesRegex(Broken, "frames of"):
            judges.frames(path, 1, audio=True)
        with self.assertRaisesRegex(Broken, "sound wanted"):
            judges.frames(path)

    def timestamps_are_refused(self, units):
        with self.assertRaisesRegex(Broken, "is number"):
            judges.same_pictures(units[:10] + units[11:], "aac")
        damaged = copy.deepcopy(units[:3])
        damaged[1].data[-5] ^= 1
        with self.assertRaisesRegex(Broken, "none of clip"):
            judges.same_pictures(damaged, "aac")
        with self.assertRaisesRegex(Broken, "DTS step"):
            judges.steady(units[:10] + units[11:])
