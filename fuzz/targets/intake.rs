//! Frames of a camera with any bytes at any time: decoding times grow, and a break begins at a key frame.
#![no_main]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use porthole::ingest::fuzzing::Intake;
use porthole::media::{AudioCodec, Ticks, Track};
use porthole_fuzz::{Bytes, format, unit};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let start = Instant::now() + Duration::from_secs(1_000_000);
    let (mut now, mut raw) = (start, HashMap::new());
    let mut intake = Intake::first();
    let mut last: HashMap<Track, Ticks> = HashMap::new();
    let mut in_force = None;
    let mut stream = format(bytes.codec(), Some(AudioCodec::Pcma), &mut bytes);
    while !bytes.is_empty() {
        // Each kind at most once in a session.
        assert!(intake.warnings() <= 8);
        match bytes.u8() % 8 {
            0 => intake.start_session(bytes.flag().then(|| stream.audio.clone()).flatten()),
            1 => {
                stream = format(bytes.codec(), Some(AudioCodec::Pcma), &mut bytes);
                intake.on_parameters(stream.video.clone());
            }
            2 => now += Duration::from_millis(bytes.u16().into()),
            // Frames of both streams may be handed on out of order.
            3 => now = now.checked_sub(Duration::from_millis(bytes.u8().into())).unwrap_or(now),
            4 => {
                let track = if bytes.flag() { Track::Audio } else { Track::Video };
                *raw.entry(track).or_insert(0_i64) += i64::from(bytes.i32());
            }
            _ => {
                let frame = unit(&stream, Ticks::ZERO, now, &mut bytes);
                let time = raw.entry(frame.track).or_insert(0_i64);
                *time += 3600;
                let Some(unit) = intake.take(frame.track, Ticks(*time), now, frame.data) else { continue };
                assert!(unit.dts <= unit.pts, "decoded at {:?}, shown at {:?}", unit.dts, unit.pts);
                assert!(!unit.discontinuity || (unit.key_frame && unit.track == Track::Video));
                // No case of wire times comes near the ends of 64 bits.
                assert!(unit.pts.0.abs() < i64::MAX / 2 && unit.dts.0.abs() < i64::MAX / 2);
                let before = last.insert(unit.track, unit.dts);
                assert!(before.is_none_or(|before| before < unit.dts), "{before:?}, then {:?}", unit.dts);
                assert!(unit.discontinuity || in_force.as_ref().is_none_or(|format| *format == unit.format));
                in_force = Some(unit.format);
            }
        }
    }
});
