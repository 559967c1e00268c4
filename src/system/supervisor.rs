//! What systemd is told of this service: ready, alive, stopping. Nothing where nobody listens. sd_notify(3).

use std::time::Duration;

use sd_notify::NotifyState;

/// How often systemd wants to hear that the service is alive: half of its WatchdogSec, so that one may be late. `None` when it
/// does not ask.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// The service serves.
pub fn say_ready() {
    say(&[NotifyState::Ready]);
}

/// The service is alive.
pub fn say_alive() {
    say(&[NotifyState::Watchdog]);
}

/// The service ends by itself, and `why`.
pub fn say_stopping(why: &str) {
    say(&[NotifyState::Stopping, NotifyState::Status(why)]);
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("systemd cannot be told {state:?}: {error}");
    }
}
