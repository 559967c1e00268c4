//! An access unit in, its RTP payloads out, cut once for all viewers. RFC 6184 (H.264, packetization-mode 1), RFC 7798 (H.265),
//! RFC 3551 section 4.5.14 (G.711).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use crate::media::{AccessUnit, Ticks, Track, VideoCodec, nal};

/// Most bytes of a payload: room for the headers of RTP, SRTP, UDP and IPv6 on every path in use, tunnels included.
pub const MAX_PAYLOAD: usize = 1200;

/// One access unit as RTP payloads. Headers and encryption are each viewer's own.
#[derive(Clone, Debug)]
pub struct Packets {
    /// The elementary stream.
    pub track: Track,
    /// Presentation time, as of the access unit.
    pub pts: Ticks,
    /// A picture that decoding can start from; its parameter sets precede it.
    pub key_frame: bool,
    /// The first unit after a break, as of the access unit.
    pub discontinuity: bool,
    /// When the access unit's last byte arrived.
    pub received: Instant,
    payloads: Vec<Arc<[u8]>>,
}

/// One payload, and what its RTP header needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// 1 to [`MAX_PAYLOAD`] bytes.
    pub payload: &'a Arc<[u8]>,
    /// The RTP marker: the last packet of a picture. Never set on sound, which has no pauses.
    pub marker: bool,
    /// Sound: samples of the same unit in the packets before this one, by which its RTP timestamp is later. Video: 0.
    pub samples_before: usize,
}

impl Packets {
    /// Cuts `unit`. Sound must be G.711, one channel: nothing else goes out as it came.
    ///
    /// Key frames start with the format's parameter sets. Parameter sets and delimiters in the data are left out, and so
    /// are filler and types that the payload format has a meaning of its own for. Without a slice or sound: no packets.
    pub fn new(unit: &AccessUnit) -> Self {
        let payloads = match unit.track {
            Track::Video => video(unit),
            Track::Audio => sound(&unit.data),
        };
        let AccessUnit { track, pts, key_frame, discontinuity, received, .. } = *unit;
        Self { track, pts, key_frame, discontinuity, received, payloads }
    }

    /// Packets.
    pub const fn len(&self) -> usize {
        self.payloads.len()
    }

    /// True when there is nothing to send.
    pub const fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// The packets in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Packet<'_>> {
        self.payloads.iter().enumerate().map(|(index, payload)| self.packet(index, payload))
    }

    /// The packet at `index`.
    pub fn get(&self, index: usize) -> Option<Packet<'_>> {
        self.payloads.get(index).map(|payload| self.packet(index, payload))
    }

    /// Bytes of memory held, for caches.
    pub fn bytes(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        let payloads: usize = self.payloads.iter().map(|payload| COUNTS + payload.len()).sum();
        size_of::<Self>() + self.payloads.capacity() * size_of::<Arc<[u8]>>() + payloads
    }

    fn packet<'a>(&'a self, index: usize, payload: &'a Arc<[u8]>) -> Packet<'a> {
        match self.track {
            Track::Video => Packet { payload, marker: index + 1 == self.payloads.len(), samples_before: 0 },
            // A byte is a sample, and every payload but the last is full.
            Track::Audio => Packet { payload, marker: false, samples_before: index * MAX_PAYLOAD },
        }
    }
}

/// G.711 as it came. Cameras send 20 to 60 ms a frame, 480 bytes at most; more is split.
fn sound(bytes: &[u8]) -> Vec<Arc<[u8]>> {
    bytes.chunks(MAX_PAYLOAD).map(Arc::from).collect()
}

fn video(unit: &AccessUnit) -> Vec<Arc<[u8]>> {
    let format = &unit.format.video;
    let mut coded = nal::units(&unit.data).filter(|unit| goes_out(format.codec, unit)).peekable();
    if coded.peek().is_none() {
        return Vec::new();
    }
    let mut packer = Packer::new(format.codec, unit.data.len());
    let sets = if unit.key_frame { format.parameter_sets.as_slice() } else { &[] };
    for set in sets.iter().filter(|set| set.len() >= header_len(format.codec)) {
        packer.add(set, set);
    }
    for nal_unit in coded {
        packer.add(nal_unit, &unit.data);
    }
    packer.finish()
}

/// Whether a NAL unit of the data is for the receiver.
fn goes_out(codec: VideoCodec, unit: &[u8]) -> bool {
    if unit.len() < header_len(codec)
        || matches!(nal::kind(codec, unit), nal::Kind::Delimiter | nal::Kind::ParameterSet)
    {
        return false;
    }
    // Filler is 12 or 38. What the codec leaves unspecified (0 and 24 to 31, or 48 to 63) is an aggregation packet or a
    // fragment to a receiver, so a camera that sends such a NAL unit could forge one.
    unit.first().is_some_and(|first| match codec {
        VideoCodec::H264 => matches!(first & 0x1F, 1..=11 | 13..=23),
        VideoCodec::H265 => matches!(first >> 1 & 0x3F, 0..=37 | 39..=47),
    })
}

const fn header_len(codec: VideoCodec) -> usize {
    match codec {
        VideoCodec::H264 => 1,
        VideoCodec::H265 => 2,
    }
}

/// Puts NAL units into payloads: those too large are cut, neighbours that fit into one payload share it. That bounds
/// the packets of a picture by its bytes, however many slices a camera makes of it.
struct Packer<'a> {
    codec: VideoCodec,
    payloads: Vec<Arc<[u8]>>,
    /// The first of the NAL units that wait for more neighbours.
    first: Option<&'a [u8]>,
    /// The aggregation packet of all that wait, once there are two.
    gathered: heapless::Vec<u8, MAX_PAYLOAD>,
}

