//! A camera's NAL units through the muxer and back through the `mpeg2ts` reader: what was foretold, byte for byte.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use mpeg2ts::ts::{ReadTsPacket, TsPacket, TsPacketReader, TsPayload};
use porthole::media::{AccessUnit, AudioCodec, Ticks, Track, VideoCodec, nal};
use porthole::mpegts::{Full, Muxer, PACKET, PSI_LEN, carries_sound};
use porthole_fuzz::{Bytes, format, nal_type, unit, units_of};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let now = Instant::now();
    let audio = [None, Some(AudioCodec::Aac), Some(AudioCodec::Pcma)][usize::from(bytes.u8() % 3)];
    let mut stream = format(bytes.codec(), audio, &mut bytes);
    let mut muxer = Muxer::new(&stream);
    let mut ts = vec![0; PSI_LEN];
    assert_eq!(muxer.write_psi(&mut ts), Ok(PSI_LEN));
    let (mut expected, mut dts) = (Vec::new(), Ticks(900_000));
    while !bytes.is_empty() && expected.len() < 64 {
        if bytes.u8() % 16 == 0 {
            stream = format(bytes.codec(), audio, &mut bytes);
            muxer.set_format(&stream);
            let end = ts.len();
            ts.resize(end + PSI_LEN, 0);
            assert_eq!(muxer.write_psi(&mut ts[end..]), Ok(PSI_LEN));
        }
        dts += Ticks(i64::from(bytes.i32()).abs());
        let unit = unit(&stream, dts, now, &mut bytes);
        assert_eq!(nal::units(&unit.data).collect::<Vec<_>>(), units_of(&unit.data));

        let (end, needed) = (ts.len(), muxer.len(&unit));
        assert!(needed % PACKET == 0 && needed <= bound(&unit), "{needed} bytes for {}", unit.data.len());
        ts.resize(end + needed, 0xAA);
        if let Some(short) = needed.checked_sub(1) {
            assert_eq!(muxer.write(&unit, &mut ts[end..end + short]), Err(Full { needed }));
            assert!(ts[end..].iter().all(|byte| *byte == 0xAA), "written where it does not fit");
        }
        assert_eq!(muxer.write(&unit, &mut ts[end..]), Ok(needed));
        let elementary = elementary(&unit);
        assert_eq!(needed == 0, elementary.is_none());
        expected.extend(elementary.map(|data| (unit.track, wire(unit.pts), wire(unit.dts), data)));
    }
    assert!(read(&ts) == expected, "another stream came back");
});

/// The data itself, a start code in place of each length, and for every packet its header.
fn bound(unit: &AccessUnit) -> usize {
    let sets: usize = unit.format.video.parameter_sets.iter().map(|set| set.len() + 4).sum();
    ((unit.data.len() + sets + 64) / (PACKET - 4) + 2) * PACKET
}

/// What the elementary stream holds of this unit.
fn elementary(unit: &AccessUnit) -> Option<Vec<u8>> {
    if unit.track == Track::Audio {
        return (carries_sound(&unit.format) && !unit.data.is_empty()).then(|| unit.data.clone());
    }
    let codec = unit.format.video.codec;
    let (delimiter, left_out): (&[u8], _) = match codec {
        VideoCodec::H264 => (&[9, 0xF0], 7..=9),
        VideoCodec::H265 => (&[0x46, 1, 0x50], 32..=35),
    };
    let coded: Vec<&[u8]> =
        units_of(&unit.data).into_iter().filter(|unit| !left_out.contains(&nal_type(codec, unit))).collect();
    let sets = unit.format.video.parameter_sets.iter().map(|set| &**set).filter(|_| unit.key_frame);
    let all = std::iter::once(delimiter).chain(sets).chain(coded.iter().copied());
    (!coded.is_empty()).then(|| all.flat_map(|unit| [&[0, 0, 0, 1], unit].concat()).collect())
}

/// The wire has 33 bits.
fn wire(time: Ticks) -> u64 {
    time.0.rem_euclid(1 << 33).cast_unsigned()
}

fn read(ts: &[u8]) -> Vec<(Track, u64, u64, Vec<u8>)> {
    let mut units: Vec<(Track, u64, u64, Vec<u8>)> = Vec::new();
    let mut counters = [None; 0x2000];
    let mut reader = TsPacketReader::new(ts);
    while let Some(TsPacket { header, payload, .. }) = reader.read_ts_packet().expect("a sound packet") {
        let counter = &mut counters[usize::from(header.pid.as_u16())];
        let count = header.continuity_counter.as_u8();
        assert!(counter.replace(count).is_none_or(|before: u8| (before + 1) % 16 == count), "the continuity counter");
        let track = if header.pid.as_u16() == 0x101 { Track::Audio } else { Track::Video };
        match payload.expect("no packet without a payload") {
            TsPayload::PesStart(pes) => {
                let pts = pes.header.pts.expect("every unit has its time").as_u64();
                let dts = pes.header.dts.map_or(pts, |dts| dts.as_u64());
                units.push((track, pts, dts, pes.data.to_vec()));
            }
            TsPayload::PesContinuation(data) => {
                let (last, .., unit) = units.last_mut().expect("a continuation of something");
                assert_eq!(*last, track);
                unit.extend_from_slice(&data);
            }
            TsPayload::Pat(_) | TsPayload::Pmt(_) => {}
            other => panic!("{other:?}"),
        }
    }
    units
}
