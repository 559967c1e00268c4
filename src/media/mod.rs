//! The vocabulary every other folder speaks: time, stream ids, formats, access units, NAL units.

mod access_unit;
mod format;
mod id;
pub mod nal;
mod time;

pub use access_unit::{AccessUnit, Track};
pub use format::{AudioCodec, AudioFormat, StreamFormat, VideoCodec, VideoFormat};
pub use id::{InvalidStreamId, StreamId};
pub use time::{Ticks, WallTime};
