//! What a camera sends: codec, parameter sets, picture size, sound.

/// A video codec that Porthole carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// ITU-T H.264, ISO/IEC 14496-10.
    H264,
    /// ITU-T H.265, ISO/IEC 23008-2.
    H265,
}

impl VideoCodec {
    /// The name people use: `H.264`, `H.265`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
        }
    }
}

/// The video of a stream, as its parameter sets say.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFormat {
    /// The codec.
    pub codec: VideoCodec,
    /// Parameter sets in the order they are sent (VPS, SPS, PPS), each one NAL unit without start code or length.
    pub parameter_sets: Vec<Box<[u8]>>,
    /// Picture width after cropping, pixels; 0 when unknown.
    pub width: u32,
    /// Picture height after cropping, pixels; 0 when unknown.
    pub height: u32,
    /// RFC 6381 codec string, e.g. `avc1.64001F`.
    pub rfc6381: String,
}

/// An audio codec that Porthole takes from a camera. None of them plays everywhere: HLS carries AAC only, and browsers
/// take G.711 over WebRTC but no AAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC, ISO/IEC 14496-3.
    Aac,
    /// ITU-T G.711 mu-law, 8 kHz mono (RFC 3551 section 4.5.14).
    Pcmu,
    /// ITU-T G.711 A-law, 8 kHz mono (RFC 3551 section 4.5.14).
    Pcma,
}

impl AudioCodec {
    /// The name people use, which for G.711 is that of the SDP: `AAC`, `PCMU`, `PCMA`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aac => "AAC",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// The sound of a stream, as the camera describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// The codec.
    pub codec: AudioCodec,
    /// Samples per second; 8000 for G.711.
    pub sample_rate: u32,
    /// Channels; 1 for G.711.
    pub channels: u16,
    /// RFC 6381 codec string, e.g. `mp4a.40.2`; empty for G.711, which has none.
    pub rfc6381: String,
}

/// Everything a reader of a stream needs before its first access unit. Two formats that differ need a discontinuity.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamFormat {
    /// The video.
    pub video: VideoFormat,
    /// The sound, if the camera sends AAC or G.711 and the configuration wants it. Not every output carries it.
    pub audio: Option<AudioFormat>,
}
