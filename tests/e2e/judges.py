"""What the tests believe: each judge raises `Broken` with a sentence, or returns what it measured.

Each is proven by `judge_cases.py`: green on what ffmpeg makes, red on the same with one thing broken.
"""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import footage
import harness
from transport_stream import Broken, Reader

HERE = Path(__file__).parent
WRAP = 1 << 33


class Entry:
    """One segment of a playlist."""

    def __init__(self, sequence, uri, duration, discontinuity):
        self.sequence, self.uri, self.duration = sequence, uri, duration
        # Discontinuity sequence number, counted as players do.
        self.discontinuity = discontinuity


class Playlist:
    """A media playlist, read by the letter of RFC 8216."""

    def __init__(self, text):
        lines = text.split("\n")
        if lines[0].strip("\r") != "#EXTM3U":
            raise Broken(f"the playlist begins with {lines[0]!r}")
        self.text, self.entries = text, []
        self.target = self.sequence = duration = None
        discontinuity = 0
        for line in (line.strip("\r") for line in lines[1:] if line.strip()):
            tag, _, value = line.partition(":")
            if tag == "#EXT-X-TARGETDURATION":
                self.target = int(value)
            elif tag == "#EXT-X-MEDIA-SEQUENCE":
                self.sequence = int(value)
            elif tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
                discontinuity += int(value)
            elif tag == "#EXT-X-DISCONTINUITY":
                discontinuity += 1
            elif tag == "#EXTINF":
                duration = float(value.split(",")[0])
            elif tag in ("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-ENDLIST"):
                raise Broken(f"the live playlist has {tag}")
            elif not line.startswith("#"):
                if duration is None or self.sequence is None:
                    raise Broken(f"{line} has no EXTINF or stands before EXT-X-MEDIA-SEQUENCE")
                self.entries.append(Entry(self.sequence + len(self.entries), line, duration, discontinuity))
                duration = None
        if self.target is None or not self.entries:
            raise Broken(f"the playlist has no EXT-X-TARGETDURATION or no segment:\n{text}")

    def length(self):
        return sum(entry.duration for entry in self.entries)


# Porthole lets a segment go this much early, s: the jitter of arrivals must not cost a slot.
EARLY = 0.2


