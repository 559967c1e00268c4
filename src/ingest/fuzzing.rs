//! Doors for the fuzz targets to what reads a camera's bytes and times, which stays private otherwise.

use std::time::Instant;

use super::intake::{Frame, Taken};
use super::{intake, sps};
use crate::media::{AccessUnit, AudioFormat, Ticks, Track, VideoCodec, VideoFormat};

/// The deepest reordering.
pub const MAX_DEPTH: usize = sps::MAX_DEPTH;

/// The reorder depth that an SPS promises.
pub fn reorder_depth(codec: VideoCodec, sps: &[u8]) -> Option<usize> {
    sps::reorder_depth(codec, sps)
}

/// The id of a picture parameter set.
pub fn pps_id(codec: VideoCodec, pps: &[u8]) -> Option<u32> {
    sps::pps_id(codec, pps)
}

/// Frames in, access units out.
#[derive(Debug)]
pub struct Intake(intake::Intake);

impl Intake {
    /// Of a camera that has delivered nothing yet.
    pub fn first() -> Self {
        Self(intake::Intake::new(false))
    }

    /// A new session begins.
    pub fn start_session(&mut self, audio: Option<AudioFormat>) {
        self.0.start_session(audio);
    }

    /// The camera told its parameter sets.
    pub fn on_parameters(&mut self, video: VideoFormat) {
        self.0.on_parameters(video);
    }

    /// A frame that arrived at `now`, with the stream's own time.
    pub fn take(&mut self, track: Track, raw: Ticks, now: Instant, data: Vec<u8>) -> Option<AccessUnit> {
        let taken = self.0.take(Frame { track, raw, began: now, received: now, lost_packets: 0, data });
        match taken {
            Taken::Unit { unit, .. } => Some(unit),
            Taken::Skipped { .. } => None,
        }
    }

    /// Warnings since the last call.
    pub fn warnings(&mut self) -> usize {
        std::iter::from_fn(|| self.0.poll_warning()).count()
    }
}
