//! RTP: NAL units and audio frames in, RTP packets and sender reports out. RFC 3550, 6184 (H.264), 7798 (H.265), 3640 (AAC).

use crate::media::{VideoCodec, nal};

/// Most bytes of an RTP payload, so that a packet fits an Ethernet frame.
pub(super) const PAYLOAD_LIMIT: usize = 1400;
/// The same for packets as large as the framing of RFC 2326 section 10.12 allows.
pub(super) const LARGE_PAYLOAD_LIMIT: usize = 65_535 - 12;

/// An RTP payload and whether it ends its access unit.
pub(super) type Payload = (Vec<u8>, bool);

/// Cuts one access unit: runs of H.264 parameter sets become a STAP-A, what is longer than `limit` becomes fragmentation
/// units, every other NAL unit goes alone. `limit` is at least 4.
pub(super) fn video_payloads(codec: VideoCodec, nals: &[&[u8]], limit: usize) -> Vec<Payload> {
    let is_set = |unit: &&[u8]| nal::kind(codec, unit) == nal::Kind::ParameterSet;
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    let mut rest = nals;
    while let Some((unit, after)) = rest.split_first() {
        let sets = rest.iter().take_while(|unit| is_set(unit)).count();
        let aggregate_len = 1 + rest[..sets].iter().map(|set| 2 + set.len()).sum::<usize>();
        if codec == VideoCodec::H264 && sets > 1 && aggregate_len <= limit {
            payloads.push(stap_a(&rest[..sets]));
            rest = &rest[sets..];
            continue;
        }
        if unit.len() <= limit {
            payloads.push(unit.to_vec())
        } else {
            fragment(codec, unit, limit, &mut payloads)
        }
        rest = after;
    }
    mark_last(payloads)
}

/// RFC 6184 section 5.7.1.
fn stap_a(units: &[&[u8]]) -> Vec<u8> {
    let importance = units.iter().filter_map(|unit| unit.first()).map(|first| first & 0x60).max().unwrap_or(0);
    let mut payload = vec![importance | 24];
    for unit in units {
        payload.extend(u16::try_from(unit.len()).unwrap_or(0).to_be_bytes());
        payload.extend(*unit);
    }
    payload
}

/// FU-A (RFC 6184 section 5.8), or the FU of RFC 7798 section 4.4.3.
fn fragment(codec: VideoCodec, unit: &[u8], limit: usize, payloads: &mut Vec<Vec<u8>>) {
    let (header, nal_type, body) = match (codec, unit) {
        (VideoCodec::H264, [first, body @ ..]) => (vec![first & 0xE0 | 28], first & 0x1F, body),
        (VideoCodec::H265, [first, second, body @ ..]) => {
            (vec![first & 0x81 | 49 << 1, *second], first >> 1 & 0x3F, body)
        }
        _ => return,
    };
    let mut pieces = body.chunks(limit - header.len() - 1).peekable();
    let mut start = 0x80;
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() { 0x40 } else { 0 };
        payloads.push([&header[..], &[start | end | nal_type], piece].concat());
        start = 0;
    }
}

/// One AAC frame as AAC-hbr: 13 bits of size, 3 of index; a frame longer than `limit` is fragmented (RFC 3640 section 3.2.3).
pub(super) fn aac_payloads(frame: &[u8], limit: usize) -> Vec<Payload> {
    let size = u16::try_from(frame.len()).unwrap_or(0).wrapping_shl(3).to_be_bytes();
    mark_last(frame.chunks(limit - 4).map(|piece| [&[0, 16], &size[..], piece].concat()).collect())
}

fn mark_last(payloads: Vec<Vec<u8>>) -> Vec<Payload> {
    let last = payloads.len().saturating_sub(1);
    payloads.into_iter().enumerate().map(|(at, payload)| (payload, at == last)).collect()
}

/// One RTP stream: numbers its packets and reports on them.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) ssrc: u32,
    /// Of the next packet.
    pub(super) sequence: u16,
    payload_type: u8,
    packets: u32,
    bytes: u32,
}

impl Sender {
    pub(super) fn new(payload_type: u8, ssrc: u32, sequence: u16) -> Self {
        Self { ssrc, sequence, payload_type, packets: 0, bytes: 0 }
    }

