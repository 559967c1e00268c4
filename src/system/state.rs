//! Private files that survive a restart: a folder, a name and bytes in; a file that only this user can read.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The largest private file that is read, bytes.
const MOST_BYTES: u64 = 64 << 10;

/// Why a private file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading failed.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Making the folder, or writing, failed.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Everybody could put another file in its place.
    #[error("every user can write to the folder {}: choose another, or take that right away (chmod o-w)", .0.display())]
    OpenFolder(PathBuf),
    /// A symbolic link, a folder, a device.
    #[error("{} is not a file of its own (a link or a folder?): remove it", .0.display())]
    NotAFile(PathBuf),
    /// What others could read is not private any more.
    #[error("{} can be read or written by other users (mode {mode:04o}): remove it, so that a new one is made", .path.display())]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not one of ours.
    #[error("{} has {bytes} bytes; at most {MOST_BYTES} are read", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
}

/// The contents of the private file `name` in `folder`; `None` when there is none.
///
/// A file that other users can read or write is refused, and its mode is not repaired: a key in it may be known to
/// others by now, so a new one has to be made. [`write_private`] replaces such a file.
///
/// # Errors
/// When the file cannot be read, or is not private.
pub fn read_private(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, StateError> {
    let path = folder.join(name);
    match refuse_open_folder(folder) {
        Err(StateError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    }
    // No waiting for the other end of a pipe.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(StateError::NotAFile(path)),
        Err(source) => return Err(StateError::Read { path, source }),
    };
    let fail = |source| StateError::Read { path: path.clone(), source };
    let facts = file.metadata().map_err(fail)?;
    if !facts.is_file() {
        return Err(StateError::NotAFile(path));
    }
    let mode = facts.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateError::NotPrivate { path, mode });
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(StateError::TooLarge { path, bytes: facts.len() });
    }
    Ok(Some(bytes))
}

/// Writes the private file `name` (0600) in `folder`, made as 0700 where it is missing. Whoever reads sees the old
/// contents or the new ones, even after a power failure. Of several writers at once, all but one may fail.
///
/// # Errors
/// When the folder cannot be made or is open to everybody, the file cannot be written, or something that is not a file
/// has its name.
pub fn write_private(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StateError> {
    make_folder(folder).map_err(|source| StateError::Write { path: folder.to_owned(), source })?;
    refuse_open_folder(folder)?;
    let path = folder.join(name);
    if std::fs::symlink_metadata(&path).is_ok_and(|facts| !facts.is_file()) {
        return Err(StateError::NotAFile(path));
    }
    let unfinished = folder.join(format!(".{name}.new"));
    replace(folder, &path, &unfinished, bytes).map_err(|source| {
        let _ = std::fs::remove_file(&unfinished);
        StateError::Write { path, source }
    })
}

fn replace(folder: &Path, path: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
    // Left by a run that was killed while it wrote.
    match std::fs::remove_file(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
    // Whatever the umask took away.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(unfinished, path)?;
    File::open(folder)?.sync_all()
}

/// Folders above `folder` that are missing are made as everybody makes them; only `folder` itself is private.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(above)?;
    }
    DirBuilder::new().mode(0o700).create(folder)
}

