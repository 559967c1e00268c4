//! The live window: segments in; which are in the playlist, and which only stay fetchable, out. RFC 8216 section 6.2.2.

use std::time::{Duration, Instant};

use heapless::Deque;

use crate::media::{Ticks, WallTime};

/// Most segments that any window holds, in the playlist and behind it.
pub(super) const MOST: usize = 64;
/// The window lasts at least this many target durations.
const TARGET_DURATIONS: u64 = 3;
/// Segments may leave this much early: the jitter of arrivals must not cost a slot.
const JITTER: Duration = Duration::from_millis(200);

/// A segment in the window. `H` is what keeps its bytes.
#[derive(Debug)]
pub(super) struct Entry<H> {
    /// Media sequence number; each is one above the one before.
    pub(super) sequence: u64,
    /// File name, the URI in the playlist.
    pub(super) file_name: String,
    /// EXTINF.
    pub(super) duration: Ticks,
    /// Size.
    pub(super) bytes: u64,
    /// EXT-X-DISCONTINUITY stands before it.
    pub(super) discontinuity: bool,
    /// EXT-X-PROGRAM-DATE-TIME.
    pub(super) date: Option<WallTime>,
    /// Its bytes.
    pub(super) handle: H,
}

#[derive(Debug)]
struct Held<H> {
    entry: Entry<H>,
    /// Of the playlists that named it, the duration of the longest.
    longest_playlist: Ticks,
    /// Once it has left the playlist: until when players may ask for it.
    until: Option<Instant>,
}

/// The live window of one run. Policy EvictOldest.
///
/// Segments are first in the playlist, then fetchable for as long as a player may still ask for them: the segment's
/// duration plus that of the longest playlist that named it. `most` bounds both together; what is only fetchable goes first.
#[derive(Debug)]
pub(super) struct Window<H> {
    /// Oldest first; the last `listed` are in the playlist, the others have left it.
    held: Deque<Held<H>, MOST>,
    listed: usize,
    least: usize,
    most: usize,
    target_duration: u64,
    discontinuity_sequence: u64,
}

impl<H> Window<H> {
    /// An empty window that lists at least `least` segments and holds at most `most`; discontinuities are counted from
    /// `first_discontinuity`.
    pub(super) fn new(least: usize, most: usize, first_discontinuity: u64) -> Self {
        let most = most.clamp(1, MOST);
        Self {
            held: Deque::new(),
            listed: 0,
            least: least.clamp(1, most),
            most,
            target_duration: 0,
            discontinuity_sequence: first_discontinuity,
        }
    }

    /// Adds a segment that ended `now`; older ones leave the playlist, and then the window.
    pub(super) fn push(&mut self, entry: Entry<H>, target_duration: u64, now: Instant) {
        self.target_duration = target_duration;
        while self.held.front().is_some_and(|held| held.until.is_some_and(|until| until <= now + JITTER)) {
            self.held.pop_front();
        }
        while self.held.len() >= self.most {
            self.drop_oldest();
        }
        // There is room: `most` is at most the capacity.
        let _pushed = self.held.push_back(Held { entry, longest_playlist: Ticks::ZERO, until: None });
        self.listed += 1;
        let least = Ticks::from_secs(i64::try_from(TARGET_DURATIONS * target_duration).unwrap_or(i64::MAX));
        while self.listed > self.least {
            let oldest = self.listed().next().map_or(Ticks::ZERO, |entry| entry.duration);
            if self.duration() - oldest < least {
                break;
            }
            self.retire(now);
        }
        let (duration, left) = (self.duration(), self.held.len() - self.listed);
        for held in self.held.iter_mut().skip(left) {
            held.longest_playlist = held.longest_playlist.max(duration);
        }
    }

    /// Lets go of the oldest segment; false when only the newest is left.
    pub(super) fn drop_oldest(&mut self) -> bool {
        if self.held.len() <= 1 {
            return false;
        }
        if self.held.len() == self.listed {
            self.unlist();
        }
        self.held.pop_front().is_some()
    }

    /// The segments in the playlist, oldest first.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Entry<H>> {
        self.held.iter().skip(self.held.len() - self.listed).map(|held| &held.entry)
    }

    /// The segment with this file name, in the playlist or still fetchable.
    pub(super) fn find(&self, file_name: &str) -> Option<&Entry<H>> {
        self.held.iter().map(|held| &held.entry).find(|entry| entry.file_name == file_name)
    }

    /// EXT-X-TARGETDURATION, seconds; 0 while nothing is listed.
    pub(super) const fn target_duration(&self) -> u64 {
        self.target_duration
    }

    /// EXT-X-DISCONTINUITY-SEQUENCE: that of the first listed segment.
    pub(super) const fn discontinuity_sequence(&self) -> u64 {
        self.discontinuity_sequence
    }

    /// The discontinuity sequence number of a run that follows this one.
    pub(super) fn next_discontinuity(&self) -> u64 {
        self.discontinuity_sequence + self.listed().filter(|entry| entry.discontinuity).count() as u64 + 1
    }

    /// The duration of the playlist.
    pub(super) fn duration(&self) -> Ticks {
        self.listed().fold(Ticks::ZERO, |sum, entry| sum + entry.duration)
    }

    /// Segments held, listed or not.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The oldest listed segment leaves the playlist `now`, and stays fetchable.
    fn retire(&mut self, now: Instant) {
        let index = self.held.len() - self.listed;
        if let Some(held) = self.held.iter_mut().nth(index) {
            held.until = Some(now + (held.entry.duration + held.longest_playlist).to_duration());
        }
        self.unlist();
    }

    fn unlist(&mut self) {
        let discontinuity = self.listed().next().is_some_and(|entry| entry.discontinuity);
        self.discontinuity_sequence += u64::from(discontinuity);
        self.listed = self.listed.saturating_sub(1);
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
