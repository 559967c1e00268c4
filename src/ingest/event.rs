//! What a camera's task tells its owner, one value per event.

use std::rc::Rc;
use std::time::Duration;

use crate::media::StreamFormat;

use super::cause::Cause;
use super::settings::Transport;

/// What happened to a camera.
#[derive(Clone, Debug)]
pub enum Event {
    /// An attempt begins; `attempt` counts from 1 since the camera last worked.
    Connecting {
        /// Attempts in a row.
        attempt: u32,
    },
    /// The camera accepted and was told to play.
    Connected {
        /// How it sends.
        transport: Transport,
        /// What it says it is (the description's `tool`).
        tool: Option<String>,
    },
    /// The camera offers sound that is not taken along.
    SoundSkipped(SkippedSound),
    /// The format of what follows; before the first unit of each format.
    Format(Rc<StreamFormat>),
    /// The first key frame of a session was delivered.
    Streaming,
    /// It works, but could be better.
    Warning(Warning),
    /// The attempt or the session ended; the next begins after `retry_in`.
    Failed {
        /// Why.
        cause: Cause,
        /// The wait.
        retry_in: Duration,
    },
}

/// Sound that is not taken along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedSound {
    /// The name of the codec: the camera's, e.g. `OPUS`, or `AAC`, `PCMU`, `PCMA` for what would otherwise be carried.
    pub codec: String,
    /// RTP clock rate, mostly samples per second.
    pub sample_rate: u32,
    /// Why it is not taken along.
    pub reason: SkipReason,
}

/// Why sound is not taken along.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// `audio = false`.
    #[error("sound is turned off in the configuration")]
    TurnedOff,
    /// Neither AAC nor G.711.
    #[error("{codec} sound is not carried: choose AAC in the camera")]
    Codec {
        /// The camera's name for the codec.
        codec: String,
    },
    /// AAC in a form that ADTS cannot carry, or with unusable parameters.
    #[error("this kind of AAC is not supported: choose AAC-LC in the camera")]
    AacKind,
    /// G.711 that is not the 8 kHz mono that WebRTC knows.
    #[error(
        "G.711 is carried at 8000 Hz in mono only, not at {sample_rate} Hz in {}: choose AAC in the camera",
        layout(*channels)
    )]
    G711Kind {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
    /// The camera's G.711 ended a session; since then it is left out.
    #[error("the camera's sound broke its stream ({detail}): choose AAC in the camera")]
    Broken {
        /// What was wrong.
        detail: String,
    },
    /// The camera does not set its sound up.
    #[error("the camera refuses its sound: {detail}")]
    Refused {
        /// Its answer.
        detail: String,
    },
    /// Another sound stream was chosen.
    #[error("only one sound of a camera is carried, AAC before others")]
    Second,
}

fn layout(channels: u16) -> String {
    match channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        more => format!("{more} channels"),
    }
}

/// Something that works but could be better. Displays as one sentence; `code` and `args` are the same for translations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// UDP, and the kernel's default receive buffer is too small for a key frame of this picture size.
    #[error(
        "UDP packets will be lost: net.core.rmem_default is {have} bytes, a key frame of this camera needs about {need}; \
         raise it, or use TCP"
    )]
    SmallUdpBuffer {
        /// `net.core.rmem_default`.
        have: u64,
        /// What a key frame's burst takes in the kernel, estimated from the picture size.
        need: u64,
    },
    /// Key frames are far apart.
    #[error("key frame only every {seconds} s: set it to 1 or 2 s in the camera")]
    LongGop {
        /// Seconds between key frames, rounded.
        seconds: u64,
    },
    /// Pictures flow but no key frame came.
    #[error("no key frame in {seconds} s: turn intra refresh off in the camera, and set a key frame every 1 or 2 s")]
    NoKeyFrame {
        /// Seconds since the session began, or since the last key frame.
        seconds: u64,
    },
    /// A picture larger than [`super::MAX_PICTURE`] was dropped.
    #[error("a picture of {bytes} bytes was dropped: at most {limit} are taken")]
    HugePicture {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The camera's clock jumped.
    #[error("the camera's clock jumps: set its time source (NTP) right")]
    ClockJump,
}

/// What a key frame's burst by UDP takes of a receive buffer (`net.core.rmem_default`), bytes; estimated from the
/// picture's width and height.
pub fn key_frame_burst((width, height): (u32, u32)) -> u64 {
    // One bit per pixel is a large key frame; a packet of 1400 bytes is charged about 2300 by the kernel.
    u64::from(width) * u64::from(height) / 8 * 8 / 5
}

impl Warning {
    /// Says whether a UDP receive buffer of `have` bytes is too small for the key frames of pictures of this size.
    pub(super) fn small_udp_buffer(have: u64, size: (u32, u32)) -> Option<Self> {
        let need = key_frame_burst(size);
        (have < need).then_some(Self::SmallUdpBuffer { have, need })
    }

    /// Stable identifier, for translations.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SmallUdpBuffer { .. } => "small_udp_buffer",
            Self::LongGop { .. } => "long_gop",
            Self::NoKeyFrame { .. } => "no_key_frame",
            Self::HugePicture { .. } => "huge_picture",
            Self::ClockJump => "clock_jump",
        }
    }

    /// The values in the sentence, by name.
    pub fn args(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::SmallUdpBuffer { have, need } => vec![("have", have.to_string()), ("need", need.to_string())],
            Self::LongGop { seconds } | Self::NoKeyFrame { seconds } => vec![("seconds", seconds.to_string())],
            Self::HugePicture { bytes, limit } => vec![("bytes", bytes.to_string()), ("limit", limit.to_string())],
            Self::ClockJump => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_default_holds_a_small_picture_but_not_full_hd() {
        assert_eq!(Warning::small_udp_buffer(212_992, (704, 576)), None);
        assert_eq!(
            Warning::small_udp_buffer(212_992, (1920, 1080)).map(|warning| warning.to_string()).as_deref(),
            Some(
                "UDP packets will be lost: net.core.rmem_default is 212992 bytes, a key frame of this camera needs \
                 about 414720; raise it, or use TCP"
            )
        );
    }
}
