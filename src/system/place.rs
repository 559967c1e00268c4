//! Which core a thread runs on, and how far it goes before others.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Core and priority that the calling thread had at first. A thread that it starts inherits what it has then.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    cores: CpuSet,
    nice: i32,
}

/// The calling thread, to the kernel.
const CALLER: Pid = Pid::from_raw(0);

impl Place {
    /// Where the calling thread is.
    ///
    /// # Errors
    /// When the kernel does not say.
    #[expect(unsafe_code, reason = "nix has no getpriority")]
    pub fn now() -> io::Result<Self> {
        let cores = sched_getaffinity(CALLER)?;
        // SAFETY: no memory is handed over. The call fails for a process that is not there only, and this one is.
        let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        Ok(Self { cores, nice })
    }

    /// Puts the calling thread back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn restore(&self) -> io::Result<()> {
        set_nice(self.nice).and_then(|()| Ok(sched_setaffinity(CALLER, &self.cores)?))
    }

    /// Puts the calling thread on `core` alone, if one is given, and `priority` steps of nice before its usual ones.
    ///
    /// # Errors
    /// When there is no such core, or the process may not use it; when it may not raise its priority.
    pub fn take(&self, core: Option<usize>, priority: i32) -> io::Result<()> {
        if let Some(core) = core {
            let mut only = CpuSet::new();
            only.set(core)?;
            sched_setaffinity(CALLER, &only)?;
        }
        if priority == 0 { Ok(()) } else { set_nice(self.nice.saturating_sub(priority)) }
    }
}

/// On Linux, of the calling thread only.
#[expect(unsafe_code, reason = "nix has no setpriority")]
fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: no memory is handed over.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores() -> Vec<usize> {
        let set = sched_getaffinity(CALLER).unwrap();
        (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap()).collect()
    }

    #[test]
    fn a_thread_takes_a_core_and_gives_it_back() {
        let usual = Place::now().unwrap();
        let before = cores();
        let last = *before.last().unwrap();
        usual.take(Some(last), 0).unwrap();
        assert_eq!(cores(), [last]);
        // Threads inherit it: whoever starts one that should not gives the core back first.
        std::thread::scope(|scope| scope.spawn(|| assert_eq!(cores(), [last])).join().unwrap());
        usual.restore().unwrap();
        assert_eq!(cores(), before);
        assert!(usual.take(Some(CpuSet::count() - 1), 0).is_err());
        assert_eq!(cores(), before);
    }
}
