//! What goes wrong while segments are written, in words for the operator and in codes for the page.

use std::collections::BTreeMap;

use super::FolderError;

/// Something was lost or is not as it should be; the stream goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The tmpfs is full.
    #[error("no space left on the tmpfs of {path}: pictures are dropped until there is room")]
    TmpfsFull {
        /// The file that found no room.
        path: String,
    },
    /// The camera's share of the tmpfs is used up by what viewers still hold.
    #[error("segments need more than this camera's {megabytes} MB of tmpfs: pictures are dropped until there is room")]
    ShareFull {
        /// The share.
        megabytes: u64,
    },
    /// A viewer held the oldest segment when its slot was needed.
    #[error("a viewer too slow to fetch {file_name} in time was cut off")]
    ReaderCutOff {
        /// The segment.
        file_name: String,
    },
    /// A segment had to be cut without a key frame.
    #[error(
        "no key frame for {seconds} s: a segment was cut without one; set the camera's key frame interval to 1 or 2 s"
    )]
    LongGop {
        /// The duration of the segment that was cut.
        seconds: String,
    },
    /// A segment had to be cut because of its size.
    #[error(
        "a segment reached {megabytes} MB and was cut: the camera sends more than this board's plan allows; lower its bitrate or its key frame interval"
    )]
    SegmentTooLarge {
        /// The limit.
        megabytes: u64,
    },
    /// Segments come faster than their numbers may grow.
    #[error("the camera's timestamps break more than ten times a second: a segment was dropped")]
    TooManySegments,
    /// The queue in front of the muxer was full.
    #[error("{units} pictures were dropped: they came faster than they could be written")]
    QueueOverflow {
        /// How many units this time.
        units: u64,
    },
    /// A file operation failed.
    #[error("{0}: pictures are dropped until it works")]
    Files(FolderError),
}

impl Fault {
    /// A stable identifier for translations.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TmpfsFull { .. } => "tmpfs_full",
            Self::ShareFull { .. } => "tmpfs_share_full",
            Self::ReaderCutOff { .. } => "slow_viewer_cut_off",
            Self::LongGop { .. } => "segment_without_key_frame",
            Self::SegmentTooLarge { .. } => "segment_too_large",
            Self::TooManySegments => "too_many_segments",
            Self::QueueOverflow { .. } => "queue_overflow",
            Self::Files(_) => "files",
        }
    }

    /// The values in the sentence, by name.
    pub fn args(&self) -> BTreeMap<&'static str, String> {
        let pair = match self {
            Self::TmpfsFull { path } => ("path", path.clone()),
            Self::ShareFull { megabytes } | Self::SegmentTooLarge { megabytes } => ("megabytes", megabytes.to_string()),
            Self::ReaderCutOff { file_name } => ("file_name", file_name.clone()),
            Self::LongGop { seconds } => ("seconds", seconds.clone()),
            Self::TooManySegments => return BTreeMap::new(),
            Self::QueueOverflow { units } => ("units", units.to_string()),
            Self::Files(error) => ("error", error.to_string()),
        };
        BTreeMap::from([pair])
    }
}

impl From<FolderError> for Fault {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Full(path) => Self::TmpfsFull { path: path.display().to_string() },
            error => Self::Files(error),
        }
    }
}
