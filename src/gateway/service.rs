//! The program as a service: what it finds of the run before it, and what it leaves for the next one.

use std::path::Path;

use super::last_run::{self, LastRun};
use crate::config::SystemPlan;
use crate::system::Watchdog;

/// One run of the program, from its first line in the log to its last.
#[derive(Debug, Default)]
pub struct Service {
    notes: Option<LastRun>,
    before: Option<String>,
    watchdog: Option<Watchdog>,
}

impl Service {
    /// Begins a run: arms the machine's watchdog, and finds out how the run before ended. Neither is a reason not to run.
    pub fn begin(plan: &SystemPlan) -> Self {
        let watchdog = plan.watchdog.as_ref().and_then(|(device, seconds)| match Watchdog::arm(device, *seconds) {
            Ok(watchdog) => {
                log::info!("the watchdog {} resets the machine after {} s", device.display(), watchdog.seconds());
                Some(watchdog)
            }
            Err(error) => {
                log::error!("{error}: nobody resets this machine when it is stuck");
                None
            }
        });
        let notes = plan.state_dir.as_deref().map(LastRun::new);
        let was_reset = watchdog.as_ref().is_some_and(Watchdog::was_reset);
        let before = notes.as_ref().and_then(|notes| notes.begin(was_reset));
        if let Some(notes) = &notes {
            notes.clone().note_panics();
        }
        Self { notes, before, watchdog }
    }

    /// How the run before ended, as a sentence; `None` when there was none, or nobody noted it.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// The watchdog, for whoever feeds it.
    pub(super) const fn watchdog(&self) -> Option<&Watchdog> {
        self.watchdog.as_ref()
    }

    /// Ends the run on purpose.
    pub(super) fn end(self, why: &str) {
        if let Some(notes) = self.notes {
            notes.end(why);
        }
        if let Some(watchdog) = self.watchdog {
            watchdog.disarm();
        }
    }
}

/// Notes in `state_dir` what systemd knows of a run that ended without a word: `ExecStopPost=porthole note-end`.
pub fn note_end(state_dir: &Path, service_result: &str, exit_status: &str) {
    if let Some(why) = last_run::service_result(service_result, exit_status) {
        LastRun::new(state_dir).ended(&why);
    }
}
