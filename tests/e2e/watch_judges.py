"""What the tests believe of a WebRTC viewer's report: each judge raises `Broken` with a sentence, or returns what it measured.

Proven by `watch_judge_cases.py` on a WHEP server that is not ours.
"""

import bisect
import statistics

import footage
from transport_stream import Broken


def viewers(report, count=1):
    """The viewers of a report, all of them connected without a word of complaint."""
    if report["problems"]:
        raise Broken(f"the viewer says: {'; '.join(report['problems'])[:1500]}")
    if len(report["viewers"]) != count:
        raise Broken(f"{len(report['viewers'])} viewers, {count} wanted")
    for viewer in report["viewers"]:
        if viewer["status"] != 201:
            raise Broken(f"POST answered {viewer['status']}: {viewer['body'][:500]}")
        if viewer["state"] != "connected" or viewer["firstDecodedMs"] is None:
            raise Broken(f"the viewer is {viewer['state']}, first picture after {viewer['firstDecodedMs']} ms")
    return report["viewers"]


def plays(report, seconds, count=1, fps=footage.FPS, freezes=2, replayed=50):
    """Pictures were decoded at the camera's pace since the first one, with hardly a freeze (a case that runs alone asks for none;
    beside another one a decoder may lack the CPU for a moment), and DELETE was answered. Of the pictures `replayed` at the
    beginning, which come faster than they are shown, some may be dropped. Each time the machine itself stood still excuses one
    freeze, and the pictures that it made late."""
    found = viewers(report, count)
    stalls = report.get("stalls", [])
    freezes += len(stalls)
    replayed += fps * sum(end - begin for begin, end in stalls)
    for viewer in found:
        before, after = viewer["atStart"]["video"], viewer["video"]
        decoded = after["framesDecoded"] - before["framesDecoded"]
        # What was decoded before the first look belongs to the beginning.
        if not 0.9 * fps * seconds - 2 <= decoded:
            raise Broken(f"{decoded} pictures decoded in {seconds} s at {fps} a second")
        if (after.get("freezeCount") or 0) > freezes:
            raise Broken(f"{after['freezeCount']} freezes of {after['totalFreezesDuration']:.2f} s in all; "
                         f"the machine stood still {len(stalls)} times")
        if (after.get("framesDropped") or 0) > 0.02 * after["framesDecoded"] + replayed:
            raise Broken(f"{after['framesDropped']} of {after['framesDecoded']} pictures dropped")
        if viewer["deleted"] not in (200, None):
            raise Broken(f"DELETE answered {viewer['deleted']}")
    return {"first_ms": [round(viewer["firstDecodedMs"]) for viewer in found],
            "decoded": [viewer["video"]["framesDecoded"] for viewer in found]}


def deleted(report):
    """DELETE was answered with 200."""
    for viewer in report["viewers"]:
        if viewer["deleted"] != 200:
            raise Broken(f"DELETE answered {viewer['deleted']}")


def starts(report, most_ms):
    """The first picture was decoded soon after the POST; the time aside in which the machine itself stood still."""
    for viewer in viewers(report, len(report["viewers"])):
        first, seen = viewer["firstDecodedMs"], report.get("playing") or 0
        excused = sum(1000 * max(0, min(end, seen) - max(begin, seen - first / 1000)) for begin, end in report.get("stalls", []))
        if first - excused > most_ms:
            raise Broken(f"first picture {first:.0f} ms after POST, at most {most_ms} wanted; the machine stood still for {excused:.0f} ms")
    return max(viewer["firstDecodedMs"] for viewer in report["viewers"])


def sounds(report, seconds):
    """Sound arrives and is not silence."""
    for viewer in viewers(report, len(report["viewers"])):
        audio = viewer.get("audio")
        if not audio or "PCMA" not in audio.get("codec", "PCMA"):
            raise Broken(f"no PCMA sound: {audio}")
        if audio.get("packetsReceived", 0) < 0.9 * 50 * seconds and audio.get("framesDecoded", 0) < 0.9 * 50 * seconds:
            raise Broken(f"too little sound in {seconds} s: {audio}")
        # A tone of an eighth of full scale (ffmpeg's sine) has 0.0078 a second.
        if audio.get("totalAudioEnergy") is not None and audio["totalAudioEnergy"] < 0.001 * seconds:
            raise Broken(f"silence: energy {audio['totalAudioEnergy']} in {seconds} s")
        if audio.get("concealedSamples") and audio["concealedSamples"] > 0.2 * audio["totalSamplesReceived"]:
            raise Broken(f"{audio['concealedSamples']} of {audio['totalSamplesReceived']} samples made up")
    return [viewer["audio"].get("totalAudioEnergy") for viewer in report["viewers"]]


