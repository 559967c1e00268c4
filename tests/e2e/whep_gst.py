#!/usr/bin/python3
"""A WHEP viewer made of GStreamer's webrtcbin (libnice, OpenSSL, libsrtp), decoded by ffmpeg's H.264 decoder.

    whep_gst.py '{"url": "http://127.0.0.1:8107/whep/cam", "seconds": 5}'

Also in the request: `sound` (PCMA is asked for, and must be decoded to be counted), `end` ("delete" or "leave"), `rsa`. Events are
JSON lines on stdout, shaped as those of `whep.mjs`.
GStreamer 1.22 makes itself an RSA certificate, which newer WebRTC stacks refuse (browsers make ECDSA ones): it gets an ECDSA
one here, unless `rsa` is set.
"""

import hashlib
import http.client
import json
import re
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import urljoin, urlsplit

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("Nice", "0.1")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC, Nice  # noqa: E402

# What webrtcbin offers: it matches what is named here.
VIDEO = ("application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,packetization-mode=(string)1,"
         "profile-level-id=(string)42e01f,rtcp-fb-nack=true,rtcp-fb-nack-pli=true")
AUDIO = "application/x-rtp,media=audio,encoding-name=PCMA,clock-rate=8000,payload=8"
DECODERS = {
    "H264": "queue ! rtph264depay ! h264parse ! avdec_h264 ! fakesink name=end sync=false signal-handoffs=true",
    "PCMA": "queue ! rtppcmadepay ! alawdec ! fakesink name=end sync=false signal-handoffs=true",
}


def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def ask(method, url, body=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
    connection.request(method, parts.path, body, {"Content-Type": "application/sdp"} if body else {})
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


class Viewer:
    def __init__(self, request):
        self.request, self.problems, self.replies = request, [], []
        self.counts = {"H264": 0, "PCMA": 0}
        self.first = self.asked = self.status = self.session = self.deleted = self.size = None
        self.headers, self.body = {}, ""
        self.pipeline = Gst.Pipeline()
        self.webrtc = Gst.ElementFactory.make("webrtcbin")
        self.webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.webrtc)
        self.webrtc.connect("pad-added", self.on_pad)
        if not request.get("rsa"):
            self.pem, self.fingerprint = ecdsa_certificate()
            self.webrtc.connect("deep-element-added", self.on_element)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _bus, message: self.problems.append(str(message.parse_error())))
        for caps in [VIDEO, AUDIO][:2 if request.get("sound") else 1]:
            receive = self.webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
            receive.set_property("do-nack", True)
        self.pipeline.set_state(Gst.State.PLAYING)
        # libnice leaves the loopback interface out unless told otherwise, and pairs no other address with it.
        loopback = Nice.Address()
        loopback.set_from_string("127.0.0.1")
        # Kept: it has a floating reference, which would go with this one.
        self.ice = self.webrtc.get_property("ice-agent")
        self.ice.get_property("agent").add_local_address(loopback)

    def on_element(self, _webrtc, _bin, element):
        factory = element.get_factory()
        if factory and factory.get_name() == "dtlssrtpdec":
            element.set_property("pem", self.pem)

    def on_pad(self, _webrtc, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        name = pad.get_current_caps().get_structure(0).get_string("encoding-name")
        if name not in DECODERS:
            self.problems.append(f"{name} arrived, which was not asked for")
            return
        decoder = Gst.parse_bin_from_description(DECODERS[name], True)
        decoder.get_by_name("end").connect("handoff", self.on_frame, name)
        self.pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def on_frame(self, _sink, _buffer, pad, name):
        self.counts[name] += 1
        if name == "H264":
            caps = pad.get_current_caps().get_structure(0)
            self.size = caps.get_value("width"), caps.get_value("height")
            if self.first is None:
                self.first = (time.monotonic() - self.asked) * 1000

    def wait(self, what, *arguments):
        """A webrtcbin action, to its end."""
        promise = Gst.Promise.new()
        self.webrtc.emit(what, *arguments, promise)
        promise.wait()
        # What is taken out of a reply lives only as long as it does.
        self.replies.append(promise.get_reply())
        return self.replies[-1]

    def offer(self):
        offer = self.wait("create-offer", None).get_value("offer")
        self.wait("set-local-description", offer)
        gathering = time.monotonic()
        while self.webrtc.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE and time.monotonic() - gathering < 5:
            time.sleep(0.01)
        sdp = self.webrtc.get_property("local-description").sdp.as_text()
        if not self.request.get("rsa"):
            # webrtcbin's own fingerprint would be that of certificate and key together.
            sdp = re.sub("a=fingerprint:.*", f"a=fingerprint:sha-256 {self.fingerprint}\r", sdp)
        self.asked = time.monotonic()
        self.status, self.headers, self.body = ask("POST", self.request["url"], sdp)
        if self.status != 201:
            return False
        self.session = urljoin(self.request["url"], self.headers["location"])
        _, answer = GstSdp.SDPMessage.new_from_text(self.body)
        self.wait("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer))
        return True

    def facts(self):
        width, height = self.size or (None, None)
        state = self.webrtc.get_property("connection-state").value_nick
        return {"state": state, "status": self.status, "headers": self.headers, "session": self.session, "deleted": self.deleted,
                "video": {"framesDecoded": self.counts["H264"], "frameWidth": width, "frameHeight": height},
                "audio": {"framesDecoded": self.counts["PCMA"]}, "firstDecodedMs": self.first, "body": self.body}

    def close(self):
        if self.session and self.request.get("end", "delete") == "delete":
            self.deleted, _, _ = ask("DELETE", self.session)


def ecdsa_certificate():
    """A fresh certificate with its key (PEM), and its fingerprint as SDP wants it."""
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                           "-subj", "/CN=viewer", "-keyout", "-"], capture_output=True, text=True, check=True)
    certificate = made.stdout[made.stdout.index("-----BEGIN CERTIFICATE"):]
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()
    return made.stdout, ":".join(f"{byte:02X}" for byte in digest)


def watch(request):
    viewer = Viewer(request)
    if not viewer.offer():
        tell("refused", viewers=[viewer.facts()])
        tell("report", viewers=[viewer.facts()], problems=viewer.problems)
        return
    begun = time.monotonic()
    while viewer.first is None and time.monotonic() - begun < request.get("patience", 15):
        time.sleep(0.02)
    start = viewer.facts()
    if viewer.first is not None:
        tell("playing", viewers=[start], waiting=0)
        begun = time.monotonic()
        while time.monotonic() - begun < request["seconds"]:
            time.sleep(min(1, request["seconds"]))
            tell("sample", at=time.time(), viewers=[viewer.facts()])
    facts = viewer.facts()
    viewer.close()
    tell("report", viewers=[facts | {"deleted": viewer.deleted, "atStart": start}], problems=viewer.problems)
    viewer.pipeline.set_state(Gst.State.NULL)


def main():
    Gst.init(None)
    loop = GLib.MainLoop()

    worker = threading.Thread(target=loop.run, daemon=True)
    worker.start()
    watch(json.loads(sys.argv[1]))
    loop.quit()
    worker.join()


if __name__ == "__main__":
    main()
