//! Watching by WebRTC, through the seam: an offer in, an answer or the reason for a refusal out. draft-ietf-wish-whep.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::media::StreamId;

/// A WebRTC session: 128 random bits, so that only who was told it can end it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// The session with these random bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The random bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Reads what `Display` writes: 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Whoever reads a log cannot end sessions: eight digits tell them apart.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A browser that wants to watch a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The camera.
    pub camera: StreamId,
    /// The offer, as sent; untrusted.
    pub sdp: String,
    /// The address of this machine on which the request arrived: the candidate to name first.
    pub arrived_at: Option<IpAddr>,
}

/// A session that exists now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its id.
    pub session: SessionId,
    /// The answer, with all candidates.
    pub sdp: String,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchRefusal {
    /// `[webrtc] enabled = false`. HTTP 503.
    #[error("WebRTC is not enabled")]
    Off,
    /// WebRTC is on but cannot run, e.g. because its port is taken; tried again by itself. HTTP 503 with Retry-After.
    #[error("{0}")]
    Failed(String),
    /// HTTP 404.
    #[error("there is no stream with this id")]
    UnknownCamera,
    /// The offer cannot be understood, or asks for something else than to watch. HTTP 400.
    #[error("the SDP offer cannot be used: {0}")]
    BadOffer(String),
    /// This browser and this camera share nothing. HTTP 406.
    #[error("{sentence}")]
    NotPlayable {
        /// Stable identifier: `no_shared_codec`, `b_frames`.
        code: &'static str,
        /// What is wrong and what to do.
        sentence: String,
    },
    /// The plan's limit is reached. HTTP 503 with Retry-After.
    #[error("{}", match .camera {
        Some(camera) => format!("camera {camera} has {limit} WebRTC viewers already: use HLS, or try again later"),
        None => format!("the gateway has {limit} WebRTC viewers already: use HLS, or try again later"),
    })]
    Full {
        /// The camera whose own limit it is; the gateway's otherwise.
        camera: Option<StreamId>,
        /// Viewers.
        limit: usize,
    },
    /// The camera does not deliver; its status says why. HTTP 503 with Retry-After.
    #[error("the camera does not deliver")]
    NotDelivering,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_32_digits_and_a_log_shows_eight() {
        let id = SessionId::new(0x0123_4567_89ab_cdef_0000_0000_0000_002a);
        assert_eq!(id.to_string(), "0123456789abcdef000000000000002a");
        assert_eq!(SessionId::parse("0123456789abcdef000000000000002a"), Some(id));
        assert_eq!(format!("{id:?}"), "01234567");
        for wrong in ["", "2a", "0123456789ABCDEF000000000000002A", "+123456789abcdef000000000000002a"] {
            assert_eq!(SessionId::parse(wrong), None, "{wrong}");
        }
    }
}
