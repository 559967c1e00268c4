#!/usr/bin/python3
"""The test cameras: GStreamer's RTSP server sending clips of `footage.py` in a loop, with continuing timestamps.

    camera.py '{"port": 8554, "mounts": {"/live": {"clip": "quick"}}}'

Per mount: `clip`, `transport` (any, tcp, udp), `start` (index of the first access unit sent; 0), `phase` (ns:
pictures are due at multiples of the frame time after this, so that cameras keep their distance whoever connects when).
Top level: `auth` {"method": digest|basic, "user", "password"}.
Commands are JSON lines on stdin, each answered by one JSON line: {"do": "freeze", "mount": "/live"}, resume, clip (with
"clip"), drop (closes every client's connection), skip (with "units": leaves them out, as a lossy network does), counts,
pushes (the last pictures handed to the server: number in the clip, and when, by time.monotonic and by time.time).
The process ends when stdin does.
"""

import collections
import heapq
import json
import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

import footage  # noqa: E402

PAYLOADERS = {
    "h264": "video/x-h264,stream-format=byte-stream,alignment=au ! rtph264pay name=pay0 pt=96",
    "h265": "video/x-h265,stream-format=byte-stream,alignment=au ! rtph265pay name=pay0 pt=96",
    "jpeg": "image/jpeg,framerate=25/1,width=640,height=360 ! rtpjpegpay name=pay0 pt=26",
}
SOUND_PAYLOADERS = {
    "aac": "audio/mpeg,mpegversion=4,stream-format=raw,rate={rate},channels={channels},codec_data=(buffer){config}"
           " ! rtpmp4gpay name=pay1 pt=97",
    "pcma": "audio/x-alaw,rate={rate},channels={channels} ! rtppcmapay name=pay1 pt=8",
}
TRANSPORTS = {
    "any": GstRtsp.RTSPLowerTrans.UDP | GstRtsp.RTSPLowerTrans.TCP,
    "tcp": GstRtsp.RTSPLowerTrans.TCP,
    "udp": GstRtsp.RTSPLowerTrans.UDP,
}
# An appsrc that nobody drains (a client that asked for DESCRIBE only) is not fed beyond this.
MOST_QUEUED_BYTES = 32 << 20
# Pushes that are remembered: two minutes of pictures.
MOST_PUSHES = 3000


class Clip:
    def __init__(self, name):
        self.info = footage.info(name)
        self.bytes = (footage.clip(name) / "clip.bin").read_bytes()

    def parameter_sets(self):
        offset, size = self.info["video"][0][:2]
        return b"".join(b"\0\0\0\1" + nal for nal in footage.nal_units(self.bytes[offset:offset + size])
                        if footage.nal_type(self.info["codec"], nal) in (7, 8, 32, 33, 34))


class Mount:
    """One path of the server, and the streams (video, sound) of the pipelines made for it."""

    def __init__(self, feeder, path, options):
        self.path, self.feeder = path, feeder
        self.clip = Clip(options["clip"])
        self.start = options.get("start", 0)
        self.phase = options.get("phase")
        self.frozen = False
        self.skip = 0
        self.pushes = collections.deque(maxlen=MOST_PUSHES)
        self.counts = {"describe": 0, "setup": 0, "play": 0, "teardown": 0, "pipelines": 0, "live": 0,
                       "first_key_frame": None, "sent": 0}
        self.factory = GstRtspServer.RTSPMediaFactory()
        info = self.clip.info
        launch = f"appsrc name=video is-live=true format=time ! {PAYLOADERS[info['codec']]}"
        if "audio" in info:
            launch += f" appsrc name=audio is-live=true format=time ! {SOUND_PAYLOADERS[info['sound']].format(**info)}"
        self.factory.set_launch(f"( {launch} )")
        self.factory.set_shared(True)
        self.factory.set_protocols(TRANSPORTS[options.get("transport", "any")])
        self.factory.connect("media-configure", self.on_media)

    def on_media(self, _factory, media):
        self.counts["pipelines"] += 1
        self.counts["live"] += 1
        pipeline = media.get_element()
        streams = [Stream(self, pipeline.get_by_name("video"), "video", self.start)]
        if "audio" in self.clip.info:
            streams.append(Stream(self, pipeline.get_by_name("audio"), "audio", 0))
        media.connect("unprepared", self.on_end, streams)
        for stream in streams:
            self.feeder.add(stream)

    def on_end(self, _media, streams):
        self.counts["live"] -= 1
        for stream in streams:
            stream.end()