fn refuse_open_folder(folder: &Path) -> Result<(), StateError> {
    let facts = std::fs::metadata(folder).map_err(|source| StateError::Read { path: folder.to_owned(), source })?;
    if facts.mode() & 0o002 == 0 { Ok(()) } else { Err(StateError::OpenFolder(folder.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("porthole-state-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            DirBuilder::new().mode(0o755).create(&folder).unwrap();
            Self(folder)
        }

        fn mode(&self, path: &str) -> u32 {
            std::fs::symlink_metadata(self.0.join(path)).unwrap().mode() & 0o7777
        }

        fn chmod(&self, path: &str, mode: u32) {
            std::fs::set_permissions(self.0.join(path), Permissions::from_mode(mode)).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_is_read_and_only_this_user_can() {
        let scratch = Scratch::new("round");
        let folder = scratch.0.join("lib/porthole");
        assert_eq!(read_private(&folder, "key").unwrap(), None);
        write_private(&folder, "key", b"first").unwrap();
        write_private(&folder, "key", b"second").unwrap();
        assert_eq!(read_private(&folder, "key").unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(read_private(&folder, "other").unwrap(), None);
        assert_eq!((scratch.mode("lib/porthole"), scratch.mode("lib/porthole/key")), (0o700, 0o600));
        assert_eq!(scratch.mode("lib") & 0o700, 0o700);
        let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["key"], "nothing else is left");
    }

    #[test]
    fn a_file_that_others_could_read_is_refused_until_it_is_written_anew() {
        let scratch = Scratch::new("mode");
        write_private(&scratch.0, "key", b"known").unwrap();
        for mode in [0o640, 0o604, 0o620] {
            scratch.chmod("key", mode);
            let error = read_private(&scratch.0, "key").unwrap_err();
            assert!(matches!(error, StateError::NotPrivate { mode: found, .. } if found == mode), "{error}");
        }
        scratch.chmod("key", 0o644);
        let path = scratch.0.join("key");
        assert_eq!(
            read_private(&scratch.0, "key").unwrap_err().to_string(),
            format!(
                "{} can be read or written by other users (mode 0644): remove it, so that a new one is made",
                path.display()
            )
        );
        write_private(&scratch.0, "key", b"new").unwrap();
        assert_eq!(read_private(&scratch.0, "key").unwrap().as_deref(), Some(&b"new"[..]));
    }

    #[test]
    fn links_and_folders_are_refused_and_their_targets_stay_as_they_are() {
        let scratch = Scratch::new("link");
        write_private(&scratch.0, "target", b"kept").unwrap();
        std::os::unix::fs::symlink("target", scratch.0.join("key")).unwrap();
        std::fs::create_dir(scratch.0.join("folder")).unwrap();
        nix::unistd::mkfifo(&scratch.0.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["key", "folder", "pipe"] {
            assert!(matches!(read_private(&scratch.0, name), Err(StateError::NotAFile(_))), "{name}");
            assert!(matches!(write_private(&scratch.0, name, b"x"), Err(StateError::NotAFile(_))), "{name}");
        }
        assert_eq!(read_private(&scratch.0, "target").unwrap().as_deref(), Some(&b"kept"[..]));
    }

    #[test]
    fn a_folder_that_everybody_writes_to_is_refused() {
        let scratch = Scratch::new("open");
        write_private(&scratch.0, "key", b"x").unwrap();
        scratch.chmod("", 0o1777);
        assert!(matches!(read_private(&scratch.0, "key"), Err(StateError::OpenFolder(_))));
        assert!(matches!(write_private(&scratch.0, "key", b"y"), Err(StateError::OpenFolder(_))));
    }

    #[test]
    fn what_a_killed_run_left_is_no_obstacle_and_a_large_file_is_not_read() {
        let scratch = Scratch::new("rest");
        std::fs::write(scratch.0.join(".key.new"), b"half").unwrap();
        write_private(&scratch.0, "key", &vec![7; 65_537]).unwrap();
        assert!(matches!(read_private(&scratch.0, "key"), Err(StateError::TooLarge { bytes: 65_537, .. })));
        write_private(&scratch.0, "key", &vec![7; 65_536]).unwrap();
        assert_eq!(read_private(&scratch.0, "key").unwrap().unwrap().len(), 65_536);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let scratch = Scratch::new("file");
        std::fs::write(scratch.0.join("file"), b"").unwrap();
        let folder = scratch.0.join("file/state");
        let error = write_private(&folder, "key", b"x").unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write {}: ", folder.display())), "{error}");
        let error = read_private(&folder, "key").unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot read {}: ", folder.display())), "{error}");
    }
}