def latencies(viewer, pushes):
    """[(seconds since the POST's first picture, seconds from the camera's encoder to the eye)], by the numbers in the pictures."""
    seen = viewer["seen"]
    unread = sum(number is None for _, number in seen)
    if not seen or unread > 0.05 * len(seen):
        raise Broken(f"the number of {unread} of {len(seen)} pictures cannot be read")
    times = {}
    for number, _, wall in pushes:
        times.setdefault(number, []).append(wall)
    found = []
    for at_ms, number in seen:
        if number is None:
            continue
        pushed = times.get(number, [])
        # The clip loops: the last time it was sent before it was seen.
        index = bisect.bisect_right(pushed, at_ms / 1000) - 1
        if index < 0:
            raise Broken(f"picture {number} was seen and not sent before")
        found.append(((at_ms - seen[0][0]) / 1000, at_ms / 1000 - pushed[index]))
    return found


def live(report, pushes, within=2.0, most=0.5, clip="numbered"):
    """From `within` seconds after the POST on, pictures are seen at most `most` seconds after the camera sent them (19 of 20);
    those aside that the machine itself made late."""
    measured, stalls = [], report.get("stalls", [])
    for viewer in viewers(report, len(report["viewers"])):
        order(viewer, clip)
        seen = viewer["seen"][0][0] / 1000 if viewer["seen"] else 0
        settled = [late for at, late in latencies(viewer, pushes) if at + viewer["firstSeenMs"] / 1000 >= within
                   and not any(begin <= seen + at <= end + most for begin, end in stalls)]
        if len(settled) < 20:
            raise Broken(f"only {len(settled)} pictures seen later than {within} s after the POST")
        tail = sorted(settled)[int(len(settled) * 0.95)]
        if tail > most:
            raise Broken(f"{tail:.3f} s behind the camera (19 of 20 pictures), {within} s after the POST; at most {most} wanted")
        measured.append((statistics.median(settled), tail))
    return {"p50_ms": round(1000 * max(m[0] for m in measured)), "p95_ms": round(1000 * max(m[1] for m in measured))}


def order(viewer, clip, complete=False):
    """Pictures are seen in the order in which they were sent; `complete`: and none is missing."""
    length = len(footage.info(clip)["video"])
    numbers = [number for _, number in viewer["seen"] if number is not None]
    for before, after in zip(numbers, numbers[1:]):
        step = (after - before) % length
        # Less than half a clip is forward.
        if step > length // 2:
            raise Broken(f"picture {after} was seen after {before}")
        if complete and step != 1:
            raise Broken(f"picture {after} follows {before}")
    return len(numbers)


def recovers(report, seconds, fps=footage.FPS, share=0.6):
    """Under loss: packets are asked for again, and most pictures are decoded, to the end."""
    for viewer in report["viewers"]:
        if viewer["state"] != "connected" or viewer["firstDecodedMs"] is None:
            raise Broken(f"the viewer is {viewer['state']}, first of the pictures decoded after {viewer['firstDecodedMs']} ms")
        video, start = viewer["video"], viewer["atStart"]["video"]
        if not video["nackCount"]:
            raise Broken("no packet was asked for again: else this proves nothing")
        decoded = video["framesDecoded"] - start["framesDecoded"]
        if decoded < share * fps * seconds:
            raise Broken(f"{decoded} pictures decoded in {seconds} s at {fps} a second under loss, at least {share:.0%} wanted")
    return {"decoded": [viewer["video"]["framesDecoded"] for viewer in report["viewers"]],
            "nacks": [viewer["video"]["nackCount"] for viewer in report["viewers"]]}


def goes_on(samples, index=0):
    """Pictures were decoded in each of these samples' seconds."""
    counts = [sample["viewers"][index]["video"]["framesDecoded"] for sample in samples]
    for before, after in zip(counts, counts[1:]):
        if after <= before:
            raise Broken(f"the picture stands still: {counts} pictures in one-second steps")
    return counts
