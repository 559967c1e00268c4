//! Reads configuration files: paths in, `Config`, `Board` and `Plan` out, or sentences that name the file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Board, Config, Machine, Plan, Problem};

/// The largest file that is read, bytes: a configuration has at most 64 cameras.
const MOST_BYTES: u64 = 1 << 20;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file was read and is wrong, or does not fit the board.
    #[error("{}", list(path, problems))]
    Problems {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let mut text = String::new();
    for (index, problem) in problems.iter().enumerate() {
        let _ = write!(text, "{}{}: {problem}", if index == 0 { "" } else { "\n" }, path.display());
    }
    text
}

/// Where the configuration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// `config.toml`.
    pub config: PathBuf,
    /// `board.toml`; absent: the generic profile.
    pub board: Option<PathBuf>,
}

/// Reads the files and makes the plan. `machine` tells what holds the output folder.
///
/// # Errors
/// When a file cannot be read or anything in it is wrong: all problems of a file at once.
pub fn load(files: &Files, machine: impl FnOnce(&Path) -> Machine) -> Result<Plan, LoadError> {
    let problems = |path: &Path| {
        let path = path.to_owned();
        move |problems| LoadError::Problems { path, problems }
    };
    let text = read_text(&files.config)?;
    let folder = files.config.parent().unwrap_or(Path::new(""));
    let secret = |path: &Path| read_text(&folder.join(path)).map_err(|error| error.reason());
    let (config, mut wrong) = Config::read(&text, secret);
    let machine = machine(&config.hls.output_dir);
    let board = match &files.board {
        Some(path) => Board::parse(&read_text(path)?).map_err(problems(path))?,
        None => Board::generic(&machine),
    };
    // What does not fit is told even of a file that is wrong elsewhere; but not twice of one field.
    let plan = Plan::resolve(&config, &board, &machine).map_err(|unfit| {
        let new: Vec<_> = unfit.into_iter().filter(|new| wrong.iter().all(|old| old.field != new.field)).collect();
        wrong.extend(new);
    });
    match plan {
        Ok(plan) if wrong.is_empty() => Ok(plan),
        _ => Err(problems(&files.config)(wrong)),
    }
}

impl LoadError {
    fn reason(self) -> String {
        match self {
            Self::Read { why, .. } => why,
            Self::Problems { .. } => self.to_string(),
        }
    }
}

/// A file's text, if it is one of a configuration's size.
pub(crate) fn read_text(path: &Path) -> Result<String, LoadError> {
    let fail = |why: String| LoadError::Read { path: path.to_owned(), why };
    let facts = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !facts.is_file() {
        return Err(fail("it is not a file".to_owned()));
    }
    if facts.len() > MOST_BYTES {
        return Err(fail(format!("it has {} bytes; at most {MOST_BYTES} are read", facts.len())));
    }
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    String::from_utf8(bytes)
        .map_err(|error| fail(format!("it is not UTF-8 text (byte {} is wrong)", error.utf8_error().valid_up_to() + 1)))
}
