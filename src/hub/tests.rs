//! The hub's current GOP, and readers that come in the middle of it.

use std::time::Instant;

use super::*;
use crate::media::{StreamFormat, Ticks, VideoCodec, VideoFormat};

const LIMITS: Limits = Limits { units: 100, bytes: 1 << 20 };

/// Publishes one unit per letter: capitals are key frames, `.` is sound; each told apart by its first byte.
fn publish(hub: &Hub, units: &str) {
    for name in units.bytes() {
        hub.publish(&unit(name, 100));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
fn unit(name: u8, len: usize) -> Rc<AccessUnit> {
    let video = VideoFormat {
        codec: VideoCodec::H264,
        parameter_sets: Vec::new(),
        width: 0,
        height: 0,
        rfc6381: String::new(),
    };
    let format = Rc::new(StreamFormat { video, audio: None });
    let mut unit = AccessUnit::video(&format, Ticks::ZERO, name.is_ascii_uppercase(), vec![name; len], Instant::now());
    if name == b'.' {
        unit.track = Track::Audio;
    }
    Rc::new(unit)
}

fn names(units: &[Rc<AccessUnit>]) -> String {
    units.iter().map(|unit| char::from(unit.data[0])).collect()
}

/// What waits in the queue; `!` before a discontinuity.
fn waiting(reader: &mut Reader) -> String {
    let deliveries = std::iter::from_fn(|| reader.try_next());
    deliveries.map(|d| format!("{}{}", if d.discontinuity { "!" } else { "" }, names(&[d.unit]))).collect()
}

#[test]
fn a_late_reader_gets_the_current_gop_and_what_follows_without_gap_or_overlap() {
    let hub = Hub::with_gop(1 << 20);
    publish(&hub, "xAbcDe.f");
    let (gop, mut reader) = hub.subscribe_with_gop(LIMITS);
    assert_eq!(names(&gop), "Def", "video since the last key frame");
    publish(&hub, "g.hIj");
    assert_eq!(waiting(&mut reader), "g.hIj");
    assert_eq!(names(&hub.subscribe_with_gop(LIMITS).0), "Ij");
}

#[test]
fn the_units_are_shared_not_copied() {
    let hub = Hub::with_gop(1 << 20);
    let unit = unit(b'A', 100);
    hub.publish(&unit);
    let (gop, _reader) = hub.subscribe_with_gop(LIMITS);
    assert!(Rc::ptr_eq(&gop[0], &unit));
}

#[test]
fn without_a_gop_the_reader_starts_with_a_key_frame() {
    for hub in [Hub::new(), Hub::with_gop(0), Hub::with_gop(1 << 20)] {
        publish(&hub, "x");
        let (gop, mut reader) = hub.subscribe_with_gop(LIMITS);
        assert_eq!(names(&gop), "");
        publish(&hub, "y.Ab");
        assert_eq!(waiting(&mut reader), "Ab");
    }
}

#[test]
fn a_gop_over_the_bound_is_gone_until_the_next_key_frame() {
    let hub = Hub::with_gop(3000);
    publish(&hub, "A");
    let one = hub.gop_facts().bytes;
    assert!((150..400).contains(&one), "{one} bytes for a unit of 100 bytes of data");
    hub.publish(&unit(b'b', 3000));
    assert_eq!(hub.gop_facts(), GopFacts { bytes: 0, overflows: 1 });
    let (gop, mut reader) = hub.subscribe_with_gop(LIMITS);
    assert_eq!(names(&gop), "");
    publish(&hub, "cDe");
    assert_eq!(waiting(&mut reader), "De");
    assert_eq!(hub.gop_facts(), GopFacts { bytes: 2 * one, overflows: 1 });
}

#[test]
fn memory_counts_as_allocated_and_tiny_pictures_count_too() {
    let hub = Hub::with_gop(10_000);
    let mut roomy = (*unit(b'A', 100)).clone();
    roomy.data.reserve_exact(9_900);
    hub.publish(&Rc::new(roomy));
    assert_eq!(hub.gop_facts(), GopFacts { bytes: 0, overflows: 1 }, "10,000 bytes are held for 100");
    publish(&hub, "A");
    for _ in 0..10_000 {
        hub.publish(&unit(b'b', 1));
        assert!(hub.subscribe_with_gop(LIMITS).0.len() <= 10_000 / 90);
    }
    assert_eq!(hub.gop_facts().overflows, 2);
}

#[test]
fn a_discontinuity_leaves_only_the_new_run() {
    let hub = Hub::with_gop(1 << 20);
    publish(&hub, "Abc");
    let (_, mut reader) = hub.subscribe_with_gop(LIMITS);
    hub.publish(&Rc::new(AccessUnit { discontinuity: true, ..(*unit(b'D', 100)).clone() }));
    publish(&hub, "e");
    assert_eq!(names(&hub.subscribe_with_gop(LIMITS).0), "De");
    assert_eq!(waiting(&mut reader), "!De");
}

#[test]
fn a_reader_that_continues_a_gop_skips_like_any_other_when_full() {
    let hub = Hub::with_gop(1 << 20);
    publish(&hub, "A");
    let (_, mut reader) = hub.subscribe_with_gop(Limits { units: 2, bytes: 1 << 20 });
    publish(&hub, "bcdEf");
    assert_eq!(waiting(&mut reader), "!Ef");
    assert_eq!(reader.counters(), QueueCounters { dropped_units: 3, skips: 1, waiting_bytes: 0 });
}

#[test]
fn the_bound_may_change_while_pictures_come() {
    let hub = Hub::new();
    publish(&hub, "Ab");
    assert_eq!(hub.gop_facts(), GopFacts::default());
    hub.keep_gop(1 << 20);
    publish(&hub, "cDe");
    assert_eq!(names(&hub.subscribe_with_gop(LIMITS).0), "De");
    hub.keep_gop(1);
    publish(&hub, "f");
    assert_eq!(hub.gop_facts(), GopFacts { bytes: 0, overflows: 1 });
    hub.keep_gop(0);
    publish(&hub, "G");
    assert_eq!(hub.gop_facts(), GopFacts::default());
}
