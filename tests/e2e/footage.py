"""Encodes real footage (a street camera, Debian's opencv-doc) into clips that the test camera sends, once per machine.

A clip is a folder: `clip.json` (format, and per access unit: offset, size, pts, dts in ns, key) and `clip.bin`.
Access units are Annex B without access unit delimiters, as cameras send them; AAC frames are raw (no ADTS); G.711 comes in
packets of 20 ms.
The cache is $XDG_CACHE_HOME/porthole-tests/<hash of this file>.
"""

import fcntl
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

FOOTAGE = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
FPS = 25
X264 = "-c:v libx264 -preset superfast -sc_threshold 0"
X265 = "-c:v libx265 -preset ultrafast"

# name: (codec, size, seconds, ffmpeg options[, sound: aac or pcma])
CLIPS = {
    # The camera most people have: High profile, 1080p25, key frame every 2 s, 4 Mbit/s.
    "main": ("h264", "1920x1080", 10, f"{X264} -profile:v high -bf 0 -g 50 -b:v 4M -maxrate 4M -bufsize 2M"),
    # Small and quick to judge: Baseline, key frame every second.
    "quick": ("h264", "640x360", 10, f"{X264} -profile:v baseline -bf 0 -g 25 -b:v 800k"),
    # Another resolution of the same, for a change of the parameter sets in mid-stream.
    "small": ("h264", "480x270", 10, f"{X264} -profile:v baseline -bf 0 -g 25 -b:v 500k"),
    "bframes": ("h264", "640x360", 10, f"{X264} -profile:v main -bf 3 -b_strategy 0 -g 50 -b:v 800k"),
    "gop10": ("h264", "640x360", 20, f"{X264} -profile:v main -bf 0 -g 250 -b:v 600k"),
    "slices4": ("h264", "640x360", 10, f"{X264} -profile:v high -bf 0 -g 25 -b:v 800k -x264-params slices=4:sliced-threads=0"),
    "h265": ("h265", "640x360", 10, f"{X265} -b:v 600k -x265-params log-level=error:keyint=25:min-keyint=25:scenecut=0:bframes=0:open-gop=0"),
    # Open GOPs: key frames after the first are CRA pictures, followed by leading pictures.
    "h265cra": ("h265", "640x360", 10, f"{X265} -b:v 600k -x265-params log-level=error:keyint=25:min-keyint=25:scenecut=0:bframes=3:open-gop=1"),
    "aac": ("h264", "640x360", 10, f"{X264} -profile:v main -bf 0 -g 25 -b:v 800k", "aac"),
    "pcma": ("h264", "640x360", 10, f"{X264} -profile:v baseline -bf 0 -g 25 -b:v 800k", "pcma"),
    "jpeg": ("jpeg", "640x360", 2, "-c:v mjpeg -q:v 8 -huffman default -pix_fmt yuvj420p"),
    # Each picture shows its number (see `numbers`): what is seen can be told from what was sent, and when.
    "numbered": ("h264", "640x360", 10, f"{X264} -profile:v baseline -bf 0 -g 25 -b:v 800k"),
    "numbered10": ("h264", "640x360", 20, f"{X264} -profile:v main -bf 0 -g 250 -b:v 800k"),
    # The worst case of a GOP to keep: 10 s of 4 Mbit/s.
    "main10": ("h264", "1920x1080", 20, f"{X264} -profile:v high -bf 0 -g 250 -b:v 4M -maxrate 4M -bufsize 2M"),
}
# Bits of the number in a picture of a numbered clip.
NUMBER_BITS = 10


def clip(name):
    """The folder of a clip, encoded first if need be."""
    folder = cache() / name
    if not (folder / "clip.json").exists():
        cache().mkdir(parents=True, exist_ok=True)
        with open(cache() / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "clip.json").exists():
                encode(name, folder)
    return folder


def info(name):
    """The clip's `clip.json`."""
    return json.loads((clip(name) / "clip.json").read_text())


