//! Mux runs on a real tmpfs, with a camera that misbehaves.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::super::ring::RingLimits;
use super::super::scratch::Scratch;
use super::super::slot::{Draft, Slot};
use super::super::{Folder, Prefix};
use super::*;
use crate::media::{AudioCodec, AudioFormat, StreamId, VideoCodec, VideoFormat};

/// A run, the camera that feeds it, and an owner that holds the newest segments.
struct Rig {
    writer: Writer,
    format: Rc<StreamFormat>,
    start: Instant,
    hold: usize,
    log: Rc<RefCell<Log>>,
    /// Last: it goes when nobody holds a file in it.
    scratch: Scratch,
}

#[derive(Default)]
struct Log {
    segments: Vec<Segment>,
    dropped: usize,
    faults: Vec<&'static str>,
    counters: Counters,
}

fn format(parameter_set: u8, audio: Option<AudioFormat>) -> Rc<StreamFormat> {
    let video = VideoFormat {
        codec: VideoCodec::H264,
        parameter_sets: vec![[0x67, parameter_set].into(), [0x68, parameter_set].into()],
        width: 64,
        height: 64,
        rfc6381: "avc1.64001F".into(),
    };
    Rc::new(StreamFormat { video, audio })
}

fn sound(codec: AudioCodec) -> Option<AudioFormat> {
    Some(AudioFormat { codec, sample_rate: 8000, channels: 1, rfc6381: String::new() })
}

fn rig(scratch: Scratch, segment_bytes: usize, limits: RingLimits) -> Rig {
    let folder = Rc::new(Folder::create(scratch.path(), StreamId::parse("cam").unwrap()).unwrap());
    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    let start = Instant::now();
    let ring = Ring::new(folder, Prefix::new(0), limits);
    let date_of = Box::new(move |at: Instant| {
        let since = i64::try_from(at.duration_since(start).as_millis()).unwrap();
        Some(WallTime(1_795_413_900_000 + since))
    });
    let writer = Writer::new(Ticks::from_secs(1), segment_bytes, ring, Sequence::new(100, start), date_of);
    Rig { scratch, writer, format: format(1, None), start, hold: 4, log: Rc::default() }
}

const ROOMY: RingLimits = RingLimits { files: 20, bytes: 64 << 20 };

impl Rig {
    /// One picture of `len` bytes at `millis`, in media time and on the clock.
    fn picture(&mut self, millis: u64, key: bool, len: usize, discontinuity: bool) {
        let mut data = vec![if key { 0x65 } else { 0x41 }; len + 4];
        data[..4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
        let (dts, at) =
            (Ticks::from_millis(i64::try_from(millis).unwrap()), self.start + Duration::from_millis(millis));
        let mut unit = AccessUnit::video(&self.format, dts, key, data, at);
        unit.discontinuity = discontinuity;
        self.deliver(unit);
    }

    /// 160 bytes of sound at `millis`.
    fn sound(&mut self, millis: u64) {
        let dts = Ticks::from_millis(i64::try_from(millis).unwrap());
        let at = self.start + Duration::from_millis(millis);
        let unit = AccessUnit::video(&self.format, dts, false, vec![0xD5; 160], at);
        self.deliver(AccessUnit { track: Track::Audio, ..unit });
    }

    fn deliver(&mut self, unit: AccessUnit) {
        let discontinuity = unit.discontinuity;
        let (log, hold) = (Rc::clone(&self.log), self.hold);
        self.writer.handle(&Delivery { unit: Rc::new(unit), discontinuity }, &mut |event, counters| {
            let mut log = log.borrow_mut();
            log.counters = *counters;
            match event {
                Event::Finished(segment) => log.segments.push(segment),
                Event::Tight if log.dropped + 1 < log.segments.len() => log.drop_oldest(),
                Event::Tight => {}
                Event::Fault(fault) => log.faults.push(fault.code()),
            }
            while log.segments.len() - log.dropped > hold {
                log.drop_oldest();
            }
        });
    }

    /// 25 pictures a second of `len` bytes with a key frame every second, from second `from` on.
    fn seconds(&mut self, from: u64, count: u64, len: usize) {
        for n in 0..count * 25 {
            self.picture(from * 1000 + n * 40, n % 25 == 0, len, false);
        }
    }

    fn files(&self) -> usize {
        Scratch::names(&self.scratch.path().join("cam")).len()
    }

    fn segments(&self) -> Vec<(u64, i64, bool)> {
        let log = self.log.borrow();
        log.segments.iter().map(|s| (s.sequence, s.duration.0 / 90, s.discontinuity)).collect()
    }

    fn faults(&self) -> Vec<&'static str> {
        self.log.borrow().faults.clone()
    }
}

