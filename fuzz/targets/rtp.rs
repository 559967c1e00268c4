//! A camera's NAL units cut into RTP payloads and put together again by the unit tests' strict receiver.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
// The receiver names it by `crate::media`.
use porthole::media;
use porthole::media::{AudioCodec, Ticks, Track, VideoCodec};
use porthole::webrtc::{MAX_PAYLOAD, Packets};
use porthole_fuzz::{Bytes, format, nal_type, unit, units_of};

#[path = "../../src/webrtc/depacketise.rs"]
#[allow(dead_code, reason = "how units travelled is the unit tests' question")]
mod depacketise;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let stream = format(bytes.codec(), Some(AudioCodec::Pcma), &mut bytes);
    let unit = unit(&stream, Ticks(900_000), Instant::now(), &mut bytes);
    let packets = Packets::new(&unit);

    let payloads: Vec<&[u8]> = packets.iter().map(|packet| &packet.payload[..]).collect();
    assert!(payloads.iter().all(|payload| (1..=MAX_PAYLOAD).contains(&payload.len())));
    assert_eq!((packets.len(), packets.is_empty()), (payloads.len(), payloads.is_empty()));
    assert!(packets.get(payloads.len()).is_none());
    for (index, packet) in packets.iter().enumerate() {
        assert_eq!(packet.marker, unit.track == Track::Video && index + 1 == payloads.len());
    }
    if unit.track == Track::Audio {
        return assert_eq!(payloads.concat(), unit.data);
    }
    let codec = stream.video.codec;
    let (header, kinds): (_, &[_]) = match codec {
        VideoCodec::H264 => (1, &[1..=6, 10..=11, 13..=23]),
        VideoCodec::H265 => (2, &[0..=31, 36..=37, 39..=47]),
    };
    let goes_out =
        |unit: &&[u8]| unit.len() >= header && kinds.iter().any(|kind| kind.contains(&nal_type(codec, unit)));
    let coded: Vec<&[u8]> = units_of(&unit.data).into_iter().filter(goes_out).collect();
    let sets = stream.video.parameter_sets.iter().map(|set| &**set).filter(|_| unit.key_frame && !coded.is_empty());
    let expected: Vec<&[u8]> = sets.chain(coded.iter().copied()).collect();
    let received = depacketise::nal_units(codec, &payloads);
    assert!(received.iter().map(|(_, unit)| &unit[..]).eq(expected.iter().copied()), "another picture came back");
    // However small the slices are, the packets stay few. The worst is a slice of a byte more than a payload holds beside one
    // that does not fit to its rest: three packets.
    let sent: usize = expected.iter().map(|unit| unit.len() + 4).sum();
    assert!(payloads.len() <= 3 * (sent / (MAX_PAYLOAD - 4)) + 3, "{} packets for {sent} bytes", payloads.len());
    assert!(packets.bytes() >= payloads.iter().map(|payload| payload.len()).sum());
});
