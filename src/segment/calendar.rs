//! When a segment was taken: media time and the trusted clock in, EXT-X-PROGRAM-DATE-TIME out. RFC 8216 section 4.3.2.6.

use crate::media::{Ticks, WallTime};

/// The dates may stray this far from the clock before they are set anew, milliseconds: arrivals jitter, clocks drift.
const TOLERANCE: u64 = 500;

/// The dates of one run: they advance by media time, so that players see no jitter.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    anchor: Option<(Ticks, WallTime)>,
}

impl Calendar {
    /// The date of a picture presented at `pts` that `arrived` by the clock; `None` while no clock is trusted.
    pub(super) fn date(&mut self, pts: Ticks, arrived: Option<WallTime>) -> Option<WallTime> {
        let expected = self.anchor.map(|(start, date)| date.plus(pts - start));
        let date = match (expected, arrived) {
            (_, None) => {
                self.anchor = None;
                return None;
            }
            (Some(expected), Some(arrived)) if expected.0.abs_diff(arrived.0) <= TOLERANCE => return Some(expected),
            (_, Some(arrived)) => arrived,
        };
        self.anchor = Some((pts, date));
        Some(date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_media_time_and_are_set_anew_when_they_stray() {
        let mut calendar = Calendar::default();
        assert_eq!(calendar.date(Ticks(0), None), None);
        assert_eq!(calendar.date(Ticks(90_000), Some(WallTime(10_000))), Some(WallTime(10_000)));
        assert_eq!(calendar.date(Ticks(180_000), Some(WallTime(11_080))), Some(WallTime(11_000)));
        assert_eq!(calendar.date(Ticks(270_000), Some(WallTime(11_700))), Some(WallTime(12_000)));
        assert_eq!(calendar.date(Ticks(360_000), Some(WallTime(99_000))), Some(WallTime(99_000)));
        assert_eq!(calendar.date(Ticks(450_000), Some(WallTime(100_200))), Some(WallTime(100_000)));
        assert_eq!(calendar.date(Ticks(0), Some(WallTime(101_300))), Some(WallTime(101_300)));
        assert_eq!(calendar.date(Ticks(90_000), None), None);
        assert_eq!(calendar.date(Ticks(180_000), Some(WallTime(103_301))), Some(WallTime(103_301)));
    }
}