impl Log {
    /// Lets go of the oldest slot: an empty one takes its place in the log.
    fn drop_oldest(&mut self) {
        let mut replacement = self.segments[self.dropped].clone();
        replacement.slot = EMPTY.with(Arc::clone);
        self.segments[self.dropped] = replacement;
        self.dropped += 1;
    }
}

thread_local! {
    static EMPTY: Arc<Slot> = {
        let scratch = Scratch::new("empty-slot");
        Arc::new(Draft::new(scratch.open("a")).finish().unwrap())
    };
}

#[test]
fn segments_are_whole_transport_streams_with_running_numbers() {
    let mut rig = rig(Scratch::new("writer"), 4 << 20, ROOMY);
    rig.seconds(0, 5, 1000);
    assert_eq!(rig.segments(), [(100, 1000, false), (101, 1000, false), (102, 1000, false), (103, 1000, false)]);
    assert_eq!(rig.faults(), Vec::<&str>::new());
    let log = rig.log.borrow();
    for segment in &log.segments[log.dropped..] {
        let bytes = segment.slot.bytes();
        assert_eq!(bytes.len() % 188, 0);
        assert!(bytes.chunks(188).all(|packet| packet[0] == 0x47));
        assert_eq!([bytes[1] & 0x1F, bytes[2]], [0, 0], "a PAT comes first");
        assert_eq!(std::fs::read(rig.scratch.path().join("cam").join(&segment.file_name)).unwrap(), bytes);
    }
    assert_eq!(log.segments[1].date.unwrap().to_string(), "2026-11-23T06:05:01.000Z");
    assert_eq!(log.counters.access_units, 101);
    assert_eq!(log.counters.segments_created, 4);
}

#[test]
fn a_discontinuity_ends_the_segment_and_marks_the_next() {
    let mut rig = rig(Scratch::new("discontinuity"), 4 << 20, ROOMY);
    rig.seconds(0, 2, 1000);
    rig.format = format(2, sound(AudioCodec::Aac));
    rig.picture(5000, true, 1000, true);
    for n in 1..30 {
        rig.picture(5000 + n * 40, n == 25, 1000, false);
    }
    assert_eq!(rig.segments(), [(100, 1000, false), (101, 1000, false), (102, 1000, true)]);
    let log = rig.log.borrow();
    assert_eq!(log.segments[2].date.unwrap().to_string(), "2026-11-23T06:05:05.000Z");
    let names_aac = |n: usize| log.segments[n].slot.bytes()[..376].windows(3).any(|w| w == [0x0F, 0xE1, 0x01]);
    assert_eq!([names_aac(1), names_aac(2)], [false, true], "the PMT follows the format");
    // The new parameter sets are in the segment, the old ones are not.
    let bytes = log.segments[2].slot.bytes();
    assert!(
        bytes.windows(6).any(|w| w == [0, 0, 0, 1, 0x67, 2]) && !bytes.windows(6).any(|w| w == [0, 0, 0, 1, 0x67, 1])
    );
}

