//! A failed attempt in, the wait before the next one out: 1 to 30 s with jitter, and patience with refused passwords.

use std::time::Duration;

use super::cause::Cause;

/// Cameras lock an account after some wrong passwords: so many attempts in a row, then one per [`LOCK_PAUSE`].
const LOGIN_TRIES: u32 = 3;
const LOCK_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Whole seconds before jitter, by the number of failures in a row.
const STEPS: [u64; 6] = [1, 2, 4, 8, 16, 24];
/// Up to so much is added, of the step: 24 s become 30 s at most.
const JITTER: f64 = 0.25;
/// A session that delivered for so long shows that the camera works: the next failure is a first one.
const PROOF: Duration = Duration::from_secs(5);

/// One camera's waits.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: usize,
    refusals: u32,
    rng: fastrand::Rng,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, refusals: 0, rng: fastrand::Rng::with_seed(seed) }
    }

    /// The camera accepted the credentials (or wants none).
    pub(super) fn on_described(&mut self) {
        self.refusals = 0;
    }

    /// Attempts since the camera last worked, counting the one that begins now.
    pub(super) fn attempt(&self) -> u32 {
        u32::try_from(self.failures).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The wait after a failure that came when pictures had flowed for `streamed`. Tells `cause` how many tries are left.
    pub(super) fn wait_after(&mut self, cause: &mut Cause, streamed: Duration) -> Duration {
        if streamed >= PROOF {
            self.failures = 0;
        }
        let step = STEPS[self.failures.min(STEPS.len() - 1)];
        self.failures = self.failures.saturating_add(1);
        if cause.is_refused_login() {
            self.refusals = self.refusals.saturating_add(1);
            let left = LOGIN_TRIES.saturating_sub(self.refusals);
            if let Cause::PasswordRefused { tries_left, .. } = cause {
                *tries_left = Some(left);
            }
            if left == 0 {
                return LOCK_PAUSE;
            }
        }
        Duration::from_secs(step).mul_f64(1.0 + JITTER * self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Cause {
        Cause::PasswordRefused { host: "10.0.0.5".into(), tries_left: None }
    }

    #[test]
    fn waits_grow_from_1_to_30_seconds_with_jitter() {
        let mut backoff = Backoff::new(1);
        for step in [1, 2, 4, 8, 16, 24, 24, 24] {
            let wait = backoff.wait_after(&mut Cause::Silent { seconds: 10 }, Duration::ZERO);
            let least = Duration::from_secs(step);
            assert!(wait >= least && wait <= least * 5 / 4, "{wait:?} for {step}");
        }
        let mut other = Backoff::new(2);
        let waits = |backoff: &mut Backoff| backoff.wait_after(&mut Cause::Silent { seconds: 10 }, Duration::ZERO);
        assert_ne!(waits(&mut other), waits(&mut Backoff::new(3)));
    }

    #[test]
    fn a_camera_that_worked_is_tried_again_soon() {
        let mut backoff = Backoff::new(1);
        for _ in 0..9 {
            backoff.wait_after(&mut Cause::Silent { seconds: 10 }, Duration::from_secs(4));
        }
        assert_eq!(backoff.attempt(), 10);
        let wait = backoff.wait_after(&mut Cause::Silent { seconds: 10 }, Duration::from_secs(5));
        assert!(wait < Duration::from_secs(2));
    }

    #[test]
    fn a_wrong_password_is_tried_three_times_then_every_five_minutes() {
        let mut backoff = Backoff::new(1);
        let mut left = Vec::new();
        let mut waits = Vec::new();
        for _ in 0..5 {
            let mut cause = refused();
            waits.push(backoff.wait_after(&mut cause, Duration::ZERO));
            left.push(cause.to_string());
        }
        assert_eq!(
            left,
            [
                "password refused by 10.0.0.5; tries left: 2",
                "password refused by 10.0.0.5; tries left: 1",
                "password refused by 10.0.0.5; trying every 5 minutes, because cameras lock accounts",
                "password refused by 10.0.0.5; trying every 5 minutes, because cameras lock accounts",
                "password refused by 10.0.0.5; trying every 5 minutes, because cameras lock accounts",
            ]
        );
        assert!(waits[0] < Duration::from_secs(2) && waits[1] < Duration::from_secs(3));
        assert_eq!(waits[2..], [Duration::from_secs(300); 3]);
    }

    #[test]
    fn other_failures_between_do_not_forget_refused_passwords_but_success_does() {
        let mut backoff = Backoff::new(1);
        backoff.wait_after(&mut refused(), Duration::ZERO);
        backoff.wait_after(&mut Cause::Silent { seconds: 10 }, Duration::ZERO);
        backoff.wait_after(&mut refused(), Duration::ZERO);
        assert_eq!(backoff.wait_after(&mut refused(), Duration::ZERO), Duration::from_secs(300));
        backoff.on_described();
        assert!(backoff.wait_after(&mut refused(), Duration::ZERO) < Duration::from_secs(31));
    }
}
