//! The folder for segments belongs to one process: a lock that the kernel lets go of even after a kill -9.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Why the folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be made or written to.
    #[error("{}: {source}; is it writable for this user?", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{}: another porthole uses this folder; stop it, or choose another output_dir", .0.display())]
    Taken(PathBuf),
}

/// Holds a folder; dropping it removes the lock file, and the folder if nothing else is in it.
pub(super) struct FolderLock {
    folder: PathBuf,
    _file: Flock<File>,
}

impl FolderLock {
    pub(super) fn take(folder: &Path) -> Result<Self, LockError> {
        let fail = |source| LockError::Folder { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(fail)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join(NAME))
            .map_err(fail)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { folder: folder.to_owned(), _file: file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Taken(folder.to_owned())),
            Err((_, errno)) => Err(fail(errno.into())),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.folder.join(NAME));
        let _ = std::fs::remove_dir(&self.folder);
    }
}

const NAME: &str = ".lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time_and_is_removed_after_the_last() {
        let folder = std::env::temp_dir().join(format!("porthole-lock-{}", std::process::id()));
        let first = FolderLock::take(&folder.join("hls")).unwrap();
        assert!(matches!(FolderLock::take(&folder.join("hls")), Err(LockError::Taken(_))));
        drop(first);
        drop(FolderLock::take(&folder.join("hls")).unwrap());
        assert!(!folder.join("hls").exists());
        std::fs::remove_dir(&folder).unwrap();
    }
}
