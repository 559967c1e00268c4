"""A WHEP server made of aiortc: what the WebRTC viewers and their judges are proven on.

    reference_whep.py '{"port": 8107, "udp_port": 8189, "clip": "numbered"}'

Also in the settings: `retransmit` (true: NACKs are answered), `stall` ([after, for] seconds in which nothing is sent), `sound` (a
PCMA tone), `expose` (true: other origins may read where the session is). One session at a time, because aiortc wants a socket for each; pictures begin with a key frame at once.
Commands are JSON lines on stdin: {"do": "pushes"} answers as `camera.py` does.
"""

import asyncio
import json
import math
import secrets
import sys
import time
from fractions import Fraction

import aioice.ice
import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

import footage

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Pictures(MediaStreamTrack):
    kind = "video"

    def __init__(self, settings):
        super().__init__()
        self.info = footage.info(settings["clip"])
        self.bytes = (footage.clip(settings["clip"]) / "clip.bin").read_bytes()
        self.stall = settings.get("stall") or (math.inf, 0)
        self.begun, self.sent, self.pushes = None, 0, []

    async def recv(self):
        self.begun = self.begun or time.monotonic()
        index = self.sent % len(self.info["video"])
        offset, size, *_ = self.info["video"][index]
        due = self.begun + self.sent / self.info["fps"]
        if self.stall[0] <= due - self.begun < sum(self.stall):
            due = self.begun + sum(self.stall)
        await asyncio.sleep(due - time.monotonic())
        self.pushes.append((index, time.monotonic(), time.time()))
        packet = av.Packet(self.bytes[offset:offset + size])
        packet.pts, packet.time_base = self.sent * 90000 // self.info["fps"], Fraction(1, 90000)
        self.sent += 1
        return packet


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.begun, self.sent = None, 0

    async def recv(self):
        self.begun = self.begun or time.monotonic()
        await asyncio.sleep(self.begun + self.sent / 8000 - time.monotonic())
        frame = av.AudioFrame(format="s16", layout="mono", samples=160)
        wave = (round(8000 * math.sin(2 * math.pi * 440 * at / 8000)) for at in range(self.sent, self.sent + 160))
        frame.planes[0].update(b"".join(value.to_bytes(2, "little", signed=True) for value in wave))
        frame.sample_rate, frame.pts, frame.time_base = 8000, self.sent, Fraction(1, 8000)
        self.sent += 160
        return frame


class Server:
    def __init__(self, settings):
        self.settings, self.sessions, self.pictures = settings, {}, None

    async def answer(self, method, path, body):
        """Status, headers and body."""
        parts = path.strip("/").split("/")
        if method == "OPTIONS":
            return 204, {"Access-Control-Allow-Methods": "POST, DELETE", "Access-Control-Allow-Headers": "content-type"}, ""
        if method == "DELETE" and parts[-1] in self.sessions:
            await self.sessions.pop(parts[-1]).close()
            return 200, {}, ""
        if method == "POST" and parts == ["whep", "cam"]:
            return await self.watch(body)
        return 404, {"Content-Type": "application/json"}, '{"error": "there is no stream with this id"}'

    async def watch(self, offer):
        for session in list(self.sessions):
            await self.sessions.pop(session).close()
        pc, session = RTCPeerConnection(), secrets.token_hex(16)
        self.pictures = Pictures(self.settings)
        for kind, track, codecs in (("video", self.pictures, ("video/H264", "video/rtx")), ("audio", Tone(), ("audio/PCMA",))):
            if kind == "video" or self.settings.get("sound") and "m=audio" in offer:
                transceiver = pc.addTransceiver(track, "sendonly")
                transceiver.setCodecPreferences([c for c in RTCRtpSender.getCapabilities(kind).codecs if c.mimeType in codecs])
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        self.sessions[session] = pc
        headers = {"Content-Type": "application/sdp", "Location": f"/whep/cam/{session}", "ETag": f'"{session}"'}
        return 201, headers, pc.localDescription.sdp

    async def handle(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split()
        length = next((int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:")), 0)
        status, headers, body = await self.answer(method, path, (await reader.readexactly(length)).decode())
        headers |= {"Access-Control-Allow-Origin": "*", "Content-Length": len(body.encode()), "Connection": "close"}
        if self.settings.get("expose", True):
            headers["Access-Control-Expose-Headers"] = "Location, ETag, Link"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} -\r\n{lines}\r\n{body}".encode())
        await writer.drain()
        writer.close()

    def command(self):
        line = sys.stdin.readline()
        if not line:
            asyncio.get_running_loop().stop()
        else:
            print(json.dumps({"pushes": self.pictures.pushes if self.pictures else []}), flush=True)


async def main(settings):
    loop = asyncio.get_running_loop()
    if not settings.get("retransmit", True):
        async def refuse(_sender, _sequence_number):
            pass
        RTCRtpSender._retransmit = refuse
    bind = loop.create_datagram_endpoint

    def bind_there(protocol, local_addr=None, **more):
        if local_addr == ("127.0.0.1", 0):
            local_addr = ("127.0.0.1", settings["udp_port"])
        return bind(protocol, local_addr=local_addr, **more)

    loop.create_datagram_endpoint = bind_there
    server = Server(settings)
    await asyncio.start_server(server.handle, "127.0.0.1", settings["port"])
    loop.add_reader(sys.stdin, server.command)
    print(json.dumps({"ready": True}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except RuntimeError:
        # The loop is stopped when stdin ends.
        pass