#[test]
fn g711_leaves_segments_as_they_are_without_sound() {
    let run = |name: &str, audio: Option<AudioFormat>| {
        let mut rig = rig(Scratch::new(name), 4 << 20, ROOMY);
        let sounds = audio.is_some();
        rig.format = format(1, audio);
        for n in 0..76 {
            rig.picture(n * 40, n % 25 == 0, 1000, false);
            if sounds {
                rig.sound(n * 40);
                rig.sound(n * 40 + 20);
            }
        }
        let log = rig.log.borrow();
        let bytes: Vec<_> = log.segments.iter().map(|segment| segment.slot.bytes().to_vec()).collect();
        (rig.segments(), rig.faults(), bytes, log.counters.access_units)
    };
    let silent = run("silent", None);
    assert_eq!(silent.0, [(100, 1000, false), (101, 1000, false), (102, 1000, false)]);
    for (name, codec) in [("pcma", AudioCodec::Pcma), ("pcmu", AudioCodec::Pcmu)] {
        assert!(run(name, sound(codec)) == silent, "{codec:?}");
    }
    assert!(run("aac", sound(AudioCodec::Aac)) != silent);
}

#[test]
fn a_break_in_the_first_gop_publishes_nothing_and_reuses_the_slot() {
    let mut rig = rig(Scratch::new("early-break"), 4 << 20, ROOMY);
    rig.picture(0, true, 1000, false);
    rig.picture(40, false, 1000, false);
    rig.picture(9000, true, 1000, true);
    for n in 1..26 {
        rig.picture(9000 + n * 40, n == 25, 1000, false);
    }
    assert_eq!(rig.segments(), [(100, 1000, true)]);
    assert_eq!(rig.files(), 2);
}

#[test]
fn a_segment_that_reaches_its_limit_is_cut_and_counted() {
    let mut rig = rig(Scratch::new("too-large"), 200_000, ROOMY);
    rig.seconds(0, 2, 1000);
    rig.seconds(2, 2, 20_000);
    assert_eq!(rig.segments()[..2], [(100, 1000, false), (101, 1000, false)]);
    assert!(rig.segments()[2..].iter().all(|(_, millis, broken)| *millis < 400 && !broken), "{:?}", rig.segments());
    assert!(rig.faults().len() >= 4 && rig.faults().iter().all(|code| *code == "segment_too_large"));
}

#[test]
fn a_picture_larger_than_a_segment_is_dropped_and_the_stream_goes_on() {
    let mut rig = rig(Scratch::new("huge-picture"), 200_000, ROOMY);
    rig.seconds(0, 2, 1000);
    rig.picture(2000, true, 300_000, false);
    rig.picture(2040, false, 1000, false);
    rig.seconds(3, 2, 1000);
    assert_eq!(rig.faults(), ["segment_too_large"]);
    assert_eq!(rig.segments(), [(100, 1000, false), (101, 1000, false), (102, 1000, true)]);
}

#[test]
fn the_number_of_files_stays_in_its_bound_with_readers_that_never_let_go() {
    let mut rig = rig(Scratch::new("readers"), 4 << 20, RingLimits { files: 6, bytes: 64 << 20 });
    rig.hold = 5;
    let mut stuck = Vec::new();
    for second in 0..20 {
        rig.seconds(second, 1, 1000);
        stuck.extend(rig.log.borrow().segments.last().filter(|_| second % 5 == 0).map(|s| s.slot.clone()));
        assert!(rig.files() <= 6, "{} files", rig.files());
    }
    assert!(stuck.iter().filter(|slot| slot.revoked()).count() >= 2);
    assert!(rig.faults().iter().all(|code| *code == "slow_viewer_cut_off"));
    let log = rig.log.borrow();
    assert!(log.segments[log.dropped..].iter().all(|segment| !segment.slot.revoked()), "the owner lost a segment");
    assert_eq!(log.segments.len(), 19);
}

