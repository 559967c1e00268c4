//! A reader's queue: bounded in units and bytes; when full it drops its backlog and resumes at a key frame.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use crate::media::{AccessUnit, Track};

/// The bounds of one reader's queue; both hold at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most access units waiting.
    pub units: usize,
    /// Most bytes of access units waiting.
    pub bytes: usize,
}

/// What a queue has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Units dropped: the backlog at each overflow, and what came until the next key frame.
    pub dropped_units: u64,
    /// Times the queue was full and skipped to a key frame.
    pub skips: u64,
    /// Bytes waiting now.
    pub waiting_bytes: usize,
}

/// A unit handed to a reader.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The unit.
    pub unit: Rc<AccessUnit>,
    /// True when units before this one are missing or belong to another run: the unit's own discontinuity, or a skip.
    pub discontinuity: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing handed over yet: waits for the first key frame, no discontinuity.
    Fresh,
    /// In step with the camera.
    Flowing,
    /// The backlog was dropped: waits for a key frame and marks it.
    Skipping,
}

/// Policy SkipToKeyframe. Transitions: Fresh -key frame-> Flowing -full-> Skipping -key frame-> Flowing.
pub(super) struct Queue {
    limits: Limits,
    units: VecDeque<Delivery>,
    bytes: usize,
    state: State,
    counters: QueueCounters,
    waker: Option<Waker>,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            units: VecDeque::new(),
            bytes: 0,
            state: State::Fresh,
            counters: QueueCounters::default(),
            waker: None,
        }
    }

    /// A queue that takes the next unit, whatever it is: its reader has what comes before.
    pub(super) fn continuing(limits: Limits) -> Self {
        Self { state: State::Flowing, ..Self::new(limits) }
    }

    /// Adds `unit`, by the policy; returns the reader's waker if it waits.
    pub(super) fn push(&mut self, unit: &Rc<AccessUnit>) -> Option<Waker> {
        let full = self.units.len() >= self.limits.units || self.bytes + unit.data.len() > self.limits.bytes;
        if full && self.state == State::Flowing {
            self.counters.skips += 1;
            self.counters.dropped_units += self.units.len() as u64;
            self.units.clear();
            self.bytes = 0;
            self.state = State::Skipping;
        }
        let starts = unit.track == Track::Video && unit.key_frame && unit.data.len() <= self.limits.bytes;
        let mut discontinuity = unit.discontinuity;
        if self.state != State::Flowing {
            if !starts {
                self.counters.dropped_units += u64::from(self.state == State::Skipping);
                return None;
            }
            discontinuity |= self.state == State::Skipping;
            self.state = State::Flowing;
        }
        self.bytes += unit.data.len();
        self.units.push_back(Delivery { unit: Rc::clone(unit), discontinuity });
        self.waker.take()
    }

    pub(super) fn try_pop(&mut self) -> Option<Delivery> {
        let delivery = self.units.pop_front()?;
        self.bytes -= delivery.unit.data.len();
        Some(delivery)
    }

    pub(super) fn pop(&mut self, waker: &Waker) -> Option<Delivery> {
        let delivery = self.try_pop();
        if delivery.is_none() && !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
        delivery
    }

    pub(super) fn counters(&self) -> QueueCounters {
        QueueCounters { waiting_bytes: self.bytes, ..self.counters }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::media::{StreamFormat, Ticks, VideoCodec, VideoFormat};

    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn unit(key_frame: bool, len: usize) -> Rc<AccessUnit> {
        let format = Rc::new(StreamFormat {
            video: VideoFormat {
                codec: VideoCodec::H264,
                parameter_sets: Vec::new(),
                width: 0,
                height: 0,
                rfc6381: String::new(),
            },
            audio: None,
        });
        let now = Instant::now() + Duration::from_secs(1);
        Rc::new(AccessUnit::video(&format, Ticks::ZERO, key_frame, vec![0; len], now))
    }

    fn drain(queue: &mut Queue) -> Vec<(usize, bool)> {
        std::iter::from_fn(|| queue.try_pop()).map(|d| (d.unit.data.len(), d.discontinuity)).collect()
    }

    #[test]
    fn starts_at_a_key_frame_without_a_discontinuity() {
        let mut queue = Queue::new(Limits { units: 8, bytes: 1000 });
        for (key, len) in [(false, 1), (true, 2), (false, 3)] {
            queue.push(&unit(key, len));
        }
        assert_eq!(drain(&mut queue), [(2, false), (3, false)]);
        assert_eq!(queue.counters(), QueueCounters::default());
    }

    #[test]
    fn a_full_queue_skips_to_the_next_key_frame_and_says_so() {
        let mut queue = Queue::new(Limits { units: 3, bytes: 1000 });
        for (key, len) in [(true, 1), (false, 2), (false, 3), (false, 4), (false, 5), (true, 6), (false, 7)] {
            queue.push(&unit(key, len));
        }
        assert_eq!(drain(&mut queue), [(6, true), (7, false)]);
        assert_eq!(queue.counters(), QueueCounters { dropped_units: 5, skips: 1, waiting_bytes: 0 });
    }

    #[test]
    fn bytes_bound_the_queue_too_and_an_oversized_key_frame_is_not_taken() {
        let mut queue = Queue::new(Limits { units: 100, bytes: 10 });
        queue.push(&unit(true, 6));
        queue.push(&unit(true, 11));
        assert_eq!(queue.counters(), QueueCounters { dropped_units: 2, skips: 1, waiting_bytes: 0 });
        queue.push(&unit(true, 10));
        assert_eq!(drain(&mut queue), [(10, true)]);
    }
}