class Stream:
    """Feeds one appsrc with the access units of a clip, each when it is due."""

    def __init__(self, mount, source, kind, start):
        self.mount, self.source, self.kind = mount, source, kind
        self.begun = time.monotonic_ns()
        if mount.phase is not None:
            frame = Gst.SECOND // mount.clip.info["fps"]
            self.begun += (mount.phase - self.begun) % frame
        self.next = start
        # The server holds a buffer back until its PTS: with B-frames everything is sent so much later that none is.
        self.reorder = max(pts - dts for _, _, pts, dts, _ in mount.clip.info[kind])
        # Clip time of this stream's beginning, and what the loops so far have added to it.
        self.base = mount.clip.info[kind][start][3] if start else 0
        self.added = 0
        self.clip = mount.clip
        self.sent = self.ended = False

    def end(self):
        self.ended = True

    def due(self):
        return self.begun + self.reorder - self.base + self.added + self.clip.info[self.kind][self.next][3]

    def push(self):
        """Sends the next access unit; false when this stream is over."""
        if self.ended:
            return False
        mount, (offset, size, pts, _, key) = self.mount, self.clip.info[self.kind][self.next]
        # The camera's clock runs on: what falls into a freeze or a skip is left out.
        wanted = not mount.frozen
        if wanted and self.kind == "video" and mount.skip:
            mount.skip -= 1
            wanted = False
        if wanted and self.source.get_property("current-level-bytes") < MOST_QUEUED_BYTES:
            if key and self.kind == "video" and mount.counts["first_key_frame"] is None:
                mount.counts["first_key_frame"] = time.monotonic()
            unit = self.clip.bytes[offset:offset + size]
            if not self.sent and not key:
                # A camera joined in mid-GOP: its SDP has the parameter sets, and the server takes them from the stream.
                unit = self.clip.parameter_sets() + unit
            self.sent = True
            buffer = Gst.Buffer.new_wrapped(unit)
            buffer.pts = self.added + pts - self.base
            if self.kind == "video":
                mount.pushes.append((self.next, time.monotonic(), time.time()))
            self.source.emit("push-buffer", buffer)
            mount.counts["sent"] += self.kind == "video"
        self.next += 1
        if self.next == len(self.clip.info[self.kind]):
            self.added += self.clip.info[f"{self.kind}_ns"]
            self.next = 0
        if self.kind == "video" and mount.clip is not self.clip and mount.clip.info["video"][0][4]:
            # Another clip begins at its first picture, at the time the next one of this clip was due.
            self.added = self.due() - self.begun
            self.base, self.next, self.clip = 0, 0, mount.clip
            self.added -= self.clip.info["video"][0][3]
        return True


class Feeder(threading.Thread):
    """One thread for all streams: sleeps until the earliest access unit is due."""

    def __init__(self):
        super().__init__(daemon=True)
        self.queue, self.changed, self.order = [], threading.Condition(), 0

    def add(self, stream):
        with self.changed:
            self.order += 1
            heapq.heappush(self.queue, (stream.due(), self.order, stream))
            self.changed.notify()

    def run(self):
        while True:
            with self.changed:
                while not self.queue:
                    self.changed.wait()
                wait = self.queue[0][0] - time.monotonic_ns()
                if wait > 0:
                    self.changed.wait(wait / 1e9)
                    continue
                stream = heapq.heappop(self.queue)[2]
            if stream.push():
                self.add(stream)


class Server:
    def __init__(self, settings):
        self.feeder = Feeder()
        self.feeder.start()
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address("127.0.0.1")
        self.server.set_service(str(settings["port"]))
        self.clients = 0
        self.mounts = {path: Mount(self.feeder, path, options) for path, options in settings["mounts"].items()}
        points = self.server.get_mount_points()
        for path, mount in self.mounts.items():
            points.add_factory(path, mount.factory)
        if "auth" in settings:
            self.protect(settings["auth"])
        self.server.connect("client-connected", self.on_client)
        if self.server.attach(None) == 0:
            raise SystemExit(f"port {settings['port']} is taken")

    def protect(self, auth):
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        guard = GstRtspServer.RTSPAuth()
        if auth["method"] == "digest":
            guard.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            guard.add_digest(auth["user"], auth["password"], token)
        else:
            guard.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            guard.add_basic(GstRtspServer.RTSPAuth.make_basic(auth["user"], auth["password"]), token)
        self.server.set_auth(guard)
        for mount in self.mounts.values():
            permissions = GstRtspServer.RTSPPermissions()
            for what in ("access", "construct"):
                permissions.add_permission_for_role("viewer", f"media.factory.{what}", True)
            mount.factory.set_permissions(permissions)

    def on_client(self, _server, client):
        self.clients += 1
        def count(what):
            def on_request(_client, context):
                path = context.uri.abspath if context.uri else ""
                for mount in self.mounts.values():
                    if path == mount.path or path.startswith(mount.path + "/"):
                        mount.counts[what] += 1
            client.connect(f"{what}-request", on_request)
        for what in ("describe", "setup", "play", "teardown"):
            count(what)

    def drop(self):
        self.server.client_filter(lambda _server, _client: GstRtspServer.RTSPFilterResult.REMOVE)

    def handle(self, command):
        mount = self.mounts.get(command.get("mount"))
        match command["do"]:
            case "freeze":
                mount.frozen = True
            case "resume":
                mount.frozen = False
            case "skip":
                mount.skip = command["units"]
            case "clip":
                mount.clip = Clip(command["clip"])
            case "drop":
                self.drop()
            case "counts":
                return {"clients": self.clients, "mounts": {path: m.counts for path, m in self.mounts.items()},
                        "sessions": self.sessions()}
            case "pushes":
                return {"pushes": list(mount.pushes)}
            case other:
                return {"error": f"unknown command {other}"}
        return {}

    def sessions(self):
        return self.server.get_session_pool().get_n_sessions()


def main():
    Gst.init(None)
    server = Server(json.loads(sys.argv[1]))
    loop = GLib.MainLoop()

    def commands():
        for line in sys.stdin:
            print(json.dumps(server.handle(json.loads(line))), flush=True)
        os._exit(0)

    threading.Thread(target=commands, daemon=True).start()
    print(json.dumps({"ready": True}), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
