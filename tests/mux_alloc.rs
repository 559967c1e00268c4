//! The muxer allocates nothing per access unit.
#![expect(clippy::disallowed_methods, reason = "when a unit arrived does not show in the packets")]

use std::rc::Rc;
use std::time::Instant;

use porthole::media::{AccessUnit, AudioCodec, AudioFormat, StreamFormat, Ticks, Track, VideoCodec, VideoFormat};
use porthole::mpegts::{Muxer, PSI_LEN};

#[test]
fn units_of_every_kind_are_written_without_allocating() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let format = format(codec);
        let slice = if codec == VideoCodec::H264 { 0x65 } else { 0x26 };
        let slices: Vec<u8> = [1, 1400, 20_000, 150_000].into_iter().flat_map(|len| prefixed(slice, len)).collect();
        let key = AccessUnit::video(&format, Ticks(900_000), true, slices, Instant::now());
        let reordered = AccessUnit { pts: Ticks(907_200), dts: Ticks(903_600), key_frame: false, ..key.clone() };
        let many = (0..10_000).flat_map(|_| prefixed(slice, 3)).collect();
        let many = AccessUnit { data: many, discontinuity: true, ..key.clone() };
        let sound = AccessUnit { track: Track::Audio, key_frame: false, data: vec![0xFF; 700], ..key.clone() };
        let mut muxer = Muxer::new(&format);
        let mut out = vec![0; 1_000_000];

        let mut written = 0;
        let spent = allocation_counter::measure(|| {
            written += muxer.write_psi(&mut out).unwrap();
            for unit in [&key, &reordered, &sound, &many] {
                written += muxer.len(unit);
                written += muxer.write(unit, &mut out).unwrap();
            }
            written += muxer.write(&key, &mut out[..PSI_LEN]).map_or_else(|full| full.needed, |_| 0);
        });

        assert!(written > 800_000, "{written} bytes");
        assert_eq!(spent.count_total, 0);
    }
    assert_eq!(
        allocation_counter::measure(|| drop(std::hint::black_box(vec![1]))).count_total,
        1,
        "the counter counts"
    );
}

fn prefixed(first: u8, len: u32) -> Vec<u8> {
    let len_bytes = len.to_be_bytes();
    len_bytes.into_iter().chain([first]).chain((1..len).map(|_| 0x55)).collect()
}

fn format(codec: VideoCodec) -> Rc<StreamFormat> {
    let first: &[u8] = if codec == VideoCodec::H264 { &[0x67, 0x68] } else { &[0x40, 0x42, 0x44] };
    let parameter_sets = first.iter().map(|first| Box::from([*first; 20])).collect();
    let video = VideoFormat { codec, parameter_sets, width: 1920, height: 1080, rfc6381: String::new() };
    let audio = AudioFormat { codec: AudioCodec::Aac, sample_rate: 48_000, channels: 2, rfc6381: String::new() };
    Rc::new(StreamFormat { video, audio: Some(audio) })
}
