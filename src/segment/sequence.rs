//! Media sequence numbers that never go back under one URL: the time since boot in, numbers out. RFC 8216 section 4.3.3.2.

use std::time::{Duration, Instant};

/// Numbers per second on average that a run may use: the pace of the clock that the next run starts from.
const PER_SECOND: u64 = 10;

/// The sequence numbers of one mux run.
///
/// A run starts at the time since boot (CLOCK_BOOTTIME) in tenths of a second and hands out at most ten numbers a second,
/// so a later run, also after a kill -9, starts above everything that an earlier one published.
#[derive(Clone, Debug)]
pub struct Sequence {
    first: u64,
    next: u64,
    started: Instant,
}

impl Sequence {
    /// Numbers from `first` on, for a run that starts at `now`.
    pub const fn new(first: u64, now: Instant) -> Self {
        Self { first, next: first, started: now }
    }

    /// The first number of a run that starts `since_boot` (CLOCK_BOOTTIME).
    pub fn first(since_boot: Duration) -> u64 {
        let tenths = since_boot.as_millis() * u128::from(PER_SECOND) / 1000;
        u64::try_from(tenths).unwrap_or(u64::MAX)
    }

    /// The number of the segment being written.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Uses up the next number; `None` when that would overtake the clock: segments come faster than ten a second.
    pub fn take(&mut self, now: Instant) -> Option<u64> {
        let elapsed = now.saturating_duration_since(self.started).as_millis();
        let allowed = u64::try_from(elapsed * u128::from(PER_SECOND) / 1000).unwrap_or(u64::MAX).saturating_add(1);
        if self.next - self.first > allowed {
            return None;
        }
        let number = self.next;
        self.next += 1;
        Some(number)
    }

    /// The number just taken was not used after all.
    pub fn put_back(&mut self) {
        self.next = self.next.saturating_sub(1).max(self.first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_starts_at_the_boot_clock_in_tenths_of_a_second() {
        assert_eq!(Sequence::first(Duration::from_millis(12_399)), 123);
        assert_eq!(Sequence::first(Duration::ZERO), 0);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn a_run_never_overtakes_the_clock_that_the_next_run_starts_from() {
        let start = Instant::now();
        let mut sequence = Sequence::new(500, start);
        let mut last = 0;
        // A camera with a mad clock: a segment every 20 ms for 10 s.
        for step in 0..500_u64 {
            if let Some(number) = sequence.take(start + Duration::from_millis(step * 20)) {
                last = number;
            }
        }
        assert_eq!(last, 600);
        // An ordinary camera is never refused.
        let mut sequence = Sequence::new(500, start);
        assert!((0..1000).all(|n| sequence.take(start + Duration::from_millis(n * 900 + 40)).is_some()));
    }
}
