//! A stream's folder on tmpfs: names in, files out; never follows a symbolic link, never touches a name that is not ours.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::media::StreamId;

/// The playlist's file name.
pub const PLAYLIST: &str = "index.m3u8";
/// Between prefix and number in a segment's name.
const SEGMENT: &str = "_main_seg";

/// The part of segment names that differs in every mux run, so that no cache serves an old run's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix([u8; 6]);

impl Prefix {
    /// The prefix for a random number.
    pub fn new(random: u64) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut rest = random;
        Self([0; 6].map(|_: u8| {
            let digit = DIGITS.get(usize::try_from(rest % 36).unwrap_or(0)).copied().unwrap_or(b'0');
            rest /= 36;
            digit
        }))
    }

    /// The name of a finished segment.
    pub fn segment(self, sequence: u64) -> String {
        format!("{self}{SEGMENT}{sequence}.ts")
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or("000000"))
    }
}

/// The hidden name of a file that is being written.
pub(super) fn hidden(name: &str) -> String {
    format!(".{name}.part")
}

/// True for the names that a mux run leaves in its folder.
fn is_ours(name: &str) -> bool {
    let visible = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part")).unwrap_or(name);
    if visible == PLAYLIST {
        return true;
    }
    let Some((prefix, rest)) = visible.split_once(SEGMENT) else { return false };
    let Some(number) = rest.strip_suffix(".ts") else { return false };
    prefix.len() == 6
        && prefix.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
        && !number.is_empty()
        && number.bytes().all(|c| c.is_ascii_digit())
}

/// A file operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// Something else is where the stream's folder should be.
    #[error("{} is a symbolic link or a file where a folder is needed: remove it, or set another [hls] output_dir", .0.display())]
    NotAFolder(PathBuf),
    /// The file system has no room.
    #[error("no space left on the tmpfs of {}", .0.display())]
    Full(PathBuf),
    /// Anything else.
    #[error("cannot {action} {}: {}", path.display(), errno.desc())]
    System {
        /// What was tried, e.g. `create`.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        errno: Errno,
    },
}

/// The folder of one stream, held open. Dropping it removes our files, and the folder itself when nothing else is in it.
#[derive(Debug)]
pub struct Folder {
    output_dir: PathBuf,
    id: StreamId,
    fd: RefCell<OwnedFd>,
}

impl Folder {
    /// Creates `<output_dir>/<id>` with parents, where it does not exist.
    ///
    /// # Errors
    /// When a link or file is in the way, or the system refuses.
    pub fn create(output_dir: &Path, id: StreamId) -> Result<Self, FolderError> {
        let fd = open(output_dir, id, true)?;
        Ok(Self { output_dir: output_dir.to_owned(), id, fd: RefCell::new(fd) })
    }

    /// The folder's path.
    pub fn path(&self) -> PathBuf {
        self.output_dir.join(self.id.as_str())
    }

    /// A new empty file, readable by everyone. When somebody removed the folder, it is made again.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn file(&self, name: &str) -> Result<OwnedFd, FolderError> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let create = || {
            let fd = openat(self.fd.borrow().as_fd(), name, flags, Mode::from_bits_truncate(0o644))?;
            fchmod(&fd, Mode::from_bits_truncate(0o644))?;
            Ok(fd)
        };
        match create() {
            Err(Errno::ENOENT) => {
                let again = open(&self.output_dir, self.id, true)?;
                self.fd.replace(again);
                create()
            }
            result => result,
        }
        .map_err(|errno| self.failed("create", name, errno))
    }

    /// Gives a file another name, replacing what has that name.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FolderError> {
        let fd = self.fd.borrow();
        renameat(fd.as_fd(), from, fd.as_fd(), to).map_err(|errno| self.failed("rename", from, errno))
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) {
        // A file that is gone already, or a folder that somebody removed, leaves nothing to do.
        let _gone = unlinkat(self.fd.borrow().as_fd(), name, UnlinkatFlags::NoRemoveDir);
    }

    /// Writes a small file and puts it in place by rename, so that a reader sees the old or the new one, whole.
    ///
    /// # Errors
    /// When the system refuses; the old file stays.
    pub fn replace(&self, name: &str, contents: &[u8]) -> Result<(), FolderError> {
        let part = hidden(name);
        let written = File::from(self.file(&part)?).write_all(contents);
        if let Err(error) = written {
            self.remove(&part);
            return Err(self.failed("write", name, errno_of(&error)));
        }
        self.rename(&part, name)
    }

    /// An error about the file `name`.
    pub fn failed(&self, action: &'static str, name: &str, errno: Errno) -> FolderError {
        failed(action, &self.path().join(name), errno)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to tell; the next start cleans what stays.
        let _stays = remove_ours(self.fd.get_mut(), "");
        let _not_empty = unlinkat(AT_FDCWD, &self.path(), UnlinkatFlags::RemoveDir);
    }
}