#[test]
fn a_full_tmpfs_costs_the_oldest_segments_first_and_the_stream_goes_on() {
    let Some(scratch) = Scratch::small("writer-full", 1 << 20) else { return };
    let ballast = scratch.path().join("ballast");
    let mut rig = rig(scratch, 4 << 20, ROOMY);
    rig.seconds(0, 8, 4000);
    assert_eq!(rig.faults(), Vec::<&str>::new());
    // Somebody else takes what is free: the stream lives on what its older segments give back.
    let free = (1 << 20) - usize::try_from(rig.log.borrow().counters.tmpfs_bytes).unwrap();
    std::fs::write(&ballast, vec![0; free - 256 * 1024]).unwrap();
    rig.seconds(8, 4, 8000);
    assert_eq!(rig.faults(), Vec::<&str>::new());
    assert_eq!(rig.segments().len(), 11);
    // Nothing at all is left: pictures are dropped and counted, at each key frame once.
    std::fs::write(&ballast, vec![0; 840 * 1024]).unwrap_err();
    rig.seconds(12, 3, 40_000);
    assert!(!rig.faults().is_empty() && rig.faults().iter().all(|code| *code == "tmpfs_full"), "{:?}", rig.faults());
    let before = rig.segments().len();
    // There is room again: it goes on, with a discontinuity.
    std::fs::remove_file(&ballast).unwrap();
    rig.seconds(15, 3, 4000);
    assert_eq!(rig.segments()[before..].iter().map(|s| (s.1, s.2)).collect::<Vec<_>>(), [(1000, true), (1000, false)]);
}

#[test]
fn the_share_of_the_stream_evicts_the_oldest_segments() {
    let mut rig = rig(Scratch::new("share"), 4 << 20, RingLimits { files: 20, bytes: 600_000 });
    rig.hold = 19;
    for second in 0..20 {
        rig.seconds(second, 1, 4000);
        assert!(rig.log.borrow().counters.tmpfs_bytes <= 600_000);
    }
    assert_eq!((rig.segments().len(), rig.faults()), (19, Vec::new()));
    assert_eq!(rig.files(), 5);
}

#[test]
fn viewers_that_hold_the_whole_share_are_cut_off_and_the_stream_goes_on() {
    let mut rig = rig(Scratch::new("hogs"), 4 << 20, RingLimits { files: 20, bytes: 600_000 });
    rig.hold = 19;
    rig.seconds(0, 4, 4000);
    let mut hogs: Vec<_> = rig.log.borrow().segments.iter().map(|segment| Arc::clone(&segment.slot)).collect();
    rig.seconds(4, 4, 8000);
    assert!(rig.faults().contains(&"slow_viewer_cut_off") && rig.faults().contains(&"tmpfs_share_full"));
    assert!(hogs[..2].iter().all(|slot| slot.revoked()));
    // The gate lets go of what is revoked.
    hogs.retain(|slot| !slot.revoked());
    let (segments, faults) = (rig.segments().len(), rig.faults().len());
    rig.seconds(8, 5, 4000);
    assert!(rig.segments().len() >= segments + 3, "{:?} {:?}", rig.segments(), rig.faults());
    assert_eq!(rig.faults().len(), faults);
}

#[test]
fn a_folder_that_vanishes_costs_one_segment_and_no_number() {
    let mut rig = rig(Scratch::new("vanish"), 4 << 20, ROOMY);
    rig.seconds(0, 2, 1000);
    std::fs::remove_dir_all(rig.scratch.path().join("cam")).unwrap();
    rig.seconds(2, 4, 1000);
    assert_eq!(rig.segments(), [(100, 1000, false), (101, 1000, true), (102, 1000, false), (103, 1000, false)]);
    assert_eq!(rig.faults(), ["files"]);
}

#[test]
fn timestamps_that_break_all_the_time_do_not_overtake_the_clock() {
    let mut rig = rig(Scratch::new("mad-clock"), 4 << 20, ROOMY);
    rig.seconds(0, 2, 1000);
    for n in 0..250_u64 {
        rig.picture(2000 + n * 40, true, 1000, true);
    }
    let newest = rig.segments().last().unwrap().0;
    assert!(newest <= 100 + 120 + 1, "{newest} after 12 s");
    assert!(rig.faults().contains(&"too_many_segments"));
    let numbers: Vec<_> = rig.segments().iter().map(|s| s.0).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}
