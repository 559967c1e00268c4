//! Small signals between tasks of the media thread: a one-way stop, and the demand for a camera.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Tells tasks to end; once given it stays given. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Stop(Rc<StopInner>);

#[derive(Default)]
struct StopInner {
    given: Cell<bool>,
    notify: Notify,
}

impl Stop {
    pub(super) fn give(&self) {
        self.0.given.set(true);
        self.0.notify.notify_waiters();
    }

    pub(super) fn is_given(&self) -> bool {
        self.0.given.get()
    }

    /// Completes once the stop is given.
    pub(super) async fn given(&self) {
        loop {
            let notified = self.0.notify.notified();
            if self.is_given() {
                return;
            }
            notified.await;
        }
    }
}

/// When somebody last asked for a camera.
#[derive(Default)]
pub(super) struct Demand {
    last: Cell<Option<Instant>>,
    notify: Notify,
}

impl Demand {
    /// Somebody asks now.
    pub(super) fn ask(&self, now: Instant) {
        self.last.set(Some(now));
        self.notify.notify_waiters();
    }

    /// Completes as soon as somebody has asked since the last [`Demand::forget`].
    pub(super) async fn asked(&self) {
        loop {
            let notified = self.notify.notified();
            if self.last.get().is_some() {
                return;
            }
            notified.await;
        }
    }

    /// How long after `now` the camera may be let go, if nobody asks again; zero: now.
    pub(super) fn remaining(&self, now: Instant, idle_timeout: Duration) -> Duration {
        let Some(last) = self.last.get() else { return Duration::ZERO };
        idle_timeout.saturating_sub(now.saturating_duration_since(last))
    }

    /// The camera sleeps: the next request wakes it.
    pub(super) fn forget(&self) {
        self.last.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn a_camera_stays_for_its_idle_time_after_the_last_request() {
        let demand = Demand::default();
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        assert_eq!(demand.remaining(start, minute), Duration::ZERO);
        demand.ask(start);
        demand.ask(start + Duration::from_secs(10));
        assert_eq!(demand.remaining(start + Duration::from_secs(30), minute), Duration::from_secs(40));
        assert_eq!(demand.remaining(start + Duration::from_secs(71), minute), Duration::ZERO);
        demand.forget();
        assert_eq!(demand.remaining(start + Duration::from_secs(11), minute), Duration::ZERO);
    }

    #[test]
    fn a_stop_given_before_anyone_waits_is_not_missed() {
        let stop = Stop::default();
        stop.give();
        smol::future::block_on(stop.given());
        let demand = Demand::default();
        assert!(smol::future::block_on(smol::future::poll_once(demand.asked())).is_none());
    }
}