class Capture:
    """Follows a live playlist as a player does, and keeps every playlist and segment."""

    def __init__(self, url):
        self.url = url
        self.playlists = []  # (monotonic time without the machine's stalls, Playlist)
        self.stalls = harness.Stalls()
        self.segments = []  # (Entry, bytes)
        self.seen = {}
        self.removed = []  # (Entry, when it may go)
        self.asked = None  # when the playlist was last asked for
        self.kept = 0

    def follow(self, segments=None, seconds=None, patience=30):
        """Until this many more segments have come, or for so long."""
        wanted = None if segments is None else len(self.segments) + segments
        begun = last = time.monotonic()
        while True:
            now = time.monotonic()
            if self.poll():
                last = now
            if wanted is not None and len(self.segments) >= wanted:
                return self
            if seconds is not None and now - begun >= seconds:
                return self
            if now - last > patience:
                raise Broken(f"no new segment for {patience} s in {self.url}")
            time.sleep(0.15)

    def poll(self):
        asked_before, self.asked = self.asked, time.monotonic()
        try:
            text = fetch(self.url).decode()
        except urllib.error.HTTPError as error:
            # The camera is away for a while: players come again.
            if error.code == 503:
                return False
            raise
        now = time.monotonic()
        new = False
        if not self.playlists or self.playlists[-1][1].text != text:
            playlist = Playlist(text)
            if self.playlists:
                gone = {e.sequence for e in self.playlists[-1][1].entries} - {e.sequence for e in playlist.entries}
                # RFC 8216 section 6.2.2: fetchable for its own duration and that of the longest playlist it was in, since
                # it left: which may have been right after the playlist was asked for the time before.
                for entry in self.playlists[-1][1].entries:
                    if entry.sequence in gone:
                        self.removed.append((entry, asked_before + entry.duration + self.playlists[-1][1].length() - EARLY))
            self.playlists.append((now - self.stalls.seconds(), playlist))
            for entry in playlist.entries:
                if entry.sequence not in self.seen:
                    self.seen[entry.sequence] = entry.uri
                    self.segments.append((entry, fetch(self.segment_url(entry))))
                    new = True
                elif self.seen[entry.sequence] != entry.uri:
                    raise Broken(f"sequence {entry.sequence} was {self.seen[entry.sequence]} and is {entry.uri} now")
        # What left the playlist must be fetchable to the end of its time: asked for shortly before.
        for removed in [r for r in self.removed if now > r[1] - 0.5]:
            self.removed.remove(removed)
            if time.monotonic() < removed[1] - 0.1:
                try:
                    fetch(self.segment_url(removed[0]))
                except OSError as error:
                    raise Broken(f"{removed[0].uri} left the playlist less than its time ago and answers {error}") from error
                self.kept += 1
        return new

    def segment_url(self, entry):
        return self.url.rsplit("/", 1)[0] + "/" + entry.uri

    def runs(self):
        """The segments between discontinuities: lists of (Entry, bytes)."""
        runs = []
        for entry, data in self.segments:
            if not runs or entry.discontinuity != runs[-1][-1][0].discontinuity:
                runs.append([])
            runs[-1].append((entry, data))
        return runs

    def save(self, folder):
        """One file per run, and the last playlist; the paths of the runs."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, run in enumerate(self.runs()):
            path = folder / f"run{index}.ts"
            path.write_bytes(b"".join(data for _entry, data in run))
            paths.append(path)
        (folder / "playlists.txt").write_text("\n".join(f"# at {at:.3f}\n{p.text}" for at, p in self.playlists))
        return paths


def fetch(url, timeout=10):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


def playlist_rules(playlists, window=True, punctual=True):
    """Rules between the versions of a live playlist, as (time, Playlist)."""
    (_, first), *_ = playlists
    discontinuities, uris = {}, {}
    changed = playlists[0][0]
    for at, playlist in playlists:
        if playlist.target != first.target:
            raise Broken(f"EXT-X-TARGETDURATION changed from {first.target} to {playlist.target}")
        for entry in playlist.entries:
            # Section 4.3.3.1: rounded to the nearest integer.
            if int(entry.duration + 0.5) > playlist.target:
                raise Broken(f"{entry.uri} lasts {entry.duration} s, EXT-X-TARGETDURATION is {playlist.target}")
            if uris.setdefault(entry.sequence, entry.uri) != entry.uri:
                raise Broken(f"sequence {entry.sequence} was {uris[entry.sequence]} and is {entry.uri} now")
            if discontinuities.setdefault(entry.sequence, entry.discontinuity) != entry.discontinuity:
                raise Broken(f"{entry.uri} had discontinuity sequence {discontinuities[entry.sequence]} and has {entry.discontinuity} now")
        if window and playlist.sequence > first.sequence and playlist.length() < 3 * playlist.target - 0.05:
            raise Broken(f"segments were removed and {playlist.length():.3f} s are left, less than 3 x {playlist.target}")
    for (before_at, before), (at, after) in zip(playlists, playlists[1:]):
        if after.sequence < before.sequence:
            raise Broken(f"EXT-X-MEDIA-SEQUENCE went back from {before.sequence} to {after.sequence}")
        if after.entries[-1].sequence < before.entries[-1].sequence:
            raise Broken("the newest segment disappeared")
        if after.entries[-1].sequence > before.entries[-1].sequence:
            # Section 6.2.2: a new version no later than 1.5 target durations after the one before.
            if punctual and at - changed > 1.5 * after.target + 0.5:
                raise Broken(f"{at - changed:.2f} s without a new segment, EXT-X-TARGETDURATION is {after.target}")
            changed = at
    return {"target": first.target, "versions": len(playlists)}


def playlist_strict(playlists):
    """hls-parser (npm) in strict mode on each version."""
    answer = node("playlist.mjs", json.dumps([p.text for _, p in playlists]))
    if answer:
        raise Broken(f"hls-parser: {answer}")


def structure(runs, codec, gaps=0):
    """Packets of each segment: PAT, PMT, key frame first; counters, PCR and timestamps run on over a run's segments."""
    # The clock stands still for as long as pictures are missing; and when a key frame is among them, one segment is cut without
    # it, so that EXT-X-TARGETDURATION holds; the next key frame begins the next segment.
    keyless = gaps
    longest_pcr_step = WRAP // 2 if gaps else 9000 + 90
    key_types = {"h264": {5}, "h265": set(range(16, 22))}[codec]
    parameters = {"h264": {7, 8}, "h265": {32, 33, 34}}[codec]
    delimiter = {"h264": 9, "h265": 35}[codec]
    units = []
    for run in runs:
        reader, last_dts, last_pcr, run_units = Reader(), None, None, []
        for entry, data in run:
            events = reader.segment(data, entry.uri)
            if reader.codec != codec:
                raise Broken(f"{entry.uri}: {reader.codec}, {codec} was sent")
            kinds = [kind for kind, _ in events if kind not in ("sdt", "pcr")][:3]
            if kinds != ["pat", "pmt", "video"]:
                raise Broken(f"{entry.uri} begins with {', '.join(kinds)}")
            first = next(unit for kind, unit in events if kind == "video")
            nals = list(footage.nal_units(bytes(first.data)))
            types = [footage.nal_type(codec, nal) for nal in nals]
            if keyless and not first.random_access and not key_types & set(types):
                keyless -= 1
            elif not key_types & set(types) or not first.random_access:
                raise Broken(f"{entry.uri} does not begin with a marked key frame: NAL types {types}")
            if types[0] != delimiter or types.count(delimiter) != 1 or (first.random_access and not parameters <= set(types)):
                raise Broken(f"{entry.uri}: key frame without delimiter or parameter sets first: NAL types {types}")
            segment_dts = []
            for kind, value in events:
                if kind == "pcr":
                    if last_pcr is not None and not 0 <= (value - last_pcr) % WRAP <= longest_pcr_step:
                        raise Broken(f"{entry.uri}: PCR step of {(value - last_pcr) % WRAP / 90:.1f} ms")
                    last_pcr = value
                elif kind == "video":
                    if last_dts is not None and not 0 < (value.dts - last_dts) % WRAP < WRAP // 2:
                        raise Broken(f"{entry.uri} packet {value.packet}: DTS {value.dts} after {last_dts}")
                    last_dts = value.dts
                    if (value.pts - value.dts) % WRAP > 90000 * 2:
                        raise Broken(f"{entry.uri} packet {value.packet}: PTS {value.pts} and DTS {value.dts}")
                    if last_pcr is None or (value.dts - last_pcr) % WRAP > WRAP // 2:
                        raise Broken(f"{entry.uri} packet {value.packet}: DTS {value.dts} before the clock {last_pcr}")
                    segment_dts.append(value.dts)
                    run_units.append(value)
        units.append(run_units)
        # EXTINF is how long the segment lasts: from its first picture to the next segment's.
        starts = [next(unit for kind, unit in Reader().segment(data, entry.uri) if kind == "video").dts for entry, data in run]
        for (entry, _), begin, end in zip(run, starts, starts[1:]):
            lasts = (end - begin) % WRAP / 90000
            if abs(lasts - entry.duration) > 0.05:
                raise Broken(f"{entry.uri}: EXTINF {entry.duration}, its pictures last {lasts:.3f} s")
    return units


