//! Slots on a real tmpfs.

use std::os::unix::fs::MetadataExt as _;

use super::super::scratch::Scratch;
use super::*;

fn write(draft: &mut Draft, bytes: &[u8]) {
    draft.grow(draft.shortfall(bytes.len())).unwrap();
    draft.space()[..bytes.len()].copy_from_slice(bytes);
    draft.advance(bytes.len());
}

#[test]
fn a_slot_is_written_read_and_written_again_in_the_same_file() {
    let scratch = Scratch::new("slot");
    let file = scratch.path().join("a");
    let mut draft = Draft::new(scratch.open("a"));
    assert_eq!((draft.allocated(), draft.space().len(), draft.shortfall(1)), (0, 0, STEP));
    write(&mut draft, &vec![7; 100_000]);
    assert_eq!((draft.allocated(), draft.shortfall(31_072), draft.shortfall(31_073)), (131_072, 0, STEP));
    let slot = Arc::new(draft.finish().unwrap());
    assert_eq!((slot.bytes(), std::fs::read(&file).unwrap()), (&vec![7; 100_000][..], vec![7; 100_000]));

    let reader = Arc::clone(&slot);
    let slot = Slot::reclaim(slot).unwrap_err();
    assert_eq!(reader.bytes().len(), 100_000);
    drop(reader);
    let mut draft = Slot::reclaim(slot).unwrap();
    draft.rewind();
    // As long as last time: nothing to allocate.
    assert_eq!(draft.shortfall(100_000), 0);
    write(&mut draft, &vec![9; 50_000]);
    let slot = draft.finish().unwrap();
    assert_eq!((slot.bytes(), std::fs::read(&file).unwrap()), (&vec![9; 50_000][..], vec![9; 50_000]));
    assert_eq!(slot.allocated(), 50_000);

    // Longer than ever: the mapping moves or grows, and what was written stays.
    let Ok(mut draft) = Slot::reclaim(Arc::new(slot)) else { panic!("unshared") };
    draft.rewind();
    write(&mut draft, &vec![1; 50_000]);
    write(&mut draft, &vec![2; 5_000_000]);
    let slot = draft.finish().unwrap();
    assert!(slot.bytes()[..50_000].iter().all(|b| *b == 1) && slot.bytes()[50_000..].iter().all(|b| *b == 2));
    assert_eq!(slot.bytes().len(), 5_050_000);
    assert_eq!(std::fs::metadata(&file).unwrap().blocks() * 512, 5_050_000_u64.next_multiple_of(4096));
}

#[test]
fn a_slot_that_grows_step_by_step_keeps_what_was_written() {
    let scratch = Scratch::new("steps");
    let mut draft = Draft::new(scratch.open("a"));
    for step in 0..=255 {
        write(&mut draft, &[step; 50_000]);
    }
    let slot = draft.finish().unwrap();
    assert!(slot.bytes().chunks(50_000).zip(0..=255).all(|(chunk, step)| chunk.iter().all(|byte| *byte == step)));
}

#[test]
fn an_unlinked_slot_stays_readable_for_who_holds_it() {
    let scratch = Scratch::new("unlinked");
    let mut draft = Draft::new(scratch.open("a"));
    write(&mut draft, b"segment");
    let slot = draft.finish().unwrap();
    std::fs::remove_file(scratch.path().join("a")).unwrap();
    slot.revoke();
    assert!(slot.revoked());
    assert_eq!(slot.bytes(), b"segment");
}

#[test]
fn an_empty_slot_is_an_empty_segment() {
    let scratch = Scratch::new("empty");
    assert_eq!(Draft::new(scratch.open("a")).finish().unwrap().bytes(), b"");
}

#[test]
fn a_full_tmpfs_is_an_error_and_leaves_the_slot_as_it_was() {
    let Some(scratch) = Scratch::small("slot-full", 256 * 1024) else { return };
    let mut draft = Draft::new(scratch.open("a"));
    write(&mut draft, &[3; 100_000]);
    assert_eq!(draft.grow(1 << 20), Err(Errno::ENOSPC));
    assert_eq!(draft.allocated(), 131_072);
    write(&mut draft, &[4; 31_072]);
    let slot = draft.finish().unwrap();
    assert_eq!(slot.bytes()[..100_000], [3; 100_000]);
    assert_eq!(slot.bytes()[100_000..], [4; 31_072]);
}
