//! One stream's output: segmenting events in; window, playlist and figures kept for the store.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::playlist;
use super::store::{Facts, Store, Stream};
use super::window::{Entry, Window};
use crate::media::{StreamId, Ticks};
use crate::segment::{Counters, Event, Fault, Segment};

/// The discontinuity sequence starts where the run before ended, which the store or a crashed run's playlist tells. Where
/// neither does (a clean restart), it starts at the hours since boot: above what a camera reached that broke off less than
/// once an hour. It must stay small: hls.js 1.7 visits every number up to it at each refresh of the playlist.
const TENTHS_PER_HOUR: u64 = 36_000;

/// Keeps one stream in the store; dropping it takes the stream out.
pub(super) struct Publisher {
    store: Store,
    id: StreamId,
    stream: Rc<RefCell<Stream>>,
    /// Faults of its own, besides the ones counted while segmenting.
    errors: u64,
}

impl Publisher {
    /// A stream that lists at least `segment_count` segments and holds at most `most`.
    pub(super) fn new(store: Store, id: StreamId, segment_count: usize, most: usize, first_sequence: u64) -> Self {
        let first_discontinuity = store.next_discontinuity(id).max(first_sequence / TENTHS_PER_HOUR);
        let window = Window::new(segment_count, most, first_discontinuity);
        let stream = store.insert(id, Stream { window, facts: Facts::default() });
        Self { store, id, stream, errors: 0 }
    }

    /// Takes one event. Returns the playlist when it changed.
    pub(super) fn handle(&mut self, event: Event, counters: &Counters) -> Option<Arc<str>> {
        let Stream { window, facts } = &mut *self.stream.borrow_mut();
        let changed = match event {
            Event::Finished(segment) => {
                let (target_duration, ended) = (segment.target_duration, segment.ended);
                window.push(entry(segment), target_duration, ended);
                true
            }
            Event::Tight => window.drop_oldest(),
            Event::Fault(fault) => {
                facts.last_error = Some(fault);
                false
            }
        };
        if changed {
            facts.playlist = playlist::text(window).map(Arc::from);
            describe(window, facts);
        }
        facts.access_units = counters.access_units;
        facts.bytes_written = counters.bytes_written;
        facts.segments_created = counters.segments_created;
        facts.tmpfs_bytes = counters.tmpfs_bytes;
        facts.errors = counters.errors + self.errors;
        facts.playlist.clone().filter(|_| changed)
    }

    /// Counts a fault of the playlist file.
    pub(super) fn on_fault(&mut self, fault: Fault) {
        self.errors += 1;
        let facts = &mut self.stream.borrow_mut().facts;
        facts.errors += 1;
        facts.last_error = Some(fault);
    }

    /// The figures now.
    pub(super) fn facts(&self) -> Facts {
        self.stream.borrow().facts.clone()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.store.remove(self.id, &self.stream);
    }
}

fn entry(segment: Segment) -> Entry<Arc<crate::segment::Slot>> {
    Entry {
        sequence: segment.sequence,
        file_name: segment.file_name,
        duration: segment.duration,
        bytes: segment.slot.bytes().len() as u64,
        discontinuity: segment.discontinuity,
        date: segment.date,
        handle: segment.slot,
    }
}

fn describe<H>(window: &Window<H>, facts: &mut Facts) {
    let (mut bytes, mut longest) = (0_u64, Ticks::ZERO);
    for entry in window.listed() {
        bytes += entry.bytes;
        longest = longest.max(entry.duration);
    }
    let duration = window.duration();
    let ticks = u64::try_from(duration.0).unwrap_or(0).max(1);
    facts.segments = window.listed().count();
    facts.target_duration = Some(window.target_duration());
    // A listed segment stays for the rest of its time in the playlist, then for its own duration plus the playlist's.
    facts.window_seconds = duration.to_duration().as_secs();
    facts.current_bitrate = bytes.saturating_mul(8).saturating_mul(90_000) / ticks;
}
