//! Media time, wall time, and the only conversions between them.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::time::Duration;

/// Media time or a span of it: 90 kHz, signed, unwrapped (33-bit wire values exist only in `mpegts`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub i64);

impl Ticks {
    /// Ticks per second.
    pub const HZ: i64 = 90_000;
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(Self::HZ))
    }

    /// A span of milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(Self::HZ / 1000))
    }

    /// A span of a `Duration`, rounded down to a tick, saturating.
    pub fn from_duration(span: Duration) -> Self {
        Self(i64::try_from(span.as_nanos().saturating_mul(9) / 100_000).unwrap_or(i64::MAX))
    }

    /// `count` units of a clock of `hz`, rounded down to a tick. `hz` must not be 0.
    pub fn from_clock(count: i64, hz: u32) -> Self {
        let ticks = i128::from(count) * i128::from(Self::HZ) / i128::from(hz.max(1));
        Self(i64::try_from(ticks).unwrap_or(if count < 0 { i64::MIN } else { i64::MAX }))
    }

    /// This span in seconds.
    #[expect(clippy::cast_precision_loss, reason = "for display: 2^52 ticks are 1,586 years")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / Self::HZ as f64
    }

    /// This span as a `Duration`; negative spans are zero.
    pub fn to_duration(self) -> Duration {
        let ticks = u64::try_from(self.0).unwrap_or(0);
        Duration::from_secs(ticks / 90_000) + Duration::from_nanos((ticks % 90_000) * 100_000 / 9)
    }
}

impl Add for Ticks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Ticks {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Ticks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Ticks {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// Calendar time, UTC, milliseconds since 1970. Exists only where the system clock is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

impl WallTime {
    /// This moment, later by `span`.
    pub fn plus(self, span: Ticks) -> Self {
        Self(self.0.saturating_add(span.0 / 90))
    }
}

/// ISO 8601 with milliseconds: `2026-11-23T06:05:54.120Z`.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        // Civil date from days since 1970-01-01, proleptic Gregorian calendar, in eras of 400 years.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_convert_without_drift() {
        assert_eq!(Ticks::from_clock(44_100, 44_100), Ticks(90_000));
        assert_eq!(Ticks::from_clock(-8000, 8000), Ticks(-90_000));
        assert_eq!(Ticks::from_clock(i64::MAX, 1), Ticks(i64::MAX));
        assert_eq!(Ticks::from_duration(Duration::from_millis(40)), Ticks(3600));
        assert_eq!(Ticks(3600).to_duration(), Duration::from_millis(40));
        assert_eq!(Ticks(-1).to_duration(), Duration::ZERO);
        assert_eq!(Ticks(i64::MAX) + Ticks(1), Ticks(i64::MAX));
    }

    #[test]
    fn wall_time_prints_iso_8601() {
        assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(WallTime(1_795_413_954_120).to_string(), "2026-11-23T06:05:54.120Z");
        assert_eq!(WallTime(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(WallTime(4_107_542_399_999).to_string(), "2100-02-28T23:59:59.999Z");
        assert_eq!(WallTime(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }
}