def cache():
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "porthole-tests"
    return base / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def encode(name, folder):
    codec, size, seconds, options, sound = (*CLIPS[name], None)[:5]
    work = folder.with_name(f"{name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    mux = work / "clip.mkv" if codec == "jpeg" else work / "clip.mp4"
    audio = "-c:a aac -b:a 64k -ac 1" if sound == "aac" else "-an"
    # The footage has 10 pictures a second; played at 25 it moves as fast as traffic does.
    picture = [f"settb=1/{FPS}", "setpts=N", f"scale={size.replace('x', ':')}",
               f"format={'yuvj420p' if codec == 'jpeg' else 'yuv420p'}", *(numbers(size) if "numbered" in name else [])]
    run("ffmpeg", "-v", "error", "-i", footage(), *(["-f", "lavfi", "-i", "sine=330:r=48000,tremolo=3"] if sound == "aac" else []),
        "-vf", ",".join(picture),
        "-r", FPS, "-t", seconds, *options.split(), *audio.split(), mux)
    packets = probe_packets(mux)
    units = access_units(codec, mux, work)
    if len(units) != len(packets) or len(units) != seconds * FPS:
        raise RuntimeError(f"clip {name}: {len(units)} access units, {len(packets)} packets, {seconds * FPS} wanted")
    base = min(p["pts"] for p in packets)
    blob, video, frames = bytearray(), [], []
    for unit, packet in zip(units, packets):
        video.append([len(blob), len(unit), packet["pts"] - base, packet["dts"] - base, packet["key"]])
        blob += unit
    about = {"name": name, "codec": codec, "fps": FPS, "size": size, "video_ns": seconds * 10**9, "video": video}
    if sound == "aac":
        adts = run("ffmpeg", "-v", "error", "-i", mux, "-map", "0:a", "-c", "copy", "-f", "adts", "-")
        rate, channels, config, raw = split_adts(adts)
        for index, frame in enumerate(raw):
            frames.append([len(blob), len(frame), index * 1024 * 10**9 // rate, index * 1024 * 10**9 // rate, True])
            blob += frame
        about |= {"sound": "aac", "rate": rate, "channels": channels, "config": config,
                  "audio_ns": len(raw) * 1024 * 10**9 // rate, "audio": frames}
    if sound == "pcma":
        # A mp4 file holds no G.711. 440 Hz fit into each second, so the loop has no click.
        samples = run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=440:r=8000", "-t", seconds, "-c:a", "pcm_alaw",
                      "-f", "alaw", "-")
        if len(samples) != seconds * 8000:
            raise RuntimeError(f"clip {name}: {len(samples)} samples of sound")
        for at in range(0, len(samples), 160):
            frames.append([len(blob), 160, at * 10**9 // 8000, at * 10**9 // 8000, True])
            blob += samples[at:at + 160]
        about |= {"sound": "pcma", "rate": 8000, "channels": 1, "audio_ns": seconds * 10**9, "audio": frames}
    (work / "clip.bin").write_bytes(blob)
    (work / "clip.json").write_text(json.dumps(about))
    for left in work.glob("clip.m*"):
        left.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def numbers(size):
    """Filters that write a picture's number in its top left half: a row of white (1) and black (0) blocks, the highest bit
    first, each a twentieth of the width wide and half as high; below it the same row inverted, so that a reader compares."""
    block = int(size.split("x")[0]) // 20
    def box(bit, row, colour, when):
        return f"drawbox=x={bit * block}:y={row * block // 2}:w={block}:h={block // 2}:color={colour}:t=fill:enable='{when}'"
    for bit in range(NUMBER_BITS):
        value = f"mod(floor(n/{1 << (NUMBER_BITS - 1 - bit)}),2)"
        for row, one, zero in ((0, "white", "black"), (1, "black", "white")):
            yield box(bit, row, one, f"eq({value},1)")
            yield box(bit, row, zero, f"eq({value},0)")


def footage():
    """vtest.avi, unpacked where Debian compressed it."""
    if FOOTAGE.exists():
        return FOOTAGE
    packed = FOOTAGE.with_suffix(".avi.gz")
    if not packed.exists():
        raise RuntimeError("vtest.avi of Debian's opencv-doc is missing: run tests/install-tools.sh")
    plain = cache() / "vtest.avi"
    if not plain.exists():
        part = plain.with_suffix(f".{os.getpid()}")
        part.write_bytes(gzip.decompress(packed.read_bytes()))
        part.rename(plain)
    return plain


def probe_packets(path):
    out = run("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,dts_time,flags",
              "-of", "json", path)
    def ns(packet, field):
        return round(float(packet.get(field, packet["pts_time"])) * 1e9)
    return [{"pts": ns(p, "pts_time"), "dts": ns(p, "dts_time"), "key": "K" in p["flags"]} for p in json.loads(out)["packets"]]


def access_units(codec, mux, work):
    """The coded pictures in decoding order."""
    if codec == "jpeg":
        raw = run("ffmpeg", "-v", "error", "-i", mux, "-c", "copy", "-f", "mjpeg", "-")
        return [b"\xff\xd8" + part for part in raw.split(b"\xff\xd8\xff")[1:] for part in [b"\xff" + part]]
    short, delimiter = ("h264", 9) if codec == "h264" else ("hevc", 35)
    raw = run("ffmpeg", "-v", "error", "-i", mux, "-map", "0:v", "-c", "copy",
              "-bsf:v", f"{short}_mp4toannexb,{short}_metadata=aud=insert", "-f", short, "-")
    units, unit = [], None
    for nal in nal_units(raw):
        if nal_type(codec, nal) == delimiter:
            unit = []
            units.append(unit)
        else:
            unit.append(nal)
    return [b"".join(b"\0\0\0\1" + nal for nal in unit) for unit in units]


def nal_units(annex_b):
    """The NAL units of an Annex B byte stream."""
    for part in annex_b.split(b"\0\0\1")[1:]:
        yield part.rstrip(b"\0")


def nal_type(codec, nal):
    return nal[0] & 0x1F if codec == "h264" else nal[0] >> 1 & 0x3F


def split_adts(adts):
    frames, at = [], 0
    rates = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350]
    profile, index, channels = adts[2] >> 6, adts[2] >> 2 & 0xF, (adts[2] & 1) << 2 | adts[3] >> 6
    while at < len(adts):
        size = (adts[at + 3] & 3) << 11 | adts[at + 4] << 3 | adts[at + 5] >> 5
        frames.append(adts[at + 7 if adts[at + 1] & 1 else at + 9:at + size])
        at += size
    config = (profile + 1) << 11 | index << 7 | channels << 3
    return rates[index], channels, f"{config:04x}", frames


def run(*command):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    for wanted in sys.argv[1:] or CLIPS:
        print(clip(wanted))