def same_pictures(units, name, gaps=0):
    """Every NAL unit of the clip's pictures, byte for byte and in order, but delimiters and parameter sets."""
    info = footage.info(name)
    codec = info["codec"]
    apart = {"h264": {7, 8, 9}, "h265": {32, 33, 34, 35}}[codec]

    def picture(annex_b):
        return hash(tuple(nal for nal in footage.nal_units(annex_b) if footage.nal_type(codec, nal) not in apart))

    blob = (footage.clip(name) / "clip.bin").read_bytes()
    clip = [picture(blob[offset:offset + size]) for offset, size, *_ in info["video"]]
    where = {value: index for index, value in enumerate(clip)}
    place, holes = None, 0
    for number, unit in enumerate(units):
        found = where.get(picture(bytes(unit.data)))
        if found is None:
            raise Broken(f"picture {number} is none of clip {name}'s")
        if place is not None and found != (place + 1) % len(clip):
            holes += 1
            if holes > gaps:
                raise Broken(f"picture {number} is number {found} of clip {name}, the one before was {place}")
        place = found
    return {"pictures": len(units), "holes": holes}


def same_sound(run, name):
    """Every AAC frame of the clip, byte for byte and in order, each when it is due."""
    info = footage.info(name)
    blob = (footage.clip(name) / "clip.bin").read_bytes()
    clip = [blob[offset:offset + size] for offset, size, *_ in info["audio"]]
    place, due, count = None, None, 0
    for entry, data in run:
        for unit in (unit for kind, unit in Reader().segment(data, entry.uri) if kind == "audio"):
            _, _, _, frames = footage.split_adts(bytes(unit.data))
            if due is not None and abs((unit.pts - due + WRAP // 2) % WRAP - WRAP // 2) > 90 * 2:
                raise Broken(f"{entry.uri} packet {unit.packet}: sound at {unit.pts}, {due} expected")
            due = unit.pts + len(frames) * 1024 * 90000 // info["rate"]
            for frame in frames:
                if place is not None and frame != clip[(place + 1) % len(clip)]:
                    raise Broken(f"{entry.uri} packet {unit.packet}: not the AAC frame that follows number {place}")
                place = clip.index(frame) if place is None else (place + 1) % len(clip)
                count += 1
    if not count:
        raise Broken("no AAC frame")
    return count


def steady(units, fps=footage.FPS, tolerance=0.002):
    """DTS advance by one frame time each."""
    for before, after in zip(units, units[1:]):
        step = (after.dts - before.dts) % WRAP / 90000
        if abs(step - 1 / fps) > tolerance:
            raise Broken(f"DTS step of {step * 1000:.1f} ms at {fps} pictures a second")


def frames(path, expected=None, audio=False, leading=0):
    """ffprobe decodes it all: as many frames as packets (but for leading pictures of a CRA at the very start), DTS rising, sound
    where wanted."""
    out = run("ffprobe", "-v", "error", "-count_frames", "-count_packets", "-show_entries",
              "stream=codec_type,codec_name,width,height,nb_read_frames,nb_read_packets:packet=stream_index,dts,codec_type",
              "-of", "json", path)
    about = json.loads(out)
    streams = {stream["codec_type"]: stream for stream in about["streams"]}
    if "video" not in streams or audio != ("audio" in streams):
        raise Broken(f"ffprobe finds {sorted(streams)}, sound wanted: {audio}")
    for stream in streams.values():
        count, packets = int(stream["nb_read_frames"]), int(stream["nb_read_packets"])
        if stream["codec_type"] == "video" and (
                not packets - leading <= count <= packets or expected not in (None, packets)):
            raise Broken(f"ffprobe: {count} frames of {packets} packets, {expected} expected")
        if not count:
            raise Broken(f"ffprobe: no {stream['codec_type']} frame")
    last = {}
    for packet in about["packets"]:
        index, dts = packet["stream_index"], packet.get("dts")
        if dts is None or dts <= last.get(index, -1):
            raise Broken(f"ffprobe: DTS {dts} after {last.get(index)} in stream {index}")
        last[index] = dts
    return streams


def silent(path):
    """ffmpeg decodes it without a word."""
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "warning", "-i", str(path), "-f", "null", "-"], capture_output=True, text=True)
    if done.returncode or done.stderr.strip():
        raise Broken(f"ffmpeg says:\n{done.stderr.strip()[:1500]}")


