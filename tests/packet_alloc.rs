//! What viewers by WebRTC make a gateway allocate: nothing for keeping the GOP, one block per RTP payload and one per picture.
#![expect(clippy::disallowed_methods, reason = "a test may read the clock")]

use std::rc::Rc;
use std::time::Instant;

use porthole::hub::{Hub, Limits};
use porthole::media::{AccessUnit, StreamFormat, Ticks, VideoCodec, VideoFormat};
use porthole::webrtc::Packets;

#[test]
fn a_warm_hub_keeps_the_gop_without_allocating() {
    let hub = Hub::with_gop(8 << 20);
    let (_, mut reader) = hub.subscribe_with_gop(Limits { units: 100, bytes: 8 << 20 });
    let format = format(VideoCodec::H264);
    for round in 0..6 {
        let gop: Vec<_> = (0..50).map(|n| Rc::new(picture(&format, n == 0, &[20_000]))).collect();
        let spent = allocation_counter::measure(|| {
            for unit in &gop {
                hub.publish(unit);
                assert!(reader.try_next().is_some());
            }
        });
        assert!(round < 2 || spent.count_total == 0, "{} allocations in round {round}", spent.count_total);
    }
    assert!(hub.gop_facts().bytes > 50 * 20_000);
}

#[test]
fn packets_cost_one_block_per_payload_and_one_for_their_list() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let format = format(codec);
        for slices in [&[700][..], &[1200], &[20, 900], &[30, 20_000], &[150_000], &[5000; 4]] {
            for key_frame in [false, true] {
                let unit = picture(&format, key_frame, slices);
                let mut payloads = 0;
                let spent = allocation_counter::measure(|| payloads = Packets::new(&unit).len());
                assert!(payloads > 0);
                assert_eq!(spent.count_total, payloads as u64 + 1, "{codec:?}, {slices:?}, key frame: {key_frame}");
            }
        }
    }
}

fn picture(format: &Rc<StreamFormat>, key_frame: bool, slices: &[u32]) -> AccessUnit {
    let first: u8 = if format.video.codec == VideoCodec::H264 { 0x65 } else { 0x26 };
    let slice = |len: &u32| len.to_be_bytes().into_iter().chain([first]).chain((1..*len).map(|_| 0x55));
    AccessUnit::video(format, Ticks::ZERO, key_frame, slices.iter().flat_map(slice).collect(), Instant::now())
}

fn format(codec: VideoCodec) -> Rc<StreamFormat> {
    let first: &[u8] = if codec == VideoCodec::H264 { &[0x67, 0x68] } else { &[0x40, 0x42, 0x44] };
    let parameter_sets = first.iter().map(|first| Box::from([*first; 20])).collect();
    let video = VideoFormat { codec, parameter_sets, width: 1920, height: 1080, rfc6381: String::new() };
    Rc::new(StreamFormat { video, audio: None })
}