    pub(super) fn packet(&mut self, (payload, marker): &Payload, timestamp: u32) -> Vec<u8> {
        let mut packet = Vec::with_capacity(12 + payload.len());
        packet.extend([0x80, self.payload_type | if *marker { 0x80 } else { 0 }]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
        packet
    }

    /// A sender report and the source description that must go with it (RFC 3550 section 6.1).
    pub(super) fn report(&self, ntp: u64, timestamp: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 200, 0, 6];
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(ntp.to_be_bytes());
        for word in [timestamp, self.packets, self.bytes] {
            packet.extend(word.to_be_bytes());
        }
        packet.extend([0x81, 202, 0, 4]);
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(b"\x01\x08porthole\x00\x00");
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_aggregated_and_long_units_fragmented() {
        let payloads = video_payloads(VideoCodec::H264, &[&[0x67, 1], &[0x68], &[0x65, 1, 2, 3, 4, 5, 6, 7, 8]], 8);
        let expected: [(&[u8], bool); 3] = [
            (&[0x60 | 24, 0, 2, 0x67, 1, 0, 1, 0x68], false),
            (&[0x7C, 0x85, 1, 2, 3, 4, 5, 6], false),
            (&[0x7C, 0x45, 7, 8], true),
        ];
        assert_eq!(payloads.iter().map(|(bytes, marker)| (&bytes[..], *marker)).collect::<Vec<_>>(), expected);
        let payloads = video_payloads(VideoCodec::H265, &[&[0x40, 1], &[0x26, 1, 2, 3, 4, 5]], 5);
        let expected: [(&[u8], bool); 3] =
            [(&[0x40, 1], false), (&[0x62, 1, 0x93, 2, 3], false), (&[0x62, 1, 0x53, 4, 5], true)];
        assert_eq!(payloads.iter().map(|(bytes, marker)| (&bytes[..], *marker)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_size_fits_the_limit_and_can_be_put_together_again() {
        for len in (1..40).chain(1395..1410).chain([2796, 2797, 70_000, 200_000]) {
            let unit: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap() | 1).collect();
            for limit in [4, PAYLOAD_LIMIT, LARGE_PAYLOAD_LIMIT] {
                let payloads = video_payloads(VideoCodec::H264, &[&unit], limit);
                assert!(payloads.iter().all(|(bytes, _)| (1..=limit).contains(&bytes.len())), "{len} at {limit}");
                assert_eq!(payloads.iter().filter(|(_, marker)| *marker).count(), 1);
                let body: Vec<u8> = match &payloads[..] {
                    [(alone, true)] => alone[1..].to_vec(),
                    pieces => pieces.iter().flat_map(|(bytes, _)| bytes[2..].to_vec()).collect(),
                };
                assert!(body == unit[1..], "{len} at {limit}");
            }
        }
        assert_eq!(video_payloads(VideoCodec::H264, &[], 100), []);
        assert_eq!(video_payloads(VideoCodec::H265, &[&[1]], 100), [(vec![1], true)]);
    }

    #[test]
    fn aac_frames_carry_their_whole_size_in_every_fragment() {
        assert_eq!(aac_payloads(&[7; 3], 100), [(vec![0, 16, 0, 24, 7, 7, 7], true)]);
        assert_eq!(aac_payloads(&[7; 3], 6), [(vec![0, 16, 0, 24, 7, 7], false), (vec![0, 16, 0, 24, 7], true)]);
        assert_eq!(aac_payloads(&[0; 8191], 9000)[0].0[..4], [0, 16, 0xFF, 0xF8]);
    }

    #[test]
    fn packets_and_reports_have_the_standard_layout() {
        let mut sender = Sender::new(96, 0x0102_0304, 0xFFFF);
        let packet = sender.packet(&(vec![0xAA, 0xBB], true), 0x0A0B_0C0D);
        assert_eq!(packet, [0x80, 0xE0, 0xFF, 0xFF, 0x0A, 0x0B, 0x0C, 0x0D, 1, 2, 3, 4, 0xAA, 0xBB]);
        assert_eq!(sender.sequence, 0);
        let report = sender.report(0x1122_3344_5566_7788, 9);
        let head = [0x80, 200, 0, 6, 1, 2, 3, 4, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
        assert_eq!(report[..16], head);
        assert_eq!(report[16..32], [0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0x81, 202, 0, 4]);
        assert_eq!((report.len(), &report[36..]), (48, &b"\x01\x08porthole\x00\x00"[..]));
    }
}
