//! What the muxer writes, read back by the `mpeg2ts` reader; and a dump of a tiny stream, byte by byte.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Instant;

use mpeg2ts::es::StreamType;
use mpeg2ts::ts::payload::Pmt;
use mpeg2ts::ts::{AdaptationField, ReadTsPacket, TsPacketReader, TsPayload};

use super::*;
use crate::media::{AudioFormat, VideoFormat};

const H264_SETS: [&[u8]; 2] = [&[0x67, 0x64, 0, 0x1F], &[0x68, 0xEE]];
const H265_SETS: [&[u8]; 3] = [&[0x40, 1, 0x0C], &[0x42, 1, 1], &[0x44, 1]];

fn format(codec: VideoCodec, audio: bool) -> Rc<StreamFormat> {
    let sets: &[&[u8]] = match codec {
        VideoCodec::H264 => &H264_SETS,
        VideoCodec::H265 => &H265_SETS,
    };
    let parameter_sets = sets.iter().map(|set| Box::from(*set)).collect();
    let audio = audio.then(|| AudioFormat {
        codec: AudioCodec::Aac,
        sample_rate: 48_000,
        channels: 2,
        rfc6381: "mp4a.40.2".into(),
    });
    Rc::new(StreamFormat {
        video: VideoFormat { codec, parameter_sets, width: 1920, height: 1080, rfc6381: String::new() },
        audio,
    })
}

/// A NAL unit of `len` bytes that starts with `first` and counts up.
fn nal_unit(first: u8, len: usize) -> Vec<u8> {
    std::iter::once(first).chain((1..=u8::MAX).cycle()).take(len).collect()
}

fn prefixed<T: AsRef<[u8]>>(units: &[T]) -> Vec<u8> {
    let bytes = |unit: &T| [&u32::try_from(unit.as_ref().len()).unwrap().to_be_bytes()[..], unit.as_ref()].concat();
    units.iter().flat_map(bytes).collect()
}

#[expect(clippy::disallowed_methods, reason = "when a unit arrived does not show in the packets")]
fn video<T: AsRef<[u8]>>(format: &Rc<StreamFormat>, dts: i64, key_frame: bool, units: &[T]) -> AccessUnit {
    AccessUnit::video(format, Ticks(dts), key_frame, prefixed(units), Instant::now())
}

fn audio(format: &Rc<StreamFormat>, pts: i64, data: Vec<u8>) -> AccessUnit {
    AccessUnit { track: Track::Audio, data, ..video(format, pts, false, &[[]; 0]) }
}

/// PSI and `units` in one piece; every `write` into a buffer of exactly the foretold length.
fn mux(muxer: &mut Muxer, units: &[AccessUnit]) -> Vec<u8> {
    let mut ts = vec![0; PSI_LEN];
    assert_eq!(muxer.write_psi(&mut ts), Ok(PSI_LEN));
    for unit in units {
        let start = ts.len();
        ts.resize(start + muxer.len(unit), 0xAA);
        assert_eq!(muxer.write(unit, &mut ts[start..]), Ok(ts.len() - start));
    }
    ts
}

/// A PES packet as the `mpeg2ts` reader sees it.
#[derive(Debug)]
struct Pes {
    pid: u16,
    pts: u64,
    dts: Option<u64>,
    said_len: u16,
    field: Option<AdaptationField>,
    data: Vec<u8>,
}

/// Reads a stream back, checking each packet's continuity counter and adaptation field length on the way.
fn read(ts: &[u8]) -> (Vec<Pmt>, Vec<Pes>) {
    let (mut pmts, mut units, mut counters) = (Vec::new(), Vec::<Pes>::new(), HashMap::new());
    for packet in ts.chunks(PACKET) {
        match packet[3] & 0x30 {
            0x10 => {}
            0x30 => assert!(packet[4] <= 182, "adaptation field of {} bytes beside a payload", packet[4]),
            other => panic!("adaptation field control {other:#04x}"),
        }
    }
    let mut reader = TsPacketReader::new(ts);
    while let Some(packet) = reader.read_ts_packet().unwrap() {
        let pid = packet.header.pid.as_u16();
        let counter = packet.header.continuity_counter;
        if let Some(mut last) = counters.insert(pid, counter) {
            last.increment();
            assert_eq!(counter, last, "continuity of {pid:#x}");
        }
        match packet.payload.unwrap() {
            TsPayload::Pmt(pmt) => pmts.push(pmt),
            TsPayload::PesStart(pes) => units.push(Pes {
                pid,
                pts: pes.header.pts.unwrap().as_u64(),
                dts: pes.header.dts.map(|dts| dts.as_u64()),
                said_len: pes.pes_packet_len,
                field: packet.adaptation_field,
                data: pes.data.to_vec(),
            }),
            TsPayload::PesContinuation(bytes) => {
                units.iter_mut().rfind(|unit| unit.pid == pid).unwrap().data.extend_from_slice(&bytes);
            }
            _ => {}
        }
    }
    (pmts, units)
}

