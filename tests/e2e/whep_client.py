"""A WHEP viewer made of aiortc, a WebRTC implementation that shares no code with browsers or the gateway.

    whep_client.py '{"url": "http://127.0.0.1:8107/whep/cam", "seconds": 5}'

Also in the request: `sound`; `port` (packets go there instead: a proxy); `garbage` (this many hostile datagrams a second from the
viewer's own address); `end` ("delete" or "leave"). Events are JSON lines on stdout, shaped as those of `whep.mjs`.
Runs in the environment that install-tools.sh makes.
"""

import asyncio
import http.client
import json
import random
import re
import sys
import time
from urllib.parse import urljoin, urlsplit

import aioice.ice
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from footage import NUMBER_BITS

# Candidates of the loopback interface are left out unless asked for; the gateway is on this machine.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]



# What the receiver asked the sender for.
ASKED = {"nackCount": 0, "pliCount": 0}


def count(method, name, how_many):
    original = getattr(RTCRtpReceiver, method)
    async def counted(receiver, *arguments):
        ASKED[name] += how_many(*arguments)
        return await original(receiver, *arguments)
    setattr(RTCRtpReceiver, method, counted)


count("_send_rtcp_nack", "nackCount", lambda _ssrc, lost: 1)
count("_send_rtcp_pli", "pliCount", lambda _ssrc: 1)


def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


async def ask(method, url, body=None):
    def blocking():
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
        connection.request(method, parts.path, body, {"Content-Type": "application/sdp"} if body else {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    return await asyncio.to_thread(blocking)


def narrowed(sdp, port):
    """The answer with its UDP candidates on another port of this machine."""
    lines = [line for line in sdp.split("\r\n") if not (line.startswith("a=candidate:") and line.split()[2].lower() == "tcp")]
    return "\r\n".join(re.sub(r"^(a=candidate:(?:\S+ ){4})\S+ \d+ ", rf"\g<1>127.0.0.1 {port} ", line) for line in lines)


class Viewer:
    def __init__(self, request):
        self.request = request
        self.pc = RTCPeerConnection()
        self.video = {"framesDecoded": 0, "freezeCount": None}
        self.audio = None
        self.seen, self.states, self.tasks = [], [], []
        self.first = self.asked = self.status = self.session = None
        self.headers, self.body = {}, ""
        self.pc.on("track", self.on_track)
        self.pc.on("connectionstatechange", lambda: self.states.append([time.time() * 1000, self.pc.connectionState]))

    def on_track(self, track):
        self.tasks.append(asyncio.ensure_future({"video": self.on_video, "audio": self.on_audio}[track.kind](track)))

    async def on_video(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if self.first is None:
                self.first = (time.monotonic() - self.asked) * 1000
            self.video["framesDecoded"] += 1
            self.video |= {"frameWidth": frame.width, "frameHeight": frame.height}
            if self.request.get("numbers"):
                self.seen.append([time.time() * 1000, number_in(frame)])

    async def on_audio(self, track):
        self.audio = {"framesDecoded": 0, "totalAudioEnergy": 0.0}
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            samples = memoryview(bytes(frame.planes[0])).cast("h")
            self.audio["framesDecoded"] += 1
            self.audio["totalAudioEnergy"] += sum((s / 32768) ** 2 for s in samples) / len(samples) * frame.samples / frame.sample_rate

    async def offer(self):
        self.pc.addTransceiver("video", direction="recvonly")
        if self.request.get("sound"):
            self.pc.addTransceiver("audio", direction="recvonly")
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp = self.pc.localDescription.sdp
        if self.request.get("port"):
            # Else a server that looks for paths itself finds the direct one.
            sdp = re.sub("a=(candidate|end-of-candidates).*\r\n", "", sdp)
        self.asked = time.monotonic()
        self.status, self.headers, self.body = await ask("POST", self.request["url"], sdp)
        if self.status != 201:
            return False
        self.session = urljoin(self.request["url"], self.headers["location"])
        sdp = narrowed(self.body, self.request["port"]) if self.request.get("port") else self.body
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        return True

    def ice(self):
        return self.pc.getTransceivers()[0].receiver.transport.transport._connection

    async def send_garbage(self):
        chance = random.Random(8189)
        while True:
            await asyncio.sleep(1 / self.request["garbage"])
            first = chance.choice([0, 1, 20, 22, 63, 128, 143, 200, 201, 206, 255])
            try:
                await self.ice().send(bytes([first]) + chance.randbytes(chance.choice([0, 1, 11, 19, 40, 200, 1200, 1900])))
            except ConnectionError:
                pass

    async def facts(self):
        for stats in (await self.pc.getStats()).values():
            if stats.type == "inbound-rtp" and stats.kind == "video":
                self.video |= {"packetsReceived": stats.packetsReceived, "packetsLost": stats.packetsLost}
        pair = self.status == 201 and self.ice()._nominated.get(1)
        return {"state": self.pc.connectionState, "video": self.video | ASKED, "audio": self.audio, "status": self.status,
                "headers": self.headers, "session": self.session, "firstDecodedMs": self.first, "firstSeenMs": self.first,
                "states": self.states, "deleted": None, "body": self.body,
                "pair": pair and {"remote": {"protocol": "udp", "address": pair.remote_addr[0], "port": pair.remote_addr[1]}}}

    async def close(self):
        """How it stood at its end."""
        facts = await self.facts()
        if self.session and self.request.get("end", "delete") == "delete":
            facts["deleted"], _, _ = await ask("DELETE", self.session)
        await self.pc.close()
        return facts


def number_in(frame):
    """The number in a picture of a numbered clip; None when its blocks do not agree."""
    plane, block = frame.planes[0], frame.width // 20
    luma, number = memoryview(plane), 0
    for bit in range(NUMBER_BITS):
        upper, lower = (luma[(row * block // 2 + block // 4) * plane.line_size + bit * block + block // 2] for row in (0, 1))
        if abs(upper - lower) < 60:
            return None
        number = number * 2 + (upper > lower)
    return number


async def main(request):
    viewer = Viewer(request)
    if not await viewer.offer():
        facts = await viewer.close()
        tell("refused", viewers=[facts])
        tell("report", viewers=[facts | {"seen": []}], problems=[])
        return
    begun = time.monotonic()
    while viewer.first is None and time.monotonic() - begun < request.get("patience", 15):
        await asyncio.sleep(0.02)
    start = json.loads(json.dumps(await viewer.facts()))
    if viewer.first is not None:
        tell("playing", viewers=[start], waiting=0)
        if request.get("garbage"):
            viewer.tasks.append(asyncio.ensure_future(viewer.send_garbage()))
        begun = time.monotonic()
        while time.monotonic() - begun < request["seconds"]:
            await asyncio.sleep(min(1, request["seconds"]))
            tell("sample", at=time.time(), viewers=[await viewer.facts()])
    tell("report", viewers=[await viewer.close() | {"seen": viewer.seen, "atStart": start}], problems=[])


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
