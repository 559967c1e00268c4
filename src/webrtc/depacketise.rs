//! The tests' receiver: RTP payloads in, NAL units out. It panics on whatever RFC 6184 and RFC 7798 do not allow, and on
//! what Porthole promises beyond them. Shares no code with the sender.

use crate::media::VideoCodec;

/// How NAL units travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A packet of its own.
    Itself,
    /// An aggregation packet.
    Aggregate,
    /// This many fragments.
    Fragments(usize),
}

/// The NAL units in `payloads`, a whole access unit.
pub(super) fn nal_units(codec: VideoCodec, payloads: &[&[u8]]) -> Vec<(By, Vec<u8>)> {
    let mut units = Vec::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for payload in payloads {
        assert!((1..=1200).contains(&payload.len()), "a payload of {} bytes", payload.len());
        let packet = match codec {
            VideoCodec::H264 => h264(payload),
            VideoCodec::H265 => h265(payload),
        };
        match packet {
            Packet::Single => {
                assert!(open.is_none(), "a packet between fragments");
                units.push((By::Itself, payload.to_vec()));
            }
            Packet::Aggregate(inside) => {
                assert!(open.is_none(), "an aggregation packet between fragments");
                assert!(inside.len() >= 2, "an aggregation packet of one");
                units.extend(inside.into_iter().map(|unit| (By::Aggregate, unit)));
            }
            Packet::Fragment { start, end, header, body } => {
                assert!(!(start && end), "a fragment that is the whole");
                assert!(!body.is_empty(), "an empty fragment");
                assert!(end || payload.len() == 1200, "a fragment of {} bytes that is not the last", payload.len());
                assert_eq!(start, open.is_none(), "the start bit");
                let (count, mut unit) = open.take().unwrap_or_else(|| (0, header.clone()));
                assert!(unit.starts_with(&header), "fragments of different units");
                unit.extend_from_slice(body);
                if end {
                    assert!(unit.len() > 1200, "a unit of {} bytes did not need fragments", unit.len());
                    units.push((By::Fragments(count + 1), unit));
                } else {
                    open = Some((count + 1, unit));
                }
            }
        }
    }
    assert!(open.is_none(), "the end bit is missing");
    units
}

enum Packet<'a> {
    Single,
    Aggregate(Vec<Vec<u8>>),
    /// `header` is the NAL unit's, restored.
    Fragment {
        start: bool,
        end: bool,
        header: Vec<u8>,
        body: &'a [u8],
    },
}

fn h264(payload: &[u8]) -> Packet<'_> {
    let f_and_nri = payload[0] & 0b1110_0000;
    match payload[0] & 0b0001_1111 {
        1..=23 => Packet::Single,
        24 => {
            let inside = sized(&payload[1..]);
            assert!(inside.iter().all(|unit| matches!(unit[0] & 0b0001_1111, 1..=23)));
            let nri = inside.iter().map(|unit| unit[0] & 0b0110_0000).max().unwrap();
            let f = inside.iter().map(|unit| unit[0] & 0b1000_0000).max().unwrap();
            assert_eq!(f_and_nri, f | nri, "F and NRI of a STAP-A");
            Packet::Aggregate(inside)
        }
        28 => {
            assert_eq!(payload[1] & 0b0010_0000, 0, "the reserved bit of an FU header");
            let nal_type = payload[1] & 0b0001_1111;
            assert!(matches!(nal_type, 1..=23));
            let (start, end) = (payload[1] & 0b1000_0000 != 0, payload[1] & 0b0100_0000 != 0);
            Packet::Fragment { start, end, header: vec![f_and_nri | nal_type], body: &payload[2..] }
        }
        other => panic!("packet type {other}"),
    }
}

fn h265(payload: &[u8]) -> Packet<'_> {
    let fields = |unit: &[u8]| {
        assert!(unit.len() >= 2, "a NAL unit without its header");
        (unit[0] >> 7, unit[0] >> 1 & 63, (unit[0] & 1) << 5 | unit[1] >> 3, unit[1] & 7)
    };
    let (f, packet_type, layer, tid) = fields(payload);
    match packet_type {
        0..=47 => Packet::Single,
        48 => {
            let inside = sized(&payload[2..]);
            let all: Vec<_> = inside.iter().map(|unit| fields(unit)).collect();
            assert!(all.iter().all(|unit| unit.1 <= 47));
            assert_eq!(f, all.iter().map(|unit| unit.0).max().unwrap(), "F of an AP");
            assert_eq!(layer, all.iter().map(|unit| unit.2).min().unwrap(), "LayerId of an AP");
            assert_eq!(tid, all.iter().map(|unit| unit.3).min().unwrap(), "TID of an AP");
            Packet::Aggregate(inside)
        }
        49 => {
            let nal_type = payload[2] & 63;
            assert!(nal_type <= 47);
            let (start, end) = (payload[2] & 128 != 0, payload[2] & 64 != 0);
            let header = vec![f << 7 | nal_type << 1 | layer >> 5, (layer & 31) << 3 | tid];
            Packet::Fragment { start, end, header, body: &payload[3..] }
        }
        other => panic!("packet type {other}"),
    }
}

/// Units that are each preceded by their size in 16 bits, to the last byte.
fn sized(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        assert!(len > 0, "an empty NAL unit");
        units.push(rest[2..2 + len].to_vec());
        rest = &rest[2 + len..];
    }
    units
}
