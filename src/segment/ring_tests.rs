//! Rings on a real tmpfs.

use super::super::scratch::Scratch;
use super::super::slot::STEP;
use super::*;
use crate::media::StreamId;

const ROOMY: RingLimits = RingLimits { files: 20, bytes: 64 << 20 };

fn ring(scratch: &Scratch, limits: RingLimits) -> Ring {
    let folder = Folder::create(scratch.path(), StreamId::parse("cam").unwrap()).unwrap();
    Ring::new(Rc::new(folder), Prefix::new(0), limits)
}

fn segment(ring: &mut Ring, sequence: u64, contents: &[u8]) -> (Option<Fault>, Arc<Slot>) {
    let cut_off = ring.start(sequence).unwrap();
    ring.reserve(contents.len()).unwrap();
    ring.space()[..contents.len()].copy_from_slice(contents);
    ring.advance(contents.len());
    (cut_off, ring.finish(sequence).unwrap().1)
}

fn names(scratch: &Scratch) -> Vec<String> {
    Scratch::names(&scratch.path().join("cam"))
}

#[test]
fn a_segment_is_hidden_until_it_is_finished() {
    let scratch = Scratch::new("hidden");
    let mut ring = ring(&scratch, ROOMY);
    ring.start(7).unwrap();
    assert_eq!(names(&scratch), [".000000_main_seg7.ts.part"]);
    ring.reserve(5).unwrap();
    ring.space()[..5].copy_from_slice(b"hello");
    ring.advance(5);
    let (name, slot) = ring.finish(7).unwrap();
    assert_eq!((name.as_str(), slot.bytes()), ("000000_main_seg7.ts", &b"hello"[..]));
    assert_eq!(std::fs::read(scratch.path().join("cam/000000_main_seg7.ts")).unwrap(), b"hello");
    drop(ring);
    assert_eq!(names(&scratch), Vec::<String>::new());
}

#[test]
fn slots_that_nobody_holds_are_written_again() {
    let scratch = Scratch::new("reuse");
    let mut ring = ring(&scratch, ROOMY);
    let mut held = VecDeque::new();
    for sequence in 0..50 {
        let (cut_off, slot) = segment(&mut ring, sequence, &[u8::try_from(sequence).unwrap(); 1000]);
        assert_eq!(cut_off, None);
        held.push_back((sequence, slot));
        if held.len() > 3 {
            held.pop_front();
        }
        for (sequence, slot) in &held {
            assert!(slot.bytes().iter().all(|byte| u64::from(*byte) == *sequence));
        }
    }
    assert_eq!(
        names(&scratch),
        ["000000_main_seg46.ts", "000000_main_seg47.ts", "000000_main_seg48.ts", "000000_main_seg49.ts"]
    );
    assert_eq!(ring.allocated(), 4 * 4096);
}

#[test]
fn spare_slots_go_back_to_the_tmpfs() {
    let scratch = Scratch::new("spare");
    let mut ring = ring(&scratch, ROOMY);
    let held: Vec<_> = (0..10).map(|sequence| segment(&mut ring, sequence, b"x")).collect();
    assert_eq!(names(&scratch).len(), 10);
    drop(held);
    ring.start(10).unwrap();
    assert_eq!(names(&scratch), [".000000_main_seg10.ts.part", "000000_main_seg9.ts"]);
}

#[test]
fn when_every_slot_is_held_the_oldest_reader_is_cut_off() {
    let scratch = Scratch::new("held");
    let mut ring = ring(&scratch, RingLimits { files: 3, bytes: 64 << 20 });
    let held: Vec<_> = (0..3).map(|sequence| segment(&mut ring, sequence, b"old").1).collect();
    let (cut_off, _) = segment(&mut ring, 3, b"new");
    assert_eq!(cut_off, Some(Fault::ReaderCutOff { file_name: "000000_main_seg0.ts".into() }));
    assert_eq!(held.iter().map(|slot| slot.revoked()).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(held[0].bytes(), b"old");
    assert_eq!(names(&scratch), ["000000_main_seg1.ts", "000000_main_seg2.ts", "000000_main_seg3.ts"]);
    // What the reader still holds counts, until it lets go.
    assert_eq!(ring.allocated(), 4 * 4096);
    drop(held);
    assert_eq!(ring.allocated(), 3 * 4096);
}

#[test]
fn the_share_of_the_stream_is_a_hard_bound() {
    let scratch = Scratch::new("share");
    let mut ring = ring(&scratch, RingLimits { files: 20, bytes: 4 * STEP as u64 });
    let first = segment(&mut ring, 0, &vec![1; 2 * STEP]);
    let _second = segment(&mut ring, 1, &vec![2; 2 * STEP]);
    ring.start(2).unwrap();
    let Err(NoRoom::Full(fault)) = ring.reserve(1) else { panic!("there is no room") };
    assert_eq!(fault, Fault::ShareFull { megabytes: 1 });
    assert!(!ring.release());
    drop(first);
    assert!(ring.release());
    ring.reserve(2 * STEP).unwrap();
    assert!(ring.reserve(2 * STEP + 1).is_err());
}

#[test]
fn a_full_tmpfs_is_named_and_what_is_released_can_be_used() {
    let Some(scratch) = Scratch::small("ring-full", 256 * 1024) else { return };
    let mut ring = ring(&scratch, ROOMY);
    let first = segment(&mut ring, 0, &vec![1; 3 * STEP]);
    ring.start(1).unwrap();
    let Err(NoRoom::Full(fault)) = ring.reserve(2 * STEP) else { panic!("there is no room") };
    let path = scratch.path().join("cam/.000000_main_seg1.ts.part").display().to_string();
    assert_eq!(fault, Fault::TmpfsFull { path });
    drop(first);
    assert!(ring.release());
    ring.reserve(2 * STEP).unwrap();
    ring.space()[..2 * STEP].fill(9);
    ring.drop_open();
    assert_eq!(ring.allocated(), 0);
    assert_eq!(names(&scratch), Vec::<String>::new());
}

#[test]
fn a_folder_that_vanished_costs_segments_and_then_works_again() {
    let scratch = Scratch::new("vanished");
    let mut ring = ring(&scratch, ROOMY);
    drop(segment(&mut ring, 0, b"x"));
    ring.start(1).unwrap();
    std::fs::remove_dir_all(scratch.path().join("cam")).unwrap();
    assert!(matches!(ring.finish(1), Err(Fault::Files(_))));
    let (_, slot) = segment(&mut ring, 1, b"y");
    assert_eq!(slot.bytes(), b"y");
    assert_eq!(names(&scratch), ["000000_main_seg1.ts"]);
}
