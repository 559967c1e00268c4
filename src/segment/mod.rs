//! Access units in, finished segments out: cut at key frames and muxed into recycled, pre-faulted tmpfs slots.

mod calendar;
mod cutter;
mod fault;
mod folder;
mod ring;
#[cfg(test)]
mod scratch;
mod sequence;
mod slot;
pub mod task;
mod writer;

use std::sync::Arc;
use std::time::Instant;

pub use fault::Fault;
pub use folder::{Folder, FolderError, Leftovers, PLAYLIST, Prefix, clean_leftovers};
pub use sequence::Sequence;
pub use slot::Slot;

/// The subscription that segments are made from.
pub use crate::hub::Reader;
use crate::media::{Ticks, WallTime};

/// A finished segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its media sequence number.
    pub sequence: u64,
    /// Its file name in the stream's folder.
    pub file_name: String,
    /// Its duration, for EXTINF: rounds to at most `target_duration`.
    pub duration: Ticks,
    /// True when it does not continue the segment before it.
    pub discontinuity: bool,
    /// When its first picture was taken, if the clock is trusted.
    pub date: Option<WallTime>,
    /// EXT-X-TARGETDURATION of its run, seconds; the same in all segments of a run.
    pub target_duration: u64,
    /// When the picture that ended it arrived.
    pub ended: Instant,
    /// Its bytes.
    pub slot: Arc<Slot>,
}

/// What a run has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Access units taken, video and audio.
    pub access_units: u64,
    /// Transport stream bytes in finished segments.
    pub bytes_written: u64,
    /// Segments finished.
    pub segments_created: u64,
    /// Faults of all kinds.
    pub errors: u64,
    /// Bytes of tmpfs held now.
    pub tmpfs_bytes: u64,
}

/// What a run tells its owner, in order.
#[derive(Debug)]
pub enum Event {
    /// A segment is complete.
    Finished(Segment),
    /// There is no room: let go of the oldest segment you hold, if the stream can go on without it.
    Tight,
    /// Something was lost; the run goes on.
    Fault(Fault),
}
