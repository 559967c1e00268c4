//! What the packets hold, byte by byte and as a strict receiver reads it.

use std::rc::Rc;
use std::time::Instant;

use super::depacketise::{By, nal_units};
use super::{MAX_PAYLOAD, Packets};
use crate::media::{AccessUnit, StreamFormat, Ticks, Track, VideoCodec, VideoFormat};

const CODECS: [VideoCodec; 2] = [VideoCodec::H264, VideoCodec::H265];
/// The headers of a VPS, an SPS and a PPS.
const H265_SETS: [[u8; 2]; 3] = [[0x40, 1], [0x42, 1], [0x44, 1]];
/// Around what one packet, two fragments and three take; H.264, then H.265.
const EDGES: [usize; 18] =
    [2, 3, 4, 1194, 1195, 1196, 1197, 1198, 1199, 1200, 1201, 2396, 2397, 2398, 2399, 2400, 3592, 3596];

#[expect(clippy::disallowed_methods, reason = "when a unit arrived does not show in the payloads")]
fn unit(codec: VideoCodec, sets: &[Vec<u8>], key_frame: bool, data: Vec<u8>) -> AccessUnit {
    let parameter_sets = sets.iter().map(|set| Box::from(set.as_slice())).collect();
    let video = VideoFormat { codec, parameter_sets, width: 0, height: 0, rfc6381: String::new() };
    let format = Rc::new(StreamFormat { video, audio: None });
    AccessUnit::video(&format, Ticks(3600), key_frame, data, Instant::now())
}

/// An access unit's data.
fn prefixed<T: AsRef<[u8]>>(units: &[T]) -> Vec<u8> {
    let bytes = |unit: &T| [&u32::try_from(unit.as_ref().len()).unwrap().to_be_bytes()[..], unit.as_ref()].concat();
    units.iter().flat_map(bytes).collect()
}

/// The payloads of a unit; the marker is on the last packet and nowhere else.
fn payloads(unit: &AccessUnit) -> Vec<Vec<u8>> {
    let packets = Packets::new(unit);
    for (index, packet) in packets.iter().enumerate() {
        assert_eq!((packet.marker, packet.samples_before), (index + 1 == packets.len(), 0), "packet {index}");
    }
    packets.iter().map(|packet| packet.payload.to_vec()).collect()
}

/// What a receiver makes of a unit.
fn received(unit: &AccessUnit) -> Vec<(By, Vec<u8>)> {
    let payloads = payloads(unit);
    nal_units(unit.format.video.codec, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A NAL unit with this header and random bytes behind it.
fn nal_unit(header: &[u8], len: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut unit: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
    let header = &header[..header.len().min(len)];
    unit[..header.len()].copy_from_slice(header);
    unit
}

fn slice_header(codec: VideoCodec) -> &'static [u8] {
    match codec {
        VideoCodec::H264 => &[0x41],
        VideoCodec::H265 => &[0x02, 0x01],
    }
}

#[test]
fn an_h264_key_frame_is_these_bytes() {
    let sets = [vec![0x67, 0x64, 0x1F], vec![0x68, 0xEE]];
    let idr: Vec<u8> = [0x65].into_iter().chain((0..1300_u32).map(|n| n.to_le_bytes()[0])).collect();
    let all = payloads(&unit(VideoCodec::H264, &sets, true, prefixed(&[vec![0x09, 0xF0], idr.clone()])));
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], [0x78, 0, 3, 0x67, 0x64, 0x1F, 0, 2, 0x68, 0xEE], "STAP-A, NRI 3");
    assert_eq!(all[1][..4], [0x7C, 0x85, 0, 1], "FU-A, NRI 3, start, type 5");
    assert_eq!(all[1][2..], idr[1..1199]);
    assert_eq!(all[2][..2], [0x7C, 0x45], "end");
    assert_eq!(all[2][2..], idr[1199..]);
}

