//! The machine's watchdog: fed, or it resets the machine. Linux, Documentation/watchdog/watchdog-api.rst.
#![expect(unsafe_code, reason = "the driver is asked by ioctl")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

mod request {
    nix::ioctl_read!(boot_status, b'W', 2, libc::c_int);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
}

/// WDIOF_CARDRESET: the last boot was the watchdog's doing.
const CARD_RESET: libc::c_int = 0x0020;

/// An armed watchdog. Dropped without [`Watchdog::disarm`], it resets the machine once its time is over: that is what it is for.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    seconds: u32,
    was_reset: bool,
}

/// Why there is no watchdog.
#[derive(Debug, thiserror::Error)]
pub enum WatchdogError {
    /// The device cannot be opened: it is not there, it is taken (by systemd's RuntimeWatchdogSec), or it is not ours to open.
    #[error("cannot open the watchdog {}: {source}", .path.display())]
    Open {
        /// The device.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The driver takes no such time. It runs all the same, with its own.
    #[error("the watchdog {} does not take {seconds} s: {source}", .path.display())]
    Timeout {
        /// The device.
        path: PathBuf,
        /// The time asked for.
        seconds: u32,
        /// The system's error.
        source: io::Error,
    },
}

impl Watchdog {
    /// Arms the watchdog `path`: from now on it must be [fed](Self::feed) every `seconds`. A driver may take another time.
    ///
    /// # Errors
    /// When there is none to be had, or it does not take that time.
    pub fn arm(path: &Path, seconds: u32) -> Result<Self, WatchdogError> {
        let device = OpenOptions::new().write(true).custom_flags(libc::O_CLOEXEC).open(path);
        let device = device.map_err(|source| WatchdogError::Open { path: path.to_owned(), source })?;
        let mut taken = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
        // SAFETY: the request writes one int, which outlives the call.
        let set = unsafe { request::set_timeout(device.as_raw_fd(), &raw mut taken) };
        if let Err(errno) = set {
            // Not armed for good: whoever asked for another time may not feed it often enough.
            let refused = Self { device, seconds, was_reset: false };
            refused.disarm();
            return Err(WatchdogError::Timeout { path: path.to_owned(), seconds, source: errno.into() });
        }
        let mut status: libc::c_int = 0;
        // SAFETY: as above. Drivers that do not know leave it as it is.
        let asked = unsafe { request::boot_status(device.as_raw_fd(), &raw mut status) };
        let was_reset = asked.is_ok() && status & CARD_RESET != 0;
        Ok(Self { device, seconds: u32::try_from(taken).unwrap_or(seconds), was_reset })
    }

    /// The time after which it resets the machine, as the driver took it.
    pub const fn seconds(&self) -> u32 {
        self.seconds
    }

    /// True when the watchdog started the machine anew the last time, as far as its driver knows.
    pub const fn was_reset(&self) -> bool {
        self.was_reset
    }

    /// All is well for another while.
    ///
    /// # Errors
    /// When the driver does not take it.
    pub fn feed(&self) -> io::Result<()> {
        (&self.device).write_all(b"\0")
    }

    /// Ends the watch in good order; kernels built with CONFIG_WATCHDOG_NOWAYOUT go on watching.
    pub fn disarm(self) {
        // The magic character: without it, closing does not end the watch.
        let _ = (&self.device).write_all(b"V");
    }
}
