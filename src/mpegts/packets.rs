//! The bytes of one PES packet in, piece by piece; packets with headers and stuffing out. ISO/IEC 13818-1 sections 2.4.3.2 to 2.4.3.5.

use std::mem;

use mpeg2ts::ts::{ContinuityCounter, TsPacket};

use super::PACKET;

const HEADER: usize = 4;
const PAYLOAD: usize = PACKET - HEADER;

const PAYLOAD_UNIT_START: u8 = 0x40;
const PAYLOAD_ONLY: u8 = 0x10;
const ADAPTATION_AND_PAYLOAD: u8 = 0x30;

/// Bytes of the packets that carry `pes_len` bytes, when the first one has an adaptation field with `fields`.
pub(super) const fn len(fields: usize, pes_len: usize) -> usize {
    if pes_len == 0 { 0 } else { (adaptation_len(fields) + pes_len).div_ceil(PAYLOAD) * PACKET }
}

/// Bytes of an adaptation field with `fields`, its length byte included.
const fn adaptation_len(fields: usize) -> usize {
    if fields == 0 { 0 } else { 1 + fields }
}

/// Cuts one PES packet into transport stream packets. Each byte of the payload is copied once, to where it stays.
pub(super) struct Packets<'a> {
    /// What is not written yet; the packet begun ends `room` bytes into it.
    out: &'a mut [u8],
    /// Payload bytes that the packet begun still takes.
    room: usize,
    /// Bytes of the PES packet that are not in a packet yet, nor in `room`.
    left: usize,
    pid: u16,
    counter: &'a mut ContinuityCounter,
}

impl<'a> Packets<'a> {
    /// Begins a PES packet of `pes_len` bytes, not 0. `out` has exactly [`len`] bytes for it; `fields` go into the first packet's
    /// adaptation field. The pieces then [`put`](Self::put) must add up to `pes_len`.
    #[inline]
    pub(super) fn start(
        out: &'a mut [u8],
        pid: u16,
        counter: &'a mut ContinuityCounter,
        fields: &[u8],
        pes_len: usize,
    ) -> Self {
        let mut packets = Self { out, room: 0, left: pes_len, pid, counter };
        packets.begin(PAYLOAD_UNIT_START, fields);
        packets
    }

    /// Appends the next bytes of the PES packet.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        // Where the caller's length is a constant, so is this copy's.
        if bytes.len() <= self.room {
            self.room -= bytes.len();
            self.take(bytes.len()).copy_from_slice(bytes);
        } else {
            self.put_across(bytes);
        }
    }

    fn put_across(&mut self, mut bytes: &[u8]) {
        loop {
            let (now, later) = bytes.split_at(self.room.min(bytes.len()));
            self.take(now.len()).copy_from_slice(now);
            self.room -= now.len();
            if later.is_empty() {
                return;
            }
            bytes = self.whole_packets(later);
            if bytes.is_empty() {
                return;
            }
            self.begin(0, &[]);
        }
    }

    /// The fast path: packets that are payload throughout, from the middle of one piece. Returns what does not fill one.
    fn whole_packets<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (payloads, rest) = bytes.as_chunks::<PAYLOAD>();
        let (packets, _) = self.take(payloads.len() * PACKET).as_chunks_mut::<PACKET>();
        self.left -= payloads.len() * PAYLOAD;
        let [pid_high, pid_low] = self.pid.to_be_bytes();
        for (packet, payload) in packets.iter_mut().zip(payloads) {
            let header = [TsPacket::SYNC_BYTE, pid_high, pid_low, PAYLOAD_ONLY | self.counter.as_u8()];
            packet[..HEADER].copy_from_slice(&header);
            // In halves: copies this short are made in place, without a call.
            packet[HEADER..HEADER + PAYLOAD / 2].copy_from_slice(&payload[..PAYLOAD / 2]);
            packet[HEADER + PAYLOAD / 2..].copy_from_slice(&payload[PAYLOAD / 2..]);
            self.counter.increment();
        }
        rest
    }

    /// Begins a packet: header, and an adaptation field where there are `fields` or less is left than a packet holds.
    #[inline]
    fn begin(&mut self, start: u8, fields: &[u8]) {
        let payload = self.left.min(PAYLOAD - adaptation_len(fields.len()));
        let adaptation = PAYLOAD - payload;
        let control = if adaptation == 0 { PAYLOAD_ONLY } else { ADAPTATION_AND_PAYLOAD };
        let [pid_high, pid_low] = self.pid.to_be_bytes();
        let counter = self.counter.as_u8();
        self.take(HEADER).copy_from_slice(&[TsPacket::SYNC_BYTE, start | pid_high, pid_low, control | counter]);
        self.counter.increment();
        (self.room, self.left) = (payload, self.left - payload);
        // A field of one byte is its length, 0; a longer one has flags; stuffing makes up the rest.
        if let Some((length, field)) = self.take(adaptation).split_first_mut() {
            *length = u8::try_from(field.len()).expect("an adaptation field is shorter than a packet");
            field.fill(0xFF);
            if let Some(flags) = field.first_mut() {
                *flags = 0;
                field[..fields.len()].copy_from_slice(fields);
            }
        }
    }

    /// The next `len` bytes of the output.
    fn take(&mut self, len: usize) -> &'a mut [u8] {
        let (taken, rest) = mem::take(&mut self.out).split_at_mut(len);
        self.out = rest;
        taken
    }
}