impl<'a> Packer<'a> {
    fn new(codec: VideoCodec, bytes: usize) -> Self {
        // Full payloads, parameter sets, and the shorter last payload of each of a few slices; it grows for many.
        let payloads = Vec::with_capacity(bytes / MAX_PAYLOAD + 8);
        Self { codec, payloads, first: None, gathered: heapless::Vec::new() }
    }

    /// Adds `unit`, which is a part of `source`.
    fn add(&mut self, unit: &'a [u8], source: &[u8]) {
        if self.gather(unit) {
            return;
        }
        self.flush();
        if unit.len() <= MAX_PAYLOAD {
            self.first = Some(unit);
        } else {
            cut(self.codec, unit, source, &mut self.payloads);
        }
    }

    /// Adds `unit` to what waits, if it fits: STAP-A (RFC 6184 section 5.7.1), AP (RFC 7798 section 4.4.2).
    fn gather(&mut self, unit: &[u8]) -> bool {
        const SIZE: usize = size_of::<u16>();
        let Some(first) = self.first else { return false };
        let header = header_len(self.codec);
        let used = if self.gathered.is_empty() { header + SIZE + first.len() } else { self.gathered.len() };
        if used + SIZE + unit.len() > MAX_PAYLOAD {
            return false;
        }
        if self.gathered.is_empty() {
            self.append(&first[..header]);
            self.append_sized(first);
        }
        self.append_sized(unit);
        aggregate_header(self.codec, &mut self.gathered, unit);
        true
    }

    fn append_sized(&mut self, unit: &[u8]) {
        self.append(&u16::try_from(unit.len()).expect("it fits into a payload").to_be_bytes());
        self.append(unit);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes).expect("its room was checked");
    }

    fn flush(&mut self) {
        if let Some(first) = self.first.take() {
            self.payloads.push(Arc::from(if self.gathered.is_empty() { first } else { &self.gathered }));
            self.gathered.clear();
        }
    }

    fn finish(mut self) -> Vec<Arc<[u8]>> {
        self.flush();
        self.payloads
    }
}

/// Turns the header that `packet` starts with, a NAL unit's or an aggregation packet's, into that of an aggregation packet
/// which also holds `unit`.
fn aggregate_header(codec: VideoCodec, packet: &mut [u8], unit: &[u8]) {
    match (codec, packet, unit) {
        (VideoCodec::H264, [header, ..], [new, ..]) => {
            const STAP_A: u8 = 24;
            const F: u8 = 0x80;
            const NRI: u8 = 0x60;
            *header = (*header | new) & F | (*header & NRI).max(new & NRI) | STAP_A;
        }
        (VideoCodec::H265, [high, low, ..], [new_high, new_low, ..]) => {
            const AP: u16 = 48 << 9;
            const F: u16 = 0x8000;
            const LAYER: u16 = 0x01F8;
            const TID: u16 = 0x0007;
            let (header, new) = (u16::from_be_bytes([*high, *low]), u16::from_be_bytes([*new_high, *new_low]));
            let header = (header | new) & F | AP | (header & LAYER).min(new & LAYER) | (header & TID).min(new & TID);
            [*high, *low] = header.to_be_bytes();
        }
        _ => {}
    }
}

/// Cuts a NAL unit that is too large: FU-A (RFC 6184 section 5.8), FU without DONL (RFC 7798 section 4.4.3).
/// All fragments but the last are of `MAX_PAYLOAD` bytes, as UDP segmentation offload wants it.
fn cut(codec: VideoCodec, unit: &[u8], source: &[u8], payloads: &mut Vec<Arc<[u8]>>) {
    match (codec, unit) {
        (VideoCodec::H264, [first, ..]) => {
            const FU_A: u8 = 28;
            fragments([first & 0xE0 | FU_A, first & 0x1F], unit, source, payloads);
        }
        (VideoCodec::H265, [first, second, ..]) => {
            const FU: u8 = 49 << 1;
            fragments([first & 0x81 | FU, *second, first >> 1 & 0x3F], unit, source, payloads);
        }
        _ => {}
    }
}

/// Cuts `unit` into payloads that start with `header`, whose last byte has the start and end bits.
///
/// A fragment's header is one byte longer than the NAL unit's own, which it replaces. So each payload is copied
/// together with the bytes in front of it, and these are then overwritten: one allocation, one copy. 1200 bytes take
/// 53 ns; allocating and copying alone takes 50, going through a scratch buffer 58, collecting an iterator 625 (x86_64).
fn fragments<const N: usize>(header: [u8; N], unit: &[u8], source: &[u8], payloads: &mut Vec<Arc<[u8]>>) {
    const START: u8 = 0x80;
    const END: u8 = 0x40;
    let bytes = with_byte_before(unit, source);
    for at in (0..bytes.len() - N).step_by(MAX_PAYLOAD - N) {
        let end = bytes.len().min(at + MAX_PAYLOAD);
        let mut payload: Arc<[u8]> = Arc::from(&bytes[at..end]);
        let place = Arc::get_mut(&mut payload).and_then(|payload| payload.first_chunk_mut()).expect("new, and longer");
        *place = header;
        place[N - 1] |= if at == 0 { START } else { 0 } | if end == bytes.len() { END } else { 0 };
        payloads.push(payload);
    }
}

/// `unit` and any byte before it: the one that precedes it in `source`, if it has one.
fn with_byte_before<'a>(unit: &'a [u8], source: &'a [u8]) -> Cow<'a, [u8]> {
    let start = unit.first().and_then(|first| source.element_offset(first)).and_then(|at| at.checked_sub(1));
    match start.and_then(|start| source.get(start..=start + unit.len())) {
        Some(bytes) => Cow::Borrowed(bytes),
        None => Cow::Owned([&[0], unit].concat()),
    }
}