/// The NAL units of an Annex B stream with 4-byte start codes whose units hold no start code.
fn annex_b(data: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<_> = (0..data.len()).filter(|at| data[*at..].starts_with(&START_CODE)).collect();
    assert_eq!(starts.first(), Some(&0));
    let ends = starts.iter().copied().skip(1).chain([data.len()]);
    starts.iter().zip(ends).map(|(start, end)| data[start + 4..end].to_vec()).collect()
}

#[test]
fn a_tiny_stream_is_these_bytes() {
    let h264 = format(VideoCodec::H264, true);
    let key = video(&h264, 900_000, true, &[nal_unit(0x06, 5), nal_unit(0x65, 200)]);
    let picture =
        AccessUnit { pts: Ticks(907_200), ..video(&h264, 903_600, false, &[nal_unit(0x41, 120), nal_unit(0x41, 203)]) };
    let sound = audio(&h264, 900_000, nal_unit(0xFF, 30));
    let h265 = format(VideoCodec::H265, false);
    let cra = AccessUnit { discontinuity: true, ..video(&h265, (1 << 33) + 90_000, true, &[nal_unit(0x2A, 40)]) };

    let mut muxer = Muxer::new(&h264);
    let mut ts = mux(&mut muxer, &[key, sound, picture]);
    muxer.set_format(&h265);
    ts.extend(mux(&mut muxer, &[cra]));

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mpegts/golden.txt");
    let dump = dump(&ts);
    if std::env::var_os("PORTHOLE_BLESS").is_some() {
        std::fs::write(file, &dump).unwrap();
    }
    assert!(dump == include_str!("golden.txt"), "not {file} (PORTHOLE_BLESS=1 rewrites it):\n{dump}");
}

/// Header, adaptation field and payload of each packet, as hexadecimal; `ff*9` is nine bytes of it.
fn dump(ts: &[u8]) -> String {
    let mut text = String::new();
    for packet in ts.chunks(PACKET) {
        let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
        let parts = [("packet", &packet[..4]), ("  field", &packet[4..4 + field]), ("  data", &packet[4 + field..])];
        for (name, bytes) in parts.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            text += name;
            for run in bytes.chunk_by(|a, b| a == b) {
                match run.len() {
                    1..=4 => run.iter().for_each(|byte| write!(text, " {byte:02x}").unwrap()),
                    count => write!(text, " {:02x}*{count}", run[0]).unwrap(),
                }
            }
            text.push('\n');
        }
    }
    text
}

#[test]
fn every_nal_unit_comes_back_in_order_at_any_size() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        // H.265: a CRA picture, which is a key frame that is no IDR.
        let (key, slice, delimiter, first_set): (_, _, &[u8], _) = match codec {
            VideoCodec::H264 => (0x65, 0x41, &[0x09, 0xF0], 0x67),
            VideoCodec::H265 => (21 << 1, 1 << 1, &[0x46, 1, 0x50], 33 << 1),
        };
        let format = format(codec, false);
        let sets: Vec<_> = format.video.parameter_sets.iter().map(|set| set.to_vec()).collect();
        let mut muxer = Muxer::new(&format);
        for size in 1..2000 {
            // The key frame still has its own delimiter and a parameter set inside.
            let kept = [nal_unit(key, size), nal_unit(key, 7)];
            let inside = [&[delimiter.to_vec(), nal_unit(first_set, 9)], &kept[..]].concat();
            let slices: Vec<_> = [size, size / 2 + 1, 1, 184].map(|len| nal_unit(slice, len)).into();
            let first = video(&format, 900_000, true, &inside);
            let second = AccessUnit { pts: Ticks(910_800), ..video(&format, 903_600, false, &slices) };

            let (_, units) = read(&mux(&mut muxer, &[first, second]));

            assert_eq!(annex_b(&units[0].data), [&[delimiter.to_vec()], &sets[..], &kept[..]].concat());
            assert_eq!(annex_b(&units[1].data), [&[delimiter.to_vec()], &slices[..]].concat());
            assert_eq!((units[0].pts, units[0].dts), (900_000, None));
            assert_eq!((units[1].pts, units[1].dts), (910_800, Some(903_600)));
            let field = |unit: &Pes| {
                let field = unit.field.clone().unwrap();
                (field.random_access_indicator, field.discontinuity_indicator, field.pcr.unwrap().as_u64())
            };
            assert_eq!(field(&units[0]), (true, false, 891_000 * 300));
            assert_eq!(field(&units[1]), (false, false, 894_600 * 300));
            assert_eq!([units[0].said_len, units[1].said_len], [0, 0]);
        }
    }
}

