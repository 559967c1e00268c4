//! What can be fetched now: per stream the playlist, the segments and the figures. Lives on the media thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::window::Window;
use crate::media::StreamId;
use crate::segment::{Fault, Slot};

/// Figures of one stream's HLS output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The media playlist as it stands; absent until the first segment is complete.
    pub playlist: Option<Arc<str>>,
    /// Segments in the playlist.
    pub segments: usize,
    /// EXT-X-TARGETDURATION, seconds; absent until known.
    pub target_duration: Option<u64>,
    /// How long a segment that is in the playlist now stays fetchable, whole seconds.
    pub window_seconds: u64,
    /// Access units handed to this run, video and audio.
    pub access_units: u64,
    /// Transport stream bytes written.
    pub bytes_written: u64,
    /// Segments completed.
    pub segments_created: u64,
    /// Transport stream bits per second, over the segments in the playlist; 0 when none.
    pub current_bitrate: u64,
    /// Faults of all kinds.
    pub errors: u64,
    /// The last of them.
    pub last_error: Option<Fault>,
    /// tmpfs bytes held by the slots.
    pub tmpfs_bytes: u64,
}

/// One stream that runs.
pub(super) struct Stream {
    pub(super) window: Window<Arc<Slot>>,
    pub(super) facts: Facts,
}

/// The streams that run now, and where the ones before them ended. Clones share them.
#[derive(Clone, Default)]
pub struct Store {
    streams: Rc<RefCell<BTreeMap<StreamId, Rc<RefCell<Stream>>>>>,
    /// Where the discontinuity sequence of a stream's next run may start; one number for every stream that ever ran.
    discontinuities: Rc<RefCell<BTreeMap<StreamId, u64>>>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The slot of a segment, in the playlist or only still fetchable. Let go of it when it is [`Slot::revoked`].
    pub fn slot(&self, stream: &StreamId, file_name: &str) -> Option<Arc<Slot>> {
        let stream = Rc::clone(self.streams.borrow().get(stream)?);
        let stream = stream.borrow();
        stream.window.find(file_name).map(|entry| Arc::clone(&entry.handle))
    }

    /// The playlist of a stream, once its first segment is complete.
    pub fn playlist(&self, stream: &StreamId) -> Option<Arc<str>> {
        self.streams.borrow().get(stream)?.borrow().facts.playlist.clone()
    }

    /// The figures of a stream that runs.
    pub fn facts(&self, stream: &StreamId) -> Option<Facts> {
        Some(self.streams.borrow().get(stream)?.borrow().facts.clone())
    }

    pub(super) fn insert(&self, id: StreamId, stream: Stream) -> Rc<RefCell<Stream>> {
        let stream = Rc::new(RefCell::new(stream));
        self.streams.borrow_mut().insert(id, Rc::clone(&stream));
        stream
    }

    /// Removes `stream`, unless a later run took its place.
    pub(super) fn remove(&self, id: StreamId, stream: &Rc<RefCell<Stream>>) {
        let mut streams = self.streams.borrow_mut();
        if streams.get(&id).is_some_and(|current| Rc::ptr_eq(current, stream)) {
            streams.remove(&id);
        }
        self.end_discontinuities(id, stream.borrow().window.next_discontinuity());
    }

    /// The lowest discontinuity sequence number for a new run.
    pub(super) fn next_discontinuity(&self, id: StreamId) -> u64 {
        self.discontinuities.borrow().get(&id).copied().unwrap_or(0)
    }

    /// A run ended: the next one starts at `next` or above.
    pub(super) fn end_discontinuities(&self, id: StreamId, next: u64) {
        let mut discontinuities = self.discontinuities.borrow_mut();
        let known = discontinuities.entry(id).or_default();
        *known = next.max(*known);
    }
}
