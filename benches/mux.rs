//! Muxing beside a memcpy of the same bytes and the `mpeg2ts` crate's own writer, in one run: `cargo bench --bench mux`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(clippy::cast_precision_loss, reason = "sizes and counts of a table, far below 2^52")]

use std::hint::black_box;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mpeg2ts::es::StreamId;
use mpeg2ts::pes::PesHeader;
use mpeg2ts::time::{ClockReference, Timestamp};
use mpeg2ts::ts::payload::{Bytes, Pes};
use mpeg2ts::ts::{
    AdaptationField, ContinuityCounter, Pid, TransportScramblingControl, TsHeader, TsPacket, TsPacketWriter, TsPayload,
    WriteTsPacket,
};
use porthole::media::{AccessUnit, StreamFormat, Ticks, VideoCodec, VideoFormat};
use porthole::mpegts::{Muxer, PACKET};

/// Muxing may take this many times as long as copying the same bytes.
const TARGET: f64 = 2.0;
const ROUNDS: usize = 301;
const P_FRAME: usize = 20_000;
const IDR: usize = 150_000;

fn main() -> ExitCode {
    println!(
        "{:<34} {:>9} {:>7} {:>9} {:>7} {:>8} {:>9} {:>7}",
        "", "ns/packet", "us/MB", "memcpy", "ratio", "allocs", "crate", "ratio"
    );
    println!("{:<34} {:>9} {:>7} {:>9} {:>7} {:>8} {:>9} {:>7}", "", "", "", "us/MB", "", "per unit", "us/MB", "");
    let gop: Vec<usize> = std::iter::once(IDR).chain(std::iter::repeat_n(P_FRAME, 49)).collect();
    // Slots in turn: what the muxer writes to was last touched a whole ring ago, as in a gateway.
    let held = [
        row("2 s at 4 Mbit/s, slots in turn", &gop, 8),
        row("20 KB pictures, slots in turn", &[P_FRAME; 50], 8),
        row("150 KB key frames, slots in turn", &[IDR; 8], 8),
        row("1400 B pictures, slots in turn", &[1400; 800], 8),
    ];
    // No gateway has its pictures and its one slot in the processor's cache; here the fixed cost per picture shows.
    row("2 s at 4 Mbit/s, one hot slot", &gop, 1);
    row("1400 B pictures, one hot slot", &[1400; 100], 1);
    println!(
        "ratio: time of the muxer to a memcpy of the same bytes (target {TARGET} for slots in turn), and of the crate's writer to the muxer"
    );
    if held.iter().all(|held| *held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures and prints one row; whether it holds what is promised.
fn row(name: &str, sizes: &[usize], slots: usize) -> bool {
    let format = format();
    let units: Vec<_> = sizes.iter().enumerate().map(|(at, size)| unit(&format, at, *size)).collect();
    let mut muxer = Muxer::new(&format);
    let total: usize = units.iter().map(|unit| muxer.len(unit)).sum();
    // Written once, so that no page of a slot is touched for the first time while the clock runs.
    let mut slots: Vec<Vec<u8>> = vec![vec![0xAA; total]; slots];

    let (mut mux, mut copy, mut writer) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let count = slots.len();
        mux.push(timed(&mut slots[2 * round % count], |out| mux_all(&mut muxer, &units, out)));
        copy.push(timed(&mut slots[(2 * round + 1) % count], |out| copy_all(&units, out)));
        if round % 10 == 0 {
            writer.push(timed(&mut slots[2 * round % count], |out| write_all_with_crate(&units, out)));
        }
    }
    let allocations = allocation_counter::measure(|| mux_all(&mut muxer, &units, &mut slots[0])).count_total;

    let (mux, copy, writer) = (median(mux), median(copy), median(writer));
    let megabytes = total as f64 / 1e6;
    println!(
        "{name:<34} {:>9.1} {:>7.1} {:>9.1} {:>7.2} {:>8} {:>9.1} {:>7.1}",
        mux * 1e9 / (total / PACKET) as f64,
        mux * 1e6 / megabytes,
        copy * 1e6 / megabytes,
        mux / copy,
        allocations as f64 / units.len() as f64,
        writer * 1e6 / megabytes,
        writer / mux,
    );
    mux / copy <= TARGET && allocations == 0
}

fn mux_all(muxer: &mut Muxer, units: &[AccessUnit], mut out: &mut [u8]) {
    for unit in units {
        let written = muxer.write(black_box(unit), out).expect("the slot was measured with `len`");
        out = &mut out[written..];
    }
}

fn copy_all(units: &[AccessUnit], mut out: &mut [u8]) {
    for unit in units {
        let (now, later) = out.split_at_mut(unit.data.len());
        now.copy_from_slice(black_box(&unit.data));
        out = later;
    }
}

/// The same pictures through the crate's packet writer, without delimiters, parameter sets and start codes.
fn write_all_with_crate(units: &[AccessUnit], out: &mut [u8]) {
    let mut writer = TsPacketWriter::new(out);
    let mut counter = ContinuityCounter::new();
    for unit in units {
        let header = PesHeader {
            stream_id: StreamId::new(StreamId::VIDEO_MIN),
            priority: false,
            data_alignment_indicator: true,
            copyright: false,
            original_or_copy: false,
            pts: Some(Timestamp::new(unit.pts.0.cast_unsigned()).expect("33 bits")),
            dts: None,
            escr: None,
        };
        let field = AdaptationField {
            discontinuity_indicator: false,
            random_access_indicator: unit.key_frame,
            es_priority_indicator: false,
            pcr: Some(ClockReference::new(unit.dts.0.cast_unsigned() * 300).expect("33 bits")),
            opcr: None,
            splice_countdown: None,
            transport_private_data: Vec::new(),
            extension: None,
        };
        let (first, rest) = unit.data.split_at(unit.data.len().min(162));
        let data = Bytes::new(first).expect("fits");
        let first = (Some(field), TsPayload::PesStart(Pes { header, pes_packet_len: 0, data }));
        let rest = rest.chunks(184).map(|chunk| (None, TsPayload::PesContinuation(Bytes::new(chunk).expect("fits"))));
        for (adaptation_field, payload) in std::iter::once(first).chain(rest) {
            let header = TsHeader {
                transport_error_indicator: false,
                transport_priority: false,
                pid: Pid::new(0x100).expect("13 bits"),
                transport_scrambling_control: TransportScramblingControl::NotScrambled,
                continuity_counter: counter,
            };
            counter.increment();
            writer.write_ts_packet(&TsPacket { header, adaptation_field, payload: Some(payload) }).expect("room");
        }
    }
}

fn timed(out: &mut [u8], work: impl FnOnce(&mut [u8])) -> Duration {
    let start = Instant::now();
    work(out);
    let spent = start.elapsed();
    black_box(out);
    spent
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn format() -> Rc<StreamFormat> {
    let parameter_sets = vec![Box::from([0x67; 25]), Box::from([0x68; 6])];
    let video =
        VideoFormat { codec: VideoCodec::H264, parameter_sets, width: 1920, height: 1080, rfc6381: String::new() };
    Rc::new(StreamFormat { video, audio: None })
}

/// Picture `at` of a stream of 25 per second: one slice, a key frame where it is as large as one.
fn unit(format: &Rc<StreamFormat>, at: usize, size: usize) -> AccessUnit {
    let key_frame = size == IDR;
    let mut data = u32::try_from(size - 4).expect("a picture below 4 GB").to_be_bytes().to_vec();
    data.push(if key_frame { 0x65 } else { 0x41 });
    data.resize_with(size, || fastrand::u8(..));
    let dts = Ticks(900_000 + 3600 * i64::try_from(at).expect("a small count"));
    AccessUnit::video(format, dts, key_frame, data, Instant::now())
}