#[test]
fn audio_comes_back_identical_at_any_size() {
    let format = format(VideoCodec::H264, true);
    let mut muxer = Muxer::new(&format);
    for size in (1..2000).chain([65_526, 65_527]) {
        let frames = nal_unit(0xFF, size);
        let (_, units) = read(&mux(&mut muxer, &[audio(&format, 900_000, frames.clone())]));
        assert_eq!(units[0].data, frames);
        assert_eq!(usize::from(units[0].said_len), 8 + size);
        assert_eq!((units[0].pid, units[0].pts, units[0].dts), (0x101, 900_000, None));
        assert!(units[0].field.is_none() || !units[0].field.as_ref().unwrap().random_access_indicator);
    }
}

#[test]
fn audio_above_64_kib_goes_out_whole_with_an_open_length() {
    let format = format(VideoCodec::H264, true);
    let frames = nal_unit(0xFF, 200_000);
    let (_, units) = read(&mux(&mut Muxer::new(&format), &[audio(&format, 900_000, frames.clone())]));
    assert_eq!((units[0].said_len, &units[0].data), (0, &frames));
}

#[test]
fn times_wrap_at_33_bits_and_below_zero() {
    let format = format(VideoCodec::H264, false);
    let at = |dts| AccessUnit { pts: Ticks(dts + 3600), ..video(&format, dts, false, &[[0x41]]) };
    let units = [(1 << 33) - 3600, 1 << 33, (1 << 33) + 9000, -1, i64::MIN].map(at);
    let (_, units) = read(&mux(&mut Muxer::new(&format), &units));
    let times = |unit: &Pes| (unit.pts, unit.dts.unwrap(), unit.field.as_ref().unwrap().pcr.unwrap().as_u64() / 300);
    assert_eq!(times(&units[0]), (0, 8_589_930_992, 8_589_921_992));
    assert_eq!(times(&units[1]), (3600, 0, 8_589_925_592));
    assert_eq!(times(&units[2]), (12_600, 9000, 0));
    assert_eq!(times(&units[3]), (3599, 8_589_934_591, 8_589_925_591));
    assert_eq!(times(&units[4]), (3600, 0, 0), "the clock saturates before it is masked");
}

#[test]
fn a_discontinuity_is_flagged_once_and_counters_run_on() {
    let (h264, h265) = (format(VideoCodec::H264, true), format(VideoCodec::H265, false));
    let mut muxer = Muxer::new(&h264);
    let before = [video(&h264, 0, true, &[nal_unit(0x65, 300)]), audio(&h264, 0, nal_unit(0xFF, 9))];
    let mut ts = mux(&mut muxer, &before);
    muxer.set_format(&h264);
    let same = AccessUnit { discontinuity: true, ..video(&h264, 5, true, &[nal_unit(0x65, 999)]) };
    ts.extend(mux(&mut muxer, &[same, video(&h264, 9, false, &[nal_unit(0x41, 9)])]));
    muxer.set_format(&h265);
    let other = AccessUnit { discontinuity: true, ..video(&h265, 1, true, &[nal_unit(0x26, 50)]) };
    ts.extend(mux(&mut muxer, &[other]));

    let (pmts, units) = read(&ts);

    let flags: Vec<_> =
        units.iter().map(|unit| unit.field.as_ref().is_some_and(|field| field.discontinuity_indicator)).collect();
    assert_eq!(flags, [false, false, true, false, true]);
    let said = |pmt: &Pmt| {
        let streams: Vec<_> = pmt.es_info.iter().map(|es| (es.stream_type, es.elementary_pid.as_u16())).collect();
        (pmt.version_number.as_u8(), pmt.pcr_pid.unwrap().as_u16(), streams)
    };
    let with_sound = vec![(StreamType::H264, 0x100), (StreamType::AdtsAac, 0x101)];
    assert_eq!(said(&pmts[0]), (0, 0x100, with_sound.clone()));
    assert_eq!(said(&pmts[1]), (0, 0x100, with_sound), "the same PMT keeps its version");
    assert_eq!(said(&pmts[2]), (1, 0x100, vec![(StreamType::H265, 0x100)]));
}

