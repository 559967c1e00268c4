//! Reads every profile below a folder, and writes or compares what is rendered from them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::fit::fit;
use super::profile::Profile;
use super::render::render;
use crate::config::task::{LoadError, read_text};

/// Where a board's rendered files stand, in its folder.
const RENDERED: &str = "rendered";

/// Why nothing was rendered, or what is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// No board at all.
    #[error("{}: holds no NAME/profile.toml", .0.display())]
    NoBoard(PathBuf),
    /// Profiles that cannot be read, are wrong, or do not fit themselves. Nothing was written.
    #[error("{}", lines(.0))]
    Profiles(Vec<LoadError>),
    /// A file or folder.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Files that are not what the profiles say.
    #[error("{}", lines(.0))]
    Stale(Vec<Stale>),
}

/// A file that is not what the profiles say.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Not there.
    #[error("{}: is missing: run `porthole board render`", .0.display())]
    Missing(PathBuf),
    /// Another text.
    #[error("{}: differs from its profile: edit that, and run `porthole board render`", .0.display())]
    Differs(PathBuf),
    /// Nothing that is rendered.
    #[error("{}: is rendered from nothing: delete it", .0.display())]
    Stray(PathBuf),
}

fn lines(all: &[impl ToString]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Writes what every profile below `dir` says; returns the files that changed.
///
/// # Errors
/// When any profile is wrong, before anything is written; when a file cannot be written.
pub fn write(dir: &Path) -> Result<Vec<PathBuf>, RenderError> {
    let mut changed = Vec::new();
    for (path, text) in rendered(dir)? {
        if current(&path)?.is_some_and(|old| old == text.as_bytes()) {
            continue;
        }
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)).map_err(failed(&path))?;
        changed.push(path);
    }
    Ok(changed)
}

/// Compares what stands below `dir` with what every profile says; returns how many files there are.
///
/// # Errors
/// When any profile is wrong, and every file that is missing, differs, or belongs to no profile.
pub fn check(dir: &Path) -> Result<usize, RenderError> {
    let files = rendered(dir)?;
    let mut stale = Vec::new();
    for (path, text) in &files {
        match current(path)? {
            None => stale.push(Stale::Missing(path.clone())),
            Some(old) if old != text.as_bytes() => stale.push(Stale::Differs(path.clone())),
            Some(_) => {}
        }
    }
    for board in entries(dir)? {
        let folder = board.join(RENDERED);
        if folder.is_dir() {
            let strays = entries(&folder)?.into_iter().filter(|path| !files.contains_key(path));
            stale.extend(strays.map(Stale::Stray));
        }
    }
    if stale.is_empty() { Ok(files.len()) } else { Err(RenderError::Stale(stale)) }
}

/// Every file of every board, by path.
fn rendered(dir: &Path) -> Result<BTreeMap<PathBuf, String>, RenderError> {
    let (mut files, mut wrong) = (BTreeMap::new(), Vec::new());
    for folder in entries(dir)? {
        let path = folder.join("profile.toml");
        if !path.exists() {
            continue;
        }
        match load(&path, &folder) {
            Ok(profile) => {
                let place = folder.join(RENDERED);
                files.extend(render(&profile).into_iter().map(|(name, text)| (place.join(name), text)));
            }
            Err(error) => wrong.push(error),
        }
    }
    if !wrong.is_empty() {
        Err(RenderError::Profiles(wrong))
    } else if files.is_empty() {
        Err(RenderError::NoBoard(dir.to_owned()))
    } else {
        Ok(files)
    }
}

fn load(path: &Path, folder: &Path) -> Result<Profile, LoadError> {
    let name = folder.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let problems = |problems| LoadError::Problems { path: path.to_owned(), problems };
    let profile = Profile::parse(&read_text(path)?, &name).map_err(problems)?;
    fit(&profile).map_err(problems)?;
    Ok(profile)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, RenderError> {
    let read = || std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let mut all = read().map_err(failed(dir))?;
    all.sort();
    Ok(all)
}

fn current(path: &Path) -> Result<Option<Vec<u8>>, RenderError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RenderError {
    let path = path.to_owned();
    move |source| RenderError::File { path, source }
}
