//! The one seam between the media thread and everything that asks: `Command` in, typed reply out, `Snapshot` to read.

mod command;
mod status;
mod watch;

pub use command::{Command, Commands, Control, Refused, Reply, Wake, channel};
pub use status::{
    AudioStatus, CameraState, CameraStatus, CameraWebRtcStatus, Fault, HlsStatus, ItemStatus, MemoryStatus,
    SessionStatus, Snapshot, StatusBoard, VideoStatus, WebRtcCounters, WebRtcStatus,
};
pub use watch::{Answer, Offer, SessionId, WatchRefusal};
