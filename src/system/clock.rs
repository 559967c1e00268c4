//! Clocks: time since boot, and the wall clock once the kernel says that it is synchronised.

use std::time::{Duration, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::media::WallTime;

/// Time since the machine was booted, suspend included (CLOCK_BOOTTIME). Never goes back until the next boot.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// The wall clock, if the kernel calls it synchronised (`adjtimex(2)`); boards boot without a clock.
pub fn trusted_wall_time() -> Option<WallTime> {
    clock_is_synchronised().then(|| {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
        let since_1970 = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    })
}

/// True when an NTP client has told the kernel that the clock is right: STA_UNSYNC is clear.
#[expect(unsafe_code, reason = "nix has no adjtimex")]
fn clock_is_synchronised() -> bool {
    // SAFETY: `timex` is plain integers, for which zero is a valid value; modes = 0 only reads.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    state != -1 && state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_boot_matches_the_kernel() {
        let uptime: f64 = std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
        let seconds = since_boot().as_secs_f64();
        assert!((seconds - uptime).abs() < 5.0, "{seconds} against {uptime}");
    }

    #[test]
    fn a_trusted_clock_is_in_this_century() {
        if let Some(now) = trusted_wall_time() {
            assert!(now.0 > 1_700_000_000_000, "{now}");
        }
    }
}