#[test]
fn an_h265_key_frame_is_these_bytes() {
    let sets = [vec![0x40, 0x01, 0x0C], vec![0x42, 0x01, 0x01], vec![0x44, 0x01]];
    let idr: Vec<u8> = [0x26, 0x02].into_iter().chain((0..2500_u32).map(|n| n.to_le_bytes()[0])).collect();
    let all = payloads(&unit(VideoCodec::H265, &sets, true, prefixed(&[vec![0x46, 0x01, 0x50], idr.clone()])));
    assert_eq!(all.len(), 4);
    assert_eq!(all[0], [0x60, 0x01, 0, 3, 0x40, 1, 0x0C, 0, 3, 0x42, 1, 1, 0, 2, 0x44, 1], "AP");
    assert_eq!(all[1][..5], [0x62, 0x02, 0x93, 0, 1], "FU, TID 2, start, type 19");
    assert_eq!(all[1][3..], idr[2..1199]);
    assert_eq!(all[2][..3], [0x62, 0x02, 0x13], "neither start nor end");
    assert_eq!(all[2][3..], idr[1199..2396]);
    assert_eq!(all[3][..3], [0x62, 0x02, 0x53], "end");
    assert_eq!(all[3][3..], idr[2396..]);
}

#[test]
fn every_length_comes_back_byte_for_byte_in_as_few_packets_as_can_be() {
    let mut random = fastrand::Rng::with_seed(1);
    for codec in CODECS {
        let (least, body) = if codec == VideoCodec::H264 { (1, 1198) } else { (2, 1197) };
        for len in least..=3700 {
            let slice = nal_unit(slice_header(codec), len, &mut random);
            let by = if len <= 1200 { By::Itself } else { By::Fragments((len - least).div_ceil(body)) };
            let received = received(&unit(codec, &[], false, prefixed(&[&slice])));
            assert!(received == [(by, slice)], "{codec:?}, {len} bytes");
        }
    }
}

#[test]
fn header_bits_survive_being_cut() {
    let mut random = fastrand::Rng::with_seed(2);
    for first in 0..=u8::MAX {
        if matches!(first & 0x1F, 1..=6 | 10 | 11 | 13..=23) {
            let slice = nal_unit(&[first], 2000, &mut random);
            assert!(received(&unit(VideoCodec::H264, &[], false, prefixed(&[&slice])))[0].1 == slice, "{first:#x}");
        }
        if matches!(first >> 1 & 0x3F, 0..=31 | 36 | 37 | 39..=47) {
            for second in [0x01, 0x07, 0xF9, 0xFF] {
                let slice = nal_unit(&[first, second], 2000, &mut random);
                let received = received(&unit(VideoCodec::H265, &[], false, prefixed(&[&slice])));
                assert!(received[0].1 == slice, "{first:#x} {second:#x}");
            }
        }
    }
}

#[test]
fn random_pictures_come_back_without_what_is_left_out() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..1000 {
        let codec = CODECS[round % 2];
        let key_frame = random.u8(..4) == 0;
        let header = |nal_type: u8, random: &mut fastrand::Rng| match codec {
            VideoCodec::H264 => vec![random.u8(..) & 0xE0 | nal_type],
            VideoCodec::H265 => vec![random.u8(..) & 0x81 | nal_type << 1, random.u8(..)],
        };
        let len = |random: &mut fastrand::Rng| match random.u8(..4) {
            0 => EDGES[random.usize(..EDGES.len())],
            1 => random.usize(2..100),
            2 => random.usize(2..1300),
            _ => random.usize(2..30_000),
        };
        let set_types: &[u8] = if codec == VideoCodec::H264 { &[7, 8, 8] } else { &[32, 33, 34] };
        let mut sets = Vec::new();
        for nal_type in set_types {
            let len = if random.bool() { random.usize(2..60) } else { len(&mut random) };
            sets.push(nal_unit(&header(*nal_type, &mut random), len, &mut random));
        }
        let (mut all, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..random.usize(..12) {
            let nal_type = random.u8(..if codec == VideoCodec::H264 { 32 } else { 64 });
            let nal_unit = nal_unit(&header(nal_type, &mut random), len(&mut random), &mut random);
            let out = match codec {
                VideoCodec::H264 => ![0, 7, 8, 9, 12].contains(&nal_type) && nal_type < 24,
                VideoCodec::H265 => ![32, 33, 34, 35, 38].contains(&nal_type) && nal_type < 48,
            };
            kept.extend(out.then(|| nal_unit.clone()));
            all.push(nal_unit);
            if random.u8(..8) == 0 {
                all.push(Vec::new());
            }
        }
        let expected = if key_frame && !kept.is_empty() { [sets.clone(), kept].concat() } else { kept };
        let unit = unit(codec, &sets, key_frame, prefixed(&all));
        let received: Vec<_> = received(&unit).into_iter().map(|(_, nal_unit)| nal_unit).collect();
        assert!(received == expected, "round {round}, {codec:?}");
    }
}