#[test]
fn g711_is_neither_announced_nor_written() {
    let silent = format(VideoCodec::H264, false);
    let picture = video(&silent, 0, true, &[nal_unit(0x65, 300)]);
    let expected = mux(&mut Muxer::new(&silent), std::slice::from_ref(&picture));
    for codec in [AudioCodec::Pcmu, AudioCodec::Pcma] {
        let g711 = AudioFormat { codec, sample_rate: 8000, channels: 1, rfc6381: String::new() };
        let format = Rc::new(StreamFormat { audio: Some(g711), ..(*silent).clone() });
        let sound = audio(&format, 0, vec![0xD5; 160]);
        let mut muxer = Muxer::new(&format);
        assert_eq!((muxer.len(&sound), muxer.write(&sound, &mut [])), (0, Ok(0)));
        let units = [AccessUnit { format: Rc::clone(&format), ..picture.clone() }, sound];
        assert!(mux(&mut muxer, &units) == expected, "{codec:?}");
        muxer.set_format(&silent);
        let (pmts, _) = read(&mux(&mut muxer, &[]));
        assert_eq!(pmts[0].version_number.as_u8(), 0, "the PMT says the same with and without");
    }
}

#[test]
fn a_short_buffer_is_refused_untouched() {
    let format = format(VideoCodec::H264, false);
    let unit = video(&format, 0, true, &[nal_unit(0x65, 500)]);
    let (mut refused, mut fresh) = (Muxer::new(&format), Muxer::new(&format));
    for len in 0..3 * PACKET {
        let mut out = vec![0xAA; len];
        assert_eq!(refused.write(&unit, &mut out), Err(Full { needed: 564 }));
        assert!(out.iter().all(|byte| *byte == 0xAA));
    }
    assert_eq!(refused.write_psi(&mut [0; PSI_LEN - 1]), Err(Full { needed: 376 }));
    assert_eq!(mux(&mut refused, std::slice::from_ref(&unit)), mux(&mut fresh, &[unit]), "no counter has moved");
}

#[test]
fn nothing_behind_the_packets_is_touched() {
    let format = format(VideoCodec::H264, false);
    let mut out = vec![0xAA; 4 * PACKET];
    let written = Muxer::new(&format).write(&video(&format, 0, true, &[nal_unit(0x65, 500)]), &mut out);
    assert_eq!(written, Ok(564));
    assert_eq!(out[564..], [0xAA; PACKET]);
}

#[test]
fn units_without_content_write_nothing() {
    let format = format(VideoCodec::H264, true);
    let raw = |data: &[u8]| AccessUnit { data: data.to_vec(), ..video(&format, 0, true, &[[]; 0]) };
    let mut muxer = Muxer::new(&format);
    for unit in [
        raw(&[]),
        raw(&[0, 0, 0]),
        raw(&[0, 0, 0, 0, 0, 0, 0, 0]),
        raw(&[0, 0, 0, 2, 0x09, 0xF0, 0, 0, 0, 1, 0x67]),
        audio(&format, 0, Vec::new()),
    ] {
        assert_eq!((muxer.len(&unit), muxer.write(&unit, &mut [])), (0, Ok(0)));
    }
}

#[test]
fn hostile_lengths_neither_panic_nor_reach_outside() {
    let format = format(VideoCodec::H265, false);
    let mut muxer = Muxer::new(&format);
    let mut random = fastrand::Rng::with_seed(188);
    for _ in 0..2000 {
        let mut data = vec![0; random.usize(..600)];
        data.fill_with(|| random.u8(..4) / 3);
        let unit = AccessUnit { data, ..video(&format, random.i64(..), random.bool(), &[[]; 0]) };
        let kept: Vec<_> = coded_units(&unit).map(<[u8]>::to_vec).collect();
        let (_, units) = read(&mux(&mut muxer, std::slice::from_ref(&unit)));
        let expected: Vec<u8> = kept.iter().flat_map(|kept| [&START_CODE, &kept[..]].concat()).collect();
        assert!(units.first().map_or(&[][..], |unit| &unit.data).ends_with(&expected));
    }
    let lying = AccessUnit { data: vec![0xFF, 0xFF, 0xFF, 0xFF, 0x02, 1, 2], ..video(&format, 0, false, &[[]; 0]) };
    let (_, units) = read(&mux(&mut muxer, &[lying]));
    assert_eq!(annex_b(&units[0].data)[1], [0x02, 1, 2], "what is there goes out");
}

#[test]
fn a_picture_of_5_mb_goes_out_whole() {
    let format = format(VideoCodec::H264, false);
    let slice = nal_unit(0x65, 5_000_000);
    let (_, units) = read(&mux(&mut Muxer::new(&format), &[video(&format, 0, true, &[&slice])]));
    assert!(units[0].data.ends_with(&slice));
    assert_eq!(units.len(), 1);
}
