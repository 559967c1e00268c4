"""A small transport stream reader for the judges: packets, sections and access units of one program.

Written apart from the program under test, after ISO/IEC 13818-1 sections 2.4.3 and 2.4.4.
"""

PACKET = 188
VIDEO = {0x1B: "h264", 0x24: "h265"}
AAC = 0x0F
SDT_PID = 0x11


class Broken(AssertionError):
    """The stream breaks a rule; the text says which and where."""


class Unit:
    """One PES packet: an access unit, or some AAC frames."""

    def __init__(self, pts, dts, random_access, packet):
        self.pts, self.dts, self.random_access, self.packet = pts, dts, random_access, packet
        self.data = bytearray()


class Reader:
    """Reads segments of one stream in order; continuity counters run on between them until `discontinuity`."""

    def __init__(self):
        self.counters = {}
        self.forget_tables()

    def discontinuity(self):
        self.counters = {}

    def forget_tables(self):
        self.pmt_pid, self.codec, self.video_pid, self.audio_pid, self.pcr_pid = None, None, None, None, None

    def segment(self, data, name):
        """The segment's packets in order as (kind, unit or value); kinds: pat, pmt, sdt, video, audio, pcr."""
        if not data or len(data) % PACKET:
            raise Broken(f"{name}: {len(data)} bytes is not a whole number of packets")
        self.forget_tables()
        events, open_units = [], {}
        for at in range(0, len(data), PACKET):
            packet = data[at:at + PACKET]
            where = f"{name} packet {at // PACKET}"
            if packet[0] != 0x47:
                raise Broken(f"{where}: no sync byte")
            if packet[1] & 0x80:
                raise Broken(f"{where}: transport error indicator")
            start, pid = bool(packet[1] & 0x40), (packet[1] & 0x1F) << 8 | packet[2]
            has_field, has_payload, counter = packet[3] & 0x20, packet[3] & 0x10, packet[3] & 0x0F
            self.count(pid, counter, has_payload, where)
            payload, random_access = 4, False
            if has_field:
                length = packet[4]
                payload = 5 + length
                if payload > PACKET or (has_payload and payload >= PACKET):
                    raise Broken(f"{where}: adaptation field of {length} bytes does not fit")
                if length:
                    flags = packet[5]
                    random_access = bool(flags & 0x40)
                    if flags & 0x10:
                        base = int.from_bytes(packet[6:11], "big") >> 7
                        events.append(("pcr", base))
                        if pid != self.pcr_pid:
                            raise Broken(f"{where}: PCR on PID {pid}, the PMT says {self.pcr_pid}")
            if not has_payload or pid == 0x1FFF:
                continue
            if pid == 0:
                section = psi(packet, payload, where)
                self.pmt_pid = (section[10] & 0x1F) << 8 | section[11]
                events.append(("pat", None))
            elif pid == SDT_PID:
                events.append(("sdt", None))
            elif pid == self.pmt_pid:
                self.read_pmt(psi(packet, payload, where), where)
                events.append(("pmt", None))
            elif pid in (self.video_pid, self.audio_pid) and pid is not None:
                if start:
                    unit = Unit(*pes_header(packet, payload, where), random_access, at // PACKET)
                    payload += 9 + packet[payload + 8]
                    open_units[pid] = unit
                    events.append(("video" if pid == self.video_pid else "audio", unit))
                elif pid not in open_units:
                    raise Broken(f"{where}: a PES packet continues that did not start in this segment")
                open_units[pid].data += packet[payload:]
            else:
                raise Broken(f"{where}: PID {pid} is in no table before it")
        return events

    def count(self, pid, counter, has_payload, where):
        if pid == 0x1FFF:
            return
        before = self.counters.get(pid)
        wanted = None if before is None else (before + bool(has_payload)) & 15
        if wanted is not None and counter != wanted:
            raise Broken(f"{where}: continuity counter of PID {pid} is {counter}, {wanted} expected")
        self.counters[pid] = counter

    def read_pmt(self, section, where):
        self.pcr_pid = (section[8] & 0x1F) << 8 | section[9]
        at, end = 12 + ((section[10] & 0xF) << 8 | section[11]), len(section) - 4
        while at < end:
            kind, pid = section[at], (section[at + 1] & 0x1F) << 8 | section[at + 2]
            if kind in VIDEO:
                self.codec, self.video_pid = VIDEO[kind], pid
            elif kind == AAC:
                self.audio_pid = pid
            at += 5 + ((section[at + 3] & 0xF) << 8 | section[at + 4])
        if self.video_pid is None:
            raise Broken(f"{where}: the PMT names no H.264 or H.265")


def psi(packet, payload, where):
    at = payload + 1 + packet[payload]
    length = (packet[at + 1] & 0xF) << 8 | packet[at + 2]
    section = packet[at:at + 3 + length]
    if crc32_mpeg(section):
        raise Broken(f"{where}: CRC of the table is wrong")
    return section


def pes_header(packet, at, where):
    if packet[at:at + 3] != b"\0\0\1":
        raise Broken(f"{where}: no PES start code")
    flags = packet[at + 7] >> 6
    if not flags & 2:
        raise Broken(f"{where}: PES packet without PTS")
    pts = timestamp(packet[at + 9:at + 14])
    return pts, timestamp(packet[at + 14:at + 19]) if flags == 3 else pts


def timestamp(field):
    return (field[0] >> 1 & 7) << 30 | field[1] << 22 | (field[2] >> 1) << 15 | field[3] << 7 | field[4] >> 1


def crc32_mpeg(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)
        crc &= 0xFFFFFFFF
    return crc