def clean_packets(path):
    """tshark finds neither continuity errors nor wrong CRCs."""
    done = subprocess.run(["tshark", "-o", "mpeg_sect.verify_crc:TRUE", "-r", str(path), "-q", "-z", "expert,warn"],
                          capture_output=True, text=True)
    if done.returncode or re.search(r"^(Errors|Warns)", done.stdout, re.M):
        raise Broken(f"tshark says:\n{done.stdout.strip()[:1500]}{done.stderr.strip()[:500]}")


def browser(url, player, out=None, seconds=4, **options):
    """Plays in headless Chromium (`hls.js` or `native`); what the video element measured."""
    request = {"url": url, "player": player, "seconds": seconds, "screenshot": str(out) if out else None, **options}
    report = json.loads(node("browser.mjs", json.dumps(request), timeout=90))
    problems = report.get("problems") or []
    if problems:
        raise Broken(f"{player} in Chromium: {'; '.join(problems)} ({report})")
    return report


def node(script, stdin, timeout=60):
    done = subprocess.run(["node", str(HERE / script)], input=stdin, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise Broken(f"{script} failed: {done.stderr.strip()[-1500:]}")
    return done.stdout.strip()


def run(*command):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode or done.stderr.strip():
        raise Broken(f"{command[0]} says: {done.stderr.strip()[:1500]}")
    return done.stdout


def all_of(capture, clip, folder, audio=False, gaps=0, punctual=True):
    """Every judge but the browser on a capture of `clip`; what they measured."""
    codec = footage.info(clip)["codec"]
    playlist_strict(capture.playlists)
    rules = playlist_rules(capture.playlists, punctual=punctual)
    paths = capture.save(folder)
    for path, run, units in zip(paths, capture.runs(), structure(capture.runs(), codec, gaps)):
        if audio:
            same_sound(run, clip)
        same_pictures(units, clip, gaps)
        if not gaps and "bframes" not in clip and "cra" not in clip:
            steady(units)
        clean_packets(path)
        silent(path)
        frames(path, len(units), audio, leading=3 if clip == "h265cra" else 0)
    return rules
