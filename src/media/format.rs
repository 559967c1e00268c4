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

/// AAC sound, in ADTS frames (ISO/IEC 13818-7 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
    /// RFC 6381 codec string, e.g. `mp4a.40.2`.
    pub rfc6381: String,
}

/// Everything a reader of a stream needs before its first access unit. Two formats that differ need a discontinuity.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamFormat {
    /// The video.
    pub video: VideoFormat,
    /// The sound, if the camera sends sound that HLS can carry and the configuration wants it.
    pub audio: Option<AudioFormat>,
}
