//! Real footage through the muxer, judged by ffmpeg, ffprobe and tshark: nothing to warn of, and what went in comes out.
//!
//! Needs those tools and vtest.avi (Debian: ffmpeg, tshark, opencv-doc); fails without them, unless `PORTHOLE_SKIP_TOOLS` is set.
#![expect(clippy::disallowed_methods, reason = "when a unit arrived does not show in the packets")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use porthole::media::{AccessUnit, AudioCodec, AudioFormat, StreamFormat, Ticks, Track, VideoCodec, VideoFormat, nal};
use porthole::mpegts::Muxer;

const FOOTAGE: &str = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";

#[test]
fn h264_high_with_b_frames_four_slices_and_sound() {
    let x264 = ["-c:v", "libx264", "-preset", "fast", "-x264-params", "bframes=3:slices=4:keyint=20"];
    judge("h264_b", VideoCodec::H264, &x264, true, 900_000);
}

#[test]
fn h264_without_b_frames_over_the_33_bit_wrap() {
    let x264 = ["-c:v", "libx264", "-preset", "fast", "-x264-params", "bframes=0:keyint=20"];
    judge("h264_wrap", VideoCodec::H264, &x264, true, (1 << 33) - 3 * Ticks::HZ);
}

#[test]
fn h265_with_open_gops_whose_key_frames_are_cra() {
    let x265 = ["-c:v", "libx265", "-preset", "fast", "-x265-params", "open-gop=1:keyint=20:log-level=error"];
    judge("h265_cra", VideoCodec::H265, &x265, false, 900_000);
}

/// Encodes 8 seconds, muxes them with times from `start` on, and compares.
fn judge(name: &str, codec: VideoCodec, encoder: &[&str], sound: bool, start: i64) {
    if std::env::var_os("PORTHOLE_SKIP_TOOLS").is_some() {
        return;
    }
    assert!(Path::new(FOOTAGE).exists(), "{FOOTAGE} is missing: apt install opencv-doc");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (mp4, ts) = (folder.join(format!("{name}.mp4")), folder.join(format!("{name}.ts")));
    let (mp4, ts) = (mp4.to_str().expect("a UTF-8 path"), ts.to_str().expect("a UTF-8 path"));

    // An MP4 sample is what ingest delivers: NAL units behind 4-byte lengths, parameter sets apart.
    let inputs =
        ["-v", "error", "-y", "-t", "8", "-i", FOOTAGE, "-f", "lavfi", "-t", "8", "-i", "sine=sample_rate=48000"];
    let output = ["-c:a", "aac", "-video_track_timescale", "90000", mp4];
    run("ffmpeg", &[&inputs[..], encoder, &output].concat());
    let adts = if sound {
        run("ffmpeg", &["-v", "error", "-i", mp4, "-map", "0:a", "-c", "copy", "-f", "adts", "-"])
    } else {
        Vec::new()
    };

    let format = format(codec, mp4, sound);
    let times = packets(mp4);
    let mut units = video_units(&format, mp4, &times, start);
    let cra = |unit: &AccessUnit| nal::units(&unit.data).any(|unit| codec == VideoCodec::H265 && unit[0] >> 1 == 21);
    assert_eq!(units.iter().any(cra), codec == VideoCodec::H265, "the encoder was asked for CRA");
    units.extend(audio_units(&format, &adts, start));
    units.sort_by_key(|unit| unit.dts);
    fs::write(ts, mux(&format, &units)).expect("room for a few megabytes");

    let warnings =
        Command::new("ffmpeg").args(["-v", "warning", "-i", ts, "-f", "null", "-"]).output().expect("ran before");
    assert_eq!(String::from_utf8_lossy(&warnings.stderr), "");
    let report = run("tshark", &["-o", "mpeg_sect.verify_crc:TRUE", "-r", ts, "-q", "-z", "expert"]);
    assert_eq!(String::from_utf8_lossy(&report).trim(), "");
    let relative = |packets: &[Packet]| -> Vec<(i64, i64)> {
        packets.iter().map(|packet| (packet.pts - packets[0].dts, packet.dts - packets[0].dts)).collect()
    };
    assert_eq!(relative(&packets(ts)), relative(&times));
    assert_eq!(pictures(ts), pictures(mp4));
    if sound {
        assert!(run("ffmpeg", &["-v", "error", "-i", ts, "-map", "0:a", "-c", "copy", "-f", "adts", "-"]) == adts);
    }
}

/// Every key frame starts with PAT and PMT, as a segment does.
fn mux(format: &StreamFormat, units: &[AccessUnit]) -> Vec<u8> {
    let mut muxer = Muxer::new(format);
    let mut ts = vec![0; 20_000_000];
    let mut at = 0;
    for unit in units {
        if unit.key_frame {
            at += muxer.write_psi(&mut ts[at..]).expect("room");
        }
        at += muxer.write(unit, &mut ts[at..]).expect("room");
    }
    ts.truncate(at);
    ts
}