#[test]
fn lying_lengths_and_noise_stay_in_bounds() {
    let slice = [vec![0x41], vec![7; 3000]].concat();
    let lying = [&[0xFF; 4][..], &slice].concat();
    let all = received(&unit(VideoCodec::H264, &[], false, lying));
    assert!(all == [(By::Fragments(3), slice)], "what is there is sent");

    let mut random = fastrand::Rng::with_seed(4);
    for round in 0..2000 {
        let len = random.usize(..4000);
        let mut data: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
        // Lengths that lie a little: noise alone is one huge unit.
        for at in (0..data.len().saturating_sub(4)).step_by(random.usize(5..1500)) {
            data[at..at + 2].fill(0);
        }
        received(&unit(CODECS[round % 2], &[vec![], vec![0x67]], random.bool(), data));
    }
}

#[test]
fn nothing_to_decode_is_no_packet() {
    let sets = [vec![0x67, 1], vec![0x68, 1]];
    let only_sets = prefixed(&[vec![0x09, 0xF0], sets[0].clone(), sets[1].clone(), vec![], vec![0x0C, 0xFF]]);
    for data in [vec![], vec![0, 0], vec![0, 0, 0, 0], vec![0xFF; 4], only_sets] {
        let packets = Packets::new(&unit(VideoCodec::H264, &sets, true, data));
        assert!(packets.is_empty());
        assert_eq!(packets.iter().len(), 0);
    }
    let half_a_header = prefixed(&[vec![0x26]]);
    assert!(Packets::new(&unit(VideoCodec::H265, &sets, true, half_a_header)).is_empty());
}

#[test]
fn parameter_sets_that_do_not_fit_together_take_more_packets() {
    let mut random = fastrand::Rng::with_seed(5);
    for codec in CODECS {
        let header = if codec == VideoCodec::H264 { 1 } else { 2 };
        for (lens, expected) in [
            // Two of these fill an aggregation packet exactly.
            ([600, 1200 - header - 4 - 600, 1100], vec![By::Aggregate, By::Aggregate, By::Itself]),
            ([600, 1200 - header - 4 - 599, 1100], vec![By::Itself, By::Itself, By::Itself]),
            ([1200, 1201, 40], vec![By::Itself, By::Fragments(2), By::Itself]),
            ([10, 20, 5000], vec![By::Aggregate, By::Aggregate, By::Fragments(5)]),
        ] {
            let headers = if codec == VideoCodec::H264 { [[0x67, 1], [0x68, 1], [0x68, 2]] } else { H265_SETS };
            let sets: Vec<_> =
                lens.iter().zip(&headers).map(|(len, header)| nal_unit(header, *len, &mut random)).collect();
            let slice = nal_unit(slice_header(codec), 1200, &mut random);
            let received = received(&unit(codec, &sets, true, prefixed(&[&slice])));
            assert_eq!(received.iter().map(|(by, _)| *by).collect::<Vec<_>>(), [expected, vec![By::Itself]].concat());
            let restored: Vec<_> = received.into_iter().map(|(_, nal_unit)| nal_unit).collect();
            assert!(restored == [sets, vec![slice]].concat());
        }
    }
}

