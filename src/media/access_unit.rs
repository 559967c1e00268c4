//! The access unit: one coded picture with its NAL units, or some audio that arrived together.

use std::rc::Rc;
use std::time::Instant;

use super::{StreamFormat, Ticks};

/// Which elementary stream an access unit belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Track {
    /// H.264 or H.265.
    Video,
    /// AAC or G.711.
    Audio,
}

/// One coded picture, or some audio that arrived together, on its way through the hub. Immutable; shared as `Rc<AccessUnit>`.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// The elementary stream.
    pub track: Track,
    /// Presentation time. Continues over reconnects of the camera; never below the `dts` of the same unit.
    pub pts: Ticks,
    /// Decoding time: strictly increasing per track, except at a `discontinuity`.
    pub dts: Ticks,
    /// Video: a picture that decoding can start from (H.264 IDR; H.265 IDR, CRA, BLA). Audio: false.
    pub key_frame: bool,
    /// The first unit after a break: a new session with the camera, another format, or a timestamp jump.
    /// Only ever set on a video key frame; everything up to it (audio too) belongs to the old run.
    pub discontinuity: bool,
    /// RTP packets known to be lost just before this unit (its picture may show damage until the next key frame).
    pub lost_packets: u16,
    /// When the last byte arrived (monotonic clock).
    pub received: Instant,
    /// The format in force, shared; a new `Rc` (with other contents) only together with `discontinuity`.
    pub format: Rc<StreamFormat>,
    /// Video: NAL units, each preceded by its length as 4 bytes big-endian (ISO/IEC 14496-15 style); without access unit
    /// delimiters and parameter sets, which the muxer places itself.
    /// AAC: one or more whole ADTS frames (ISO/IEC 13818-7 section 6.2). G.711: one byte per sample, as many as the camera
    /// put into one RTP packet: mostly 160 or 320 (20 or 40 ms), at least 1, at most what 16 bits of length allow.
    pub data: Vec<u8>,
}

impl AccessUnit {
    /// A video unit whose loss, format and origin are ordinary. For tests and tools.
    pub fn video(format: &Rc<StreamFormat>, dts: Ticks, key_frame: bool, data: Vec<u8>, received: Instant) -> Self {
        Self {
            track: Track::Video,
            pts: dts,
            dts,
            key_frame,
            discontinuity: false,
            lost_packets: 0,
            received,
            format: Rc::clone(format),
            data,
        }
    }
}
