//! What is known of sessions and of the whole output, for whoever shows it.

use std::time::{Duration, Instant};

use super::peer::PeerFacts;
use super::socket::Path;
use crate::media::{AudioCodec, StreamId, VideoCodec};

/// One session.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// Its id; who knows it can end it.
    pub id: u128,
    /// The camera.
    pub camera: StreamId,
    /// When the offer came.
    pub opened: Instant,
    /// Where packets go, once known.
    pub path: Option<Path>,
    /// `new`, `checking`, `connected`, `completed` or `disconnected`.
    pub ice_state: &'static str,
    /// Round-trip time, once measured.
    pub rtt: Option<Duration>,
    /// Share of packets that the browser reports lost, 0 to 1, once reported.
    pub loss: Option<f32>,
    /// RTP and RTCP packets sent.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// NACKs received.
    pub nacks: u64,
    /// Key frames asked for.
    pub plis: u64,
    /// Times the viewer was too slow and skipped to a key frame.
    pub skips: u64,
    /// The video codec.
    pub codec: VideoCodec,
    /// Sound that goes with it.
    pub sound: Option<AudioCodec>,
}

impl SessionFacts {
    pub(super) const fn of(id: u128, camera: StreamId, facts: &PeerFacts, skips: u64) -> Self {
        Self {
            id,
            camera,
            opened: facts.opened,
            path: facts.path,
            ice_state: facts.ice_state,
            rtt: facts.rtt,
            loss: facts.loss,
            packets: facts.packets,
            bytes: facts.bytes,
            nacks: facts.nacks,
            plis: facts.plis,
            skips,
            codec: facts.codec,
            sound: facts.sound,
        }
    }
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions opened.
    pub sessions: u64,
    /// Offers refused.
    pub refused: u64,
    /// Sessions ended because the browser was not heard any more, or never.
    pub vanished: u64,
    /// RTP and RTCP packets sent.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// NACKs received.
    pub nacks: u64,
    /// Key frames asked for.
    pub plis: u64,
    /// Times a viewer was too slow and skipped to a key frame.
    pub skips: u64,
    /// Datagrams from nobody who watches.
    pub stray: u64,
    /// Datagrams that the system or a slow connection did not take.
    pub unsent: u64,
}

impl Counters {
    pub(super) const fn add(&mut self, facts: &PeerFacts, skips: u64) {
        self.packets += facts.packets;
        self.bytes += facts.bytes;
        self.nacks += facts.nacks;
        self.plis += facts.plis;
        self.skips += skips;
    }
}
