//! Cutting access units into RTP payloads beside a memcpy of the same bytes, in one run: `cargo bench --bench packetise`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(clippy::cast_precision_loss, reason = "sizes and counts of a table, far below 2^52")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use porthole::media::{AccessUnit, StreamFormat, Ticks, VideoCodec, VideoFormat};
use porthole::webrtc::Packets;

/// Cutting may take this many times as long as copying the same bytes: it allocates each payload, and frees the oldest.
const TARGET: f64 = 4.0;
const ROUNDS: usize = 301;
const P_FRAME: usize = 20_000;
const IDR: usize = 150_000;
/// Units whose packets are kept, as a stream keeps those of its current GOP.
const HELD: usize = 50;

fn main() -> ExitCode {
    println!(
        "{:<38} {:>10} {:>7} {:>9} {:>7} {:>8} {:>8} {:>7}",
        "", "ns/payload", "us/MB", "memcpy", "ratio", "payloads", "allocs", "held"
    );
    println!(
        "{:<38} {:>10} {:>7} {:>9} {:>7} {:>8} {:>8} {:>7}",
        "", "", "", "us/MB", "", "per unit", "per unit", "x bytes"
    );
    let gop: Vec<usize> = std::iter::once(IDR).chain(std::iter::repeat_n(P_FRAME, 49)).collect();
    let held = [
        row("H.264, 2 s at 4 Mbit/s", VideoCodec::H264, &gop, 1),
        row("H.265, 2 s at 4 Mbit/s", VideoCodec::H265, &gop, 1),
        row("H.264, 2 s at 4 Mbit/s, 4 slices each", VideoCodec::H264, &gop, 4),
        row("H.264, 1000 B pictures", VideoCodec::H264, &[1000; 800], 1),
        row("H.264, 1000 B pictures, 8 slices each", VideoCodec::H264, &[1000; 800], 8),
    ];
    println!(
        "ratio: time of cutting to a memcpy of the same bytes (target {TARGET}); held: memory of the packets to the bytes"
    );
    if held[0] && held[1] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures and prints one row; whether it holds what is promised.
fn row(name: &str, codec: VideoCodec, sizes: &[usize], slices: usize) -> bool {
    let format = format(codec);
    let units: Vec<_> = sizes.iter().enumerate().map(|(at, size)| unit(&format, at, *size, slices)).collect();
    let total: usize = units.iter().map(|unit| unit.data.len()).sum();
    let payloads: usize = units.iter().map(|unit| Packets::new(unit).len()).sum();
    let mut kept = VecDeque::with_capacity(HELD + 1);
    let mut copied = vec![0xAA; total];

    let (mut cut, mut copy) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        cut.push(timed(|| cut_all(&units, &mut kept)));
        copy.push(timed(|| copy_all(&units, &mut copied)));
    }
    let allocations = allocation_counter::measure(|| cut_all(&units, &mut kept)).count_total;
    let bytes: usize = units.iter().map(|unit| Packets::new(unit).bytes()).sum();

    let (cut, copy) = (median(cut), median(copy));
    let (megabytes, count) = (total as f64 / 1e6, units.len() as f64);
    println!(
        "{name:<38} {:>10.1} {:>7.1} {:>9.1} {:>7.2} {:>8.1} {:>8.1} {:>7.2}",
        cut * 1e9 / payloads as f64,
        cut * 1e6 / megabytes,
        copy * 1e6 / megabytes,
        cut / copy,
        payloads as f64 / count,
        allocations as f64 / count,
        bytes as f64 / total as f64,
    );
    cut / copy <= TARGET && allocations == (payloads + units.len()) as u64
}

/// Cuts each unit and lets go of the oldest one kept.
fn cut_all(units: &[AccessUnit], kept: &mut VecDeque<Packets>) {
    for unit in units {
        kept.push_back(Packets::new(black_box(unit)));
        if kept.len() > HELD {
            kept.pop_front();
        }
    }
    black_box(kept);
}

fn copy_all(units: &[AccessUnit], out: &mut [u8]) {
    let mut rest = &mut *out;
    for unit in units {
        let (now, later) = rest.split_at_mut(unit.data.len());
        now.copy_from_slice(black_box(&unit.data));
        rest = later;
    }
    black_box(out);
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn format(codec: VideoCodec) -> Rc<StreamFormat> {
    let parameter_sets = match codec {
        VideoCodec::H264 => vec![Box::from([0x67; 25]), Box::from([0x68; 6])],
        VideoCodec::H265 => vec![Box::from([0x40; 24]), Box::from([0x42; 40]), Box::from([0x44; 7])],
    };
    let video = VideoFormat { codec, parameter_sets, width: 1920, height: 1080, rfc6381: String::new() };
    Rc::new(StreamFormat { video, audio: None })
}

/// Picture `at` of a stream of 25 per second, in equal slices; a key frame where it is as large as one.
fn unit(format: &Rc<StreamFormat>, at: usize, size: usize, slices: usize) -> AccessUnit {
    let key_frame = size == IDR;
    let first = match (format.video.codec, key_frame) {
        (VideoCodec::H264, true) => 0x65,
        (VideoCodec::H264, false) => 0x41,
        (VideoCodec::H265, true) => 0x26,
        (VideoCodec::H265, false) => 0x02,
    };
    let len = size / slices;
    let mut data = Vec::with_capacity(size);
    for _ in 0..slices {
        data.extend(u32::try_from(len - 4).expect("a slice below 4 GB").to_be_bytes());
        data.push(first);
        data.extend(std::iter::repeat_with(|| fastrand::u8(..)).take(len - 5));
    }
    let dts = Ticks(900_000 + 3600 * i64::try_from(at).expect("a small count"));
    AccessUnit::video(format, dts, key_frame, data, Instant::now())
}
