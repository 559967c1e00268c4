//! A folder on tmpfs for one test, removed afterwards.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount, umount};

/// A folder on tmpfs for one test.
pub(crate) struct Scratch {
    path: PathBuf,
    mounted: bool,
}

impl Scratch {
    /// A folder below /dev/shm.
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/dev/shm/porthole-test-{}-{name}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path, mounted: false }
    }

    /// A tmpfs of its own that holds `bytes`; none, with the reason printed, where mounting is not allowed.
    pub(crate) fn small(name: &str, bytes: usize) -> Option<Self> {
        let mut scratch = Self::new(name);
        let options = format!("size={bytes}");
        if let Err(error) = mount(Some("tmpfs"), &scratch.path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
        {
            println!("skipped: a small tmpfs cannot be mounted here ({error}); run as root");
            return None;
        }
        scratch.mounted = true;
        Some(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new file.
    pub(crate) fn open(&self, name: &str) -> OwnedFd {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true).open(self.path.join(name)).unwrap().into()
    }

    /// The names in a folder, sorted.
    pub(crate) fn names(path: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.mounted {
            let _busy = umount(&self.path);
        }
        let _gone = std::fs::remove_dir_all(&self.path);
    }
}
