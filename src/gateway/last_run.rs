//! How the run before this one ended, kept over restarts: a private file with the boot's id and one sentence.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::system;

const FILE: &str = "last-run";
/// Stands in the file while the program runs. Found at a start, it says that the run did not end by itself.
const RUNNING: &str = "running";

/// The notes of one program run.
#[derive(Clone, Debug)]
pub(super) struct LastRun {
    state_dir: PathBuf,
    boot_id: String,
}

impl LastRun {
    /// Of the program whose state is in `state_dir`.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned(), boot_id: system::boot_id() }
    }

    /// Says that a run begins; returns how the one before ended, `None` for the first one. `was_reset`: the machine's watchdog
    /// started it anew.
    pub(super) fn begin(&self, was_reset: bool) -> Option<String> {
        let before = self.read().map(|note| ended(&note, &self.boot_id, was_reset));
        self.write(RUNNING);
        before
    }

    /// The run ends, and why.
    pub(super) fn end(&self, why: &str) {
        self.write(why);
    }

    /// The run ended, and this is what others know of it; what it said itself stays.
    pub(super) fn ended(&self, why: &str) {
        if self.read().is_some_and(|note| note.ended == RUNNING) {
            self.write(why);
        }
    }

    /// From now on a panic is noted, too.
    pub(super) fn note_panics(self) {
        static NOTES: OnceLock<LastRun> = OnceLock::new();
        if NOTES.set(self).is_err() {
            return;
        }
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            usual(panic);
            if let Some(notes) = NOTES.get() {
                notes.end(&format!("it panicked: {}", panic.to_string().replace('\n', " ")));
            }
        }));
    }

    fn read(&self) -> Option<Note> {
        match system::read_private(&self.state_dir, FILE) {
            Ok(bytes) => parse(&bytes?),
            Err(error) => {
                log::warn!("{error}: how the last run ended is not known");
                None
            }
        }
    }

    fn write(&self, ended: &str) {
        let text = format!("{}\n{ended}\n", self.boot_id);
        if let Err(error) = system::write_private(&self.state_dir, FILE, text.as_bytes()) {
            log::warn!("{error}: the next start will not know how this run ended");
        }
    }
}

struct Note {
    boot_id: String,
    ended: String,
}

fn parse(bytes: &[u8]) -> Option<Note> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (boot_id, ended) = text.split_once('\n')?;
    let ended: String = ended.trim().chars().filter(|c| !c.is_control()).take(500).collect();
    (!ended.is_empty()).then(|| Note { boot_id: boot_id.to_owned(), ended })
}

fn ended(note: &Note, boot_id: &str, was_reset: bool) -> String {
    if note.ended != RUNNING {
        return note.ended.clone();
    }
    let sentence = match (note.boot_id == boot_id, was_reset) {
        (true, _) => "it was killed (kill -9, or memory ran out)",
        (false, true) => "the machine was reset by its watchdog: Porthole or the system had stopped to work",
        (false, false) => "the machine went down while it ran: power cut, reset or crash",
    };
    sentence.to_owned()
}

/// What systemd knows of a service that ended without a word (systemd.exec(5), `$SERVICE_RESULT`); `None` when it ended well.
pub(super) fn service_result(result: &str, exit_status: &str) -> Option<String> {
    let sentence = match result {
        "" | "success" => return None,
        "watchdog" => {
            "systemd's watchdog ended it: the media thread, the web port or an output had stopped to work".to_owned()
        }
        "oom-kill" => "the kernel ended it: memory ran out".to_owned(),
        "signal" | "core-dump" => format!("it was ended by signal {exit_status}"),
        "exit-code" => format!("it gave up with status {exit_status}: see the log before"),
        "timeout" => "systemd ended it: it did not start or stop in time".to_owned(),
        other => format!("systemd ended it: {other}"),
    };
    Some(sentence)
}

#[cfg(test)]
#[path = "last_run_tests.rs"]
mod tests;