/// What a crashed run left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// How many files there were.
    pub files: usize,
    /// Its last playlist.
    pub playlist: Option<String>,
}

/// Removes what a crashed run left in `<output_dir>/<id>`. Other files stay.
///
/// # Errors
/// When a link or file is where the folder should be, or the system refuses.
pub fn clean_leftovers(output_dir: &Path, id: StreamId) -> Result<Leftovers, FolderError> {
    let path = output_dir.join(id.as_str());
    let fd = match open(output_dir, id, false) {
        Err(FolderError::System { errno: Errno::ENOENT, .. }) => return Ok(Leftovers::default()),
        result => result?,
    };
    let playlist = read_playlist(&fd);
    let keep = if playlist.is_some() { "" } else { PLAYLIST };
    let files = remove_ours(&fd, keep).map_err(|errno| failed("clean", &path, errno))?;
    let _not_empty = unlinkat(AT_FDCWD, &path, UnlinkatFlags::RemoveDir);
    Ok(Leftovers { files, playlist })
}

/// The playlist in `folder`, if it is one of ours: text that names our segments, not beyond any length that we write.
fn read_playlist(folder: &OwnedFd) -> Option<String> {
    const LONGEST: u64 = 64 * 1024;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut text = String::new();
    let file = File::from(openat(folder, PLAYLIST, flags, Mode::empty()).ok()?);
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.contains(SEGMENT).then_some(text)
}

fn open(output_dir: &Path, id: StreamId, create: bool) -> Result<OwnedFd, FolderError> {
    let path = output_dir.join(id.as_str());
    let folder = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    if create {
        std::fs::create_dir_all(output_dir).map_err(|error| failed("create", output_dir, errno_of(&error)))?;
    }
    let parent = openat(AT_FDCWD, output_dir, folder, Mode::empty()).map_err(|e| failed("open", output_dir, e))?;
    if create {
        match mkdirat(&parent, id.as_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed("create", &path, errno)),
        }
    }
    match openat(&parent, id.as_str(), folder | OFlag::O_NOFOLLOW, Mode::empty()) {
        Ok(fd) if create => {
            fchmod(&fd, Mode::from_bits_truncate(0o755)).map(|()| fd).map_err(|e| failed("open", &path, e))
        }
        Ok(fd) => Ok(fd),
        Err(Errno::ENOTDIR | Errno::ELOOP) => Err(FolderError::NotAFolder(path)),
        Err(errno) => Err(failed("open", &path, errno)),
    }
}

/// Removes the files in `folder` whose names are ours, but not `keep`.
fn remove_ours(folder: &OwnedFd, keep: &str) -> Result<usize, Errno> {
    let mut listing = Dir::openat(folder, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        if entry.file_name().to_str().is_ok_and(|name| is_ours(name) && name != keep) {
            names.push(entry.file_name().to_owned());
        }
    }
    let mut removed = 0;
    for name in names {
        removed += usize::from(unlinkat(folder, name.as_c_str(), UnlinkatFlags::NoRemoveDir).is_ok());
    }
    Ok(removed)
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> FolderError {
    match errno {
        Errno::ENOSPC | Errno::EDQUOT => FolderError::Full(path.to_owned()),
        errno => FolderError::System { action, path: path.to_owned(), errno },
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
