"""What nobody should send to a gateway, made from what browsers do send: SDP and datagrams. Always the same."""

import random
import re
import struct

MAGIC_COOKIE = 0x2112A442


def offers(sdp):
    """(name, body): offers that cannot be used, each for one reason."""
    sdp = sdp.replace("\r\n", "\n").replace("\n", "\r\n")
    session, *media = re.split(r"(?=^m=)", sdp, flags=re.M)
    video = next(part for part in media if part.startswith("m=video"))

    def without(pattern):
        return re.sub(rf"^{pattern}.*\r\n", "", sdp, flags=re.M)

    yield "empty", b""
    yield "words", b"please let me watch"
    yield "json", b'{"type":"offer","sdp":"v=0"}'
    yield "zeros", bytes(4000)
    yield "not UTF-8", b"v=0\r\no=- 1 1 IN IP4 \xff\xfe\r\ns=\xc3\x28\r\n"
    yield "only a version", b"v=0\r\n"
    yield "no media", session.encode()
    yield "cut in the session", sdp[:60].encode()
    yield "version 9", sdp.replace("v=0", "v=9", 1).encode()
    yield "no fingerprint", without("a=fingerprint").encode()
    yield "no ufrag", without("a=ice-ufrag").encode()
    yield "no password", without("a=ice-pwd").encode()
    yield "fingerprint that is none", re.sub(r"a=fingerprint:.*", "a=fingerprint:sha-256 ZZ:ZZ", sdp).encode()
    yield "fingerprint that is too short", re.sub(r"a=fingerprint:.*", "a=fingerprint:sha-256 00:11:22", sdp).encode()
    yield "wants to send", sdp.replace("a=recvonly", "a=sendonly").encode()
    yield "only sound", (session + next(part for part in media if part.startswith("m=audio"))).encode()
    yield "only data", (session + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sctp-port:5000\r\n").encode()
    yield "a line of 30,000", (sdp + "a=" + "x" * 30000 + "\r\n").encode()[:60000] + b"a=mid\r\n\r\nm=\r\n"
    yield "900 media", (session + video[:video.index("\r\n") + 2] * 900).encode()
    yield "payload types beyond bounds", re.sub(r"^m=video.*", "m=video 9 UDP/TLS/RTP/SAVPF 4000000000 -1 99999", video, flags=re.M).encode()
    yield "a header in the body", b"HTTP/1.1 200 OK\r\n\r\n" + sdp.encode()


def mutations(sdp, count, seed=4):
    """Offers with something missing, doubled, cut or turned: some of them can be used, none may do harm."""
    chance, lines = random.Random(seed), sdp.replace("\r\n", "\n").strip().split("\n")
    numbers = ["-1", "0", "65536", "4294967296", "99999999999999999999", "", "NaN", "%s%n", "\x00"]
    for index in range(count):
        changed = list(lines)
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            at = chance.randrange(len(changed))
            match chance.randrange(7):
                case 0 if len(changed) > 1:
                    del changed[at]
                case 1:
                    changed.insert(at, changed[chance.randrange(len(changed))])
                case 2:
                    changed[at] = changed[at][:chance.randrange(len(changed[at]) + 1)]
                case 3:
                    changed[at] = re.sub(r"\d+", lambda found: chance.choice([found[0], chance.choice(numbers)]), changed[at])
                case 4:
                    changed[at] += chance.choice([" ", ";", "=", ":", "/"]) * chance.choice([1, 300])
                case 5:
                    changed = changed[:at + 1]
                case 6:
                    other = chance.randrange(len(changed))
                    changed[at], changed[other] = changed[other], changed[at]
        body = bytearray("\r\n".join(changed).encode() + b"\r\n")
        if index % 5 == 0 and body:
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        yield bytes(body)


def datagrams(ufrag, count, seed=8189):
    """Noise, and packets of each kind that a WebRTC port takes, cut, swollen or turned; `ufrag` is one that the gateway knows."""
    chance = random.Random(seed)

    def stun(kind, attributes, length=None):
        body = b"".join(struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4) for name, value in attributes)
        return struct.pack("!HHI", kind, len(body) if length is None else length, MAGIC_COOKIE) + chance.randbytes(12) + body

    user = f"{ufrag}:abcd".encode()
    def kinds():
        yield chance.randbytes(chance.choice([0, 1, 2, 3, 19, 20, 64, 500, 1200, 1500]))
        request = stun(1, [(6, user), (0x24, b"\0\0\0\1"), (0x802A, bytes(8)), (8, bytes(20)), (0x8028, bytes(4))])
        yield request
        yield request[:chance.randrange(len(request))]
        yield stun(1, [(6, user)], length=chance.choice([0, 3, 65535, 1000]))
        yield stun(1, [(6, b"x" * 600), (8, bytes(20))])
        yield stun(1, [(6, user), (8, chance.randbytes(3))])
        yield stun(1, [(chance.randrange(65536), b"") for _ in range(200)])
        yield stun(chance.choice([0x101, 0x111, 0x11, 0x3FFF]), [(0x20, chance.randbytes(8)), (8, bytes(20))])
        yield bytes([22, 254, 253]) + bytes(8) + struct.pack("!H", chance.choice([0, 5, 65535])) + chance.randbytes(chance.choice([0, 5, 900]))
        yield bytes([22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0]) + struct.pack("!H", 60) + b"\1\xff\xff\xff" + bytes(2) + b"\xff\xff\xff" + b"\xff\xff\xff" + bytes(46)
        yield bytes([21, 254, 253]) + bytes(8) + b"\0\2\2\0"
        yield b"\x80" + chance.randbytes(chance.choice([1, 11, 30, 1200]))
        yield b"\x80\xc8" + struct.pack("!H", chance.choice([0, 1, 65535])) + chance.randbytes(chance.choice([0, 4, 24]))
        yield b"\xbf\xff" + chance.randbytes(40)
    sent = 0
    while sent < count:
        for datagram in kinds():
            if chance.random() < 0.1 and datagram:
                turned = bytearray(datagram)
                turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
                datagram = bytes(turned)
            yield datagram
            sent += 1
    # The largest that there are.
    for size in (1500, 2000, 2001, 9000, 65507):
        for first in (0, 22, 0x80):
            yield bytes([first]) + chance.randbytes(size - 1)