fn video_units(format: &Rc<StreamFormat>, mp4: &str, times: &[Packet], start: i64) -> Vec<AccessUnit> {
    let file = fs::read(mp4).expect("ffmpeg wrote it");
    let unit = |packet: &Packet| {
        let data = file[packet.at..packet.at + packet.len].to_vec();
        let key = nal::units(&data).any(|unit| nal::kind(format.video.codec, unit) == nal::Kind::KeySlice);
        let unit = AccessUnit::video(format, Ticks(start + packet.dts), key, data, Instant::now());
        AccessUnit { pts: Ticks(start + packet.pts), ..unit }
    };
    times.iter().map(unit).collect()
}

/// ADTS frames of 1024 samples at 48 kHz, five to a unit.
fn audio_units(format: &Rc<StreamFormat>, mut adts: &[u8], start: i64) -> Vec<AccessUnit> {
    let mut frames = Vec::new();
    while let [_, _, _, high, middle, low, _, ..] = adts {
        let len = usize::from(high & 3) << 11 | usize::from(*middle) << 3 | usize::from(low >> 5);
        let (frame, rest) = adts.split_at(len);
        frames.push(frame);
        adts = rest;
    }
    let unit = |(at, frames): (i64, &[&[u8]])| {
        let video = AccessUnit::video(format, Ticks(start + at * 5 * 1920), false, frames.concat(), Instant::now());
        AccessUnit { track: Track::Audio, ..video }
    };
    (0..).zip(frames.chunks(5)).map(unit).collect()
}

/// The format, with the parameter sets that ffmpeg puts before the first picture.
fn format(codec: VideoCodec, mp4: &str, sound: bool) -> Rc<StreamFormat> {
    let container = if codec == VideoCodec::H264 { "h264" } else { "hevc" };
    let annex_b =
        run("ffmpeg", &["-v", "error", "-i", mp4, "-map", "0:v", "-c", "copy", "-frames:v", "1", "-f", container, "-"]);
    let starts: Vec<_> = (0..annex_b.len()).filter(|at| annex_b[*at..].starts_with(&[0, 0, 1])).collect();
    let ends =
        starts.iter().skip(1).map(|next| if annex_b[next - 1] == 0 { next - 1 } else { *next }).chain([annex_b.len()]);
    let units = starts.iter().zip(ends).map(|(start, end)| &annex_b[start + 3..end]);
    let parameter_sets: Vec<_> =
        units.filter(|unit| nal::kind(codec, unit) == nal::Kind::ParameterSet).map(Box::from).collect();
    assert!(parameter_sets.len() >= 2);
    let video = VideoFormat { codec, parameter_sets, width: 768, height: 576, rfc6381: String::new() };
    let (codec, rfc6381) = (AudioCodec::Aac, "mp4a.40.2".into());
    let audio = sound.then_some(AudioFormat { codec, sample_rate: 48_000, channels: 1, rfc6381 });
    Rc::new(StreamFormat { video, audio })
}

/// A video packet as ffprobe reports it; times in 90 kHz.
#[derive(Debug)]
struct Packet {
    pts: i64,
    dts: i64,
    len: usize,
    at: usize,
}

fn packets(file: &str) -> Vec<Packet> {
    let asked =
        ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,dts,size,pos", "-of", "csv=p=0", file];
    let lines = String::from_utf8(run("ffprobe", &asked)).expect("ffprobe prints numbers");
    let packet = |line: &str| {
        let mut fields = line.split(',').map(|field| field.parse::<i64>().expect("ffprobe prints numbers"));
        let mut next = || fields.next().expect("four fields");
        let (pts, dts) = (next(), next());
        let mut size = || usize::try_from(next()).expect("sizes and positions are positive");
        Packet { pts, dts, len: size(), at: size() }
    };
    lines.lines().filter(|line| !line.is_empty()).map(packet).collect()
}

/// A checksum of each decoded picture.
fn pictures(file: &str) -> Vec<String> {
    let report =
        run("ffmpeg", &["-v", "error", "-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let report = String::from_utf8(report).expect("framemd5 is text");
    let sums: Vec<_> = report
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|sum| sum.trim().to_owned())
        .collect();
    assert!(sums.len() > 70, "{} pictures", sums.len());
    sums
}

/// What the tool prints; its failure is the test's.
fn run(tool: &str, arguments: &[&str]) -> Vec<u8> {
    let output = match Command::new(tool).args(arguments).output() {
        Ok(output) => output,
        Err(error) => panic!("{tool}: {error}; install it, or set PORTHOLE_SKIP_TOOLS to go without this test"),
    };
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
