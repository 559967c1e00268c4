//! From the hub to the slot, nothing is allocated per access unit; only finishing a segment allocates.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::disallowed_methods, reason = "a test may read the clock")]

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use porthole::hls::task::{Settings, run};
use porthole::hls::{Prefix, Store};
use porthole::hub::{Hub, Limits};
use porthole::media::{
    AccessUnit, AudioCodec, AudioFormat, StreamFormat, StreamId, Ticks, Track, VideoCodec, VideoFormat,
};

#[test]
fn a_warm_run_allocates_only_when_a_segment_is_finished() {
    let format = format();
    let start = Instant::now();
    let units: Vec<_> = (0..30 * 25).map(|n| [picture(&format, n, start), sound(&format, n, start)]).collect();
    let output_dir = std::path::PathBuf::from(format!("/dev/shm/porthole-alloc-{}", std::process::id()));
    let settings = Settings {
        id: StreamId::parse("cam").unwrap(),
        output_dir: output_dir.clone(),
        prefix: Prefix::new(7),
        segment_duration: Ticks::from_secs(1),
        segment_count: 3,
        cleanup_threshold: 20,
        segment_bytes: 8 << 20,
        stream_bytes: Rc::new(Cell::new(64 << 20)),
        first_sequence: 1000,
        wall: || None,
    };
    let hub = Hub::new();
    let mut run = pin!(run(hub.subscribe(Limits { units: 100, bytes: 8 << 20 }), settings, Store::new(), |_| {}));
    let mut context = Context::from_waker(Waker::noop());
    let mut poll = || assert!((0..4).all(|_| run.as_mut().poll(&mut context).is_pending()));

    poll();
    for (n, pair) in units.iter().enumerate() {
        let spent = allocation_counter::measure(|| {
            for unit in pair {
                hub.publish(unit);
                poll();
            }
        });
        if n >= 10 * 25 && n % 25 != 0 {
            assert_eq!(spent.count_total, 0, "picture {n}");
        }
        if n >= 10 * 25 && n % 25 == 0 {
            assert!((1..60).contains(&spent.count_total), "{} for a finished segment", spent.count_total);
            assert_eq!(spent.bytes_current, 0, "a finished segment leaves memory behind");
        }
    }
    std::fs::remove_dir_all(output_dir).unwrap();
}

/// 4 Mbit/s at 25 pictures a second, with a key frame of 100 KB each second.
fn picture(format: &Rc<StreamFormat>, n: u32, start: Instant) -> Rc<AccessUnit> {
    let (key_frame, len) = if n.is_multiple_of(25) { (true, 100_000_u32) } else { (false, 16_600) };
    let mut data = len.to_be_bytes().to_vec();
    data.push(if key_frame { 0x65 } else { 0x41 });
    data.resize(usize::try_from(len).unwrap() + 4, 0x55);
    let at = start + Duration::from_millis(u64::from(n) * 40);
    Rc::new(AccessUnit::video(format, Ticks(i64::from(n) * 3600), key_frame, data, at))
}

fn sound(format: &Rc<StreamFormat>, n: u32, start: Instant) -> Rc<AccessUnit> {
    let unit = AccessUnit::video(format, Ticks(i64::from(n) * 3600), false, vec![0xFF; 400], start);
    Rc::new(AccessUnit { track: Track::Audio, ..unit })
}

fn format() -> Rc<StreamFormat> {
    let video = VideoFormat {
        codec: VideoCodec::H264,
        parameter_sets: vec![[0x67; 20].into(), [0x68; 8].into()],
        width: 1920,
        height: 1080,
        rfc6381: "avc1.640028".into(),
    };
    let (codec, rfc6381) = (AudioCodec::Aac, "mp4a.40.2".into());
    let audio = AudioFormat { codec, sample_rate: 48_000, channels: 1, rfc6381 };
    Rc::new(StreamFormat { video, audio: Some(audio) })
}