#[test]
fn only_key_frames_carry_parameter_sets_and_those_of_the_format() {
    let sets = [vec![0x67, 1], vec![0x68, 1]];
    let data = prefixed(&[vec![0x67, 2], vec![0x68, 2], vec![0x41, 3]]);
    assert_eq!(payloads(&unit(VideoCodec::H264, &sets, false, data.clone())), [[0x41, 3]]);
    let key = received(&unit(VideoCodec::H264, &sets, true, data)).into_iter().map(|(_, nal_unit)| nal_unit);
    assert_eq!(key.collect::<Vec<_>>(), [[0x67, 1], [0x68, 1], [0x41, 3]]);
}

#[test]
fn an_aggregation_packet_takes_the_highest_nri_and_the_lowest_layer() {
    let small = prefixed(&[vec![0x06, 1], vec![0x41, 2], vec![0xA1, 3]]);
    assert_eq!(payloads(&unit(VideoCodec::H264, &[], false, small))[0][0], 0xD8, "F, NRI 2, type 24");
    // LayerId 33 and TID 3, then LayerId 2 and TID 5.
    let small = prefixed(&[vec![0x03, 0x0B, 1], vec![0x02, 0x15, 1]]);
    assert_eq!(payloads(&unit(VideoCodec::H265, &[], false, small))[0][..2], [0x60, 0x13], "LayerId 2, TID 3");
}

#[test]
fn countless_tiny_slices_share_packets() {
    for codec in CODECS {
        let slices = vec![nal_unit(slice_header(codec), 3, &mut fastrand::Rng::with_seed(6)); 10_000];
        let unit = unit(codec, &[], false, prefixed(&slices));
        assert_eq!(Packets::new(&unit).len(), 42, "239 slices of 5 bytes in each");
        assert!(received(&unit).into_iter().map(|(_, nal_unit)| nal_unit).eq(slices));
    }
}

#[test]
fn packets_know_what_a_viewer_needs() {
    let picture = unit(VideoCodec::H264, &[], true, prefixed(&[vec![0x65; 5000]]));
    let picture = AccessUnit { pts: Ticks(7200), discontinuity: true, ..picture };
    let packets = Packets::new(&picture);
    let facts = (packets.track, packets.pts, packets.key_frame, packets.discontinuity, packets.received);
    assert_eq!(facts, (Track::Video, Ticks(7200), true, true, picture.received));
    assert_eq!(packets.len(), 5);
    assert!(packets.get(4).unwrap().marker);
    assert!(packets.get(5).is_none());
    assert!((5010..5500).contains(&packets.bytes()), "{} bytes", packets.bytes());
}

#[test]
fn sound_goes_out_as_it_came() {
    let sound = |len: usize| {
        let data: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0]).collect();
        AccessUnit { track: Track::Audio, ..unit(VideoCodec::H264, &[], false, data) }
    };
    for len in [1, 160, 480, MAX_PAYLOAD] {
        let unit = sound(len);
        let packets = Packets::new(&unit);
        assert_eq!(packets.len(), 1);
        assert_eq!(packets.get(0).unwrap().payload[..], unit.data);
    }
    let unit = sound(2500);
    let packets = Packets::new(&unit);
    assert_eq!(packets.iter().map(|packet| packet.samples_before).collect::<Vec<_>>(), [0, 1200, 2400]);
    assert!(packets.iter().all(|packet| !packet.marker));
    assert_eq!(packets.iter().flat_map(|packet| packet.payload.to_vec()).collect::<Vec<_>>(), unit.data);
    assert!(Packets::new(&sound(0)).is_empty());
}
