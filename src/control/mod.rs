//! The one seam between the media thread and everything that asks: `Command` in, typed reply out, `Snapshot` to read.

mod command;
mod status;

pub use command::{Command, Commands, Control, Refused, Wake, channel};
pub use status::{
    AudioStatus, CameraState, CameraStatus, Fault, HlsStatus, ItemStatus, MemoryStatus, Snapshot, StatusBoard,
    VideoStatus,
};
