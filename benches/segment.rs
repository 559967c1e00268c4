//! From the hub into tmpfs slots, with everything a segment costs, beside a memcpy of the same bytes: `cargo bench --bench segment`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it fails")]

use std::cell::Cell;
use std::hint::black_box;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use porthole::hls::task::{Settings, run};
use porthole::hls::{Prefix, Store};
use porthole::hub::{Hub, Limits};
use porthole::media::{AccessUnit, StreamFormat, StreamId, Ticks, VideoCodec, VideoFormat};

const SEGMENTS: u32 = 200;
/// Segments until every slot has been written once.
const WARM_UP: u32 = 20;

fn main() {
    println!(
        "{:<42} {:>12} {:>12} {:>7} {:>12}",
        "1 s segments of 4 Mbit/s", "us/segment", "memcpy us", "ratio", "worst us"
    );
    row("always the same length", 0);
    row("lengths within 5 %", 5);
    row("lengths within 30 %", 30);
}

fn row(name: &str, percent: u32) {
    let format = format();
    let start = Instant::now();
    let mut random = fastrand::Rng::with_seed(1);
    let output_dir = PathBuf::from(format!("/dev/shm/porthole-bench-{}", std::process::id()));
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
    let mut poll = || assert!(run.as_mut().poll(&mut context).is_pending());
    poll();
    let mut copies: Vec<Vec<u8>> = vec![vec![1; 1_000_000]; 8];
    let (mut ours, mut memcpy) = (Vec::new(), Vec::new());
    for segment in 0..SEGMENTS {
        let scale = 100 - percent + random.u32(0..=2 * percent);
        let units: Vec<_> = (0..25).map(|n| picture(&format, segment * 25 + n, scale, start)).collect();
        let clock = Instant::now();
        for unit in &units {
            hub.publish(unit);
            poll();
        }
        ours.push(clock.elapsed());
        let mut out = &mut copies[usize::try_from(segment % 8).unwrap()][..];
        let clock = Instant::now();
        for unit in &units {
            let (now, later) = out.split_at_mut(unit.data.len());
            now.copy_from_slice(black_box(&unit.data));
            out = later;
        }
        memcpy.push(clock.elapsed());
    }
    let warm = usize::try_from(WARM_UP).unwrap();
    let (ours, worst) = median(&ours[warm..]);
    let (memcpy, _) = median(&memcpy[warm..]);
    println!("{name:<42} {ours:>12.1} {memcpy:>12.1} {:>7.2} {worst:>12.1}", ours / memcpy);
    std::fs::remove_dir_all(output_dir).unwrap();
}

fn median(times: &[Duration]) -> (f64, f64) {
    let mut micros: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    micros.sort_by(f64::total_cmp);
    (micros[micros.len() / 2], micros[micros.len() - 1])
}

fn picture(format: &Rc<StreamFormat>, n: u32, percent: u32, start: Instant) -> Rc<AccessUnit> {
    let (key_frame, len) = if n.is_multiple_of(25) { (true, 100_000_u32) } else { (false, 16_600) };
    let len = len * percent / 100;
    let mut data = len.to_be_bytes().to_vec();
    data.push(if key_frame { 0x65 } else { 0x41 });
    data.resize_with(usize::try_from(len).unwrap() + 4, || fastrand::u8(..));
    let at = start + Duration::from_millis(u64::from(n) * 40);
    Rc::new(AccessUnit::video(format, Ticks(i64::from(n) * 3600), key_frame, data, at))
}

fn format() -> Rc<StreamFormat> {
    let parameter_sets = vec![Box::from([0x67; 25]), Box::from([0x68; 6])];
    let video =
        VideoFormat { codec: VideoCodec::H264, parameter_sets, width: 1920, height: 1080, rfc6381: String::new() };
    Rc::new(StreamFormat { video, audio: None })
}
