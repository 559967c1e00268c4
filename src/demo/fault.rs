//! What a camera can do wrong, chosen by tests while it runs.

use std::sync::Arc;

use super::Clip;

/// An RTSP method (RFC 2326 section 10) that the camera answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the methods' own")]
pub enum Method {
    Options,
    Describe,
    Setup,
    Play,
    Pause,
    GetParameter,
    SetParameter,
    Teardown,
}

/// One thing that goes wrong. Faults that count access units count the video's, per session; they are
/// looked up at each request and access unit, so that a fault can come and go under a playing session.
#[derive(Clone, Debug)]
pub enum Fault {
    /// `method` is answered with this status code; 401 comes with a challenge.
    Status(Method, u16),
    /// `method` is never answered; the connection stays open.
    Hang(Method),
    /// The connection is accepted and nothing is ever read or written.
    HangAtConnect,
    /// The connection is accepted and closed.
    CloseAtConnect,
    /// The first bytes of the client are answered with something that is not RTSP.
    Garbage,
    /// After this many access units nothing more is sent, sound included; 0: PLAY succeeds and no packet comes.
    /// Media time runs on, so that clearing the fault is a camera that thaws.
    FreezeAfter(u64),
    /// After this many access units the connection is closed.
    CloseAfter(u64),
    /// Every n-th RTP packet of the video is left out; 0 leaves out none.
    DropEvery(u64),
    /// From this access unit on, all timestamps are shifted by this many 90 kHz ticks.
    TimestampJump {
        /// Access units before the jump.
        after: u64,
        /// The jump; negative: backward.
        ticks: i64,
    },
    /// From this access unit on, the video of another clip, from its beginning. The SDP and the sound stay the first's.
    SwitchClip {
        /// Access units before the switch.
        after: u64,
        /// The clip.
        clip: Arc<Clip>,
    },
    /// After the first, pictures that decoding can start from are left out.
    NoKeyFrameAfterFirst,
    /// The SDP announces JPEG (payload type 26).
    JpegInSdp,
    /// RTP packets carry another SSRC than the SETUP answer gave.
    WrongSsrc,
    /// RTP packets of up to 64 KB, so that one NAL unit is one packet (TCP).
    LargePackets,
    /// RTP packets of the sound carry nothing.
    EmptySound,
    /// Each access unit is followed by filler to this many times its size (at most 1000).
    BitrateTimes(usize),
    /// No `sprop` parameter sets in the SDP.
    NoParameterSetsInSdp,
    /// Parameter sets in the SDP alone, none among the pictures.
    NoParameterSetsInBand,
    /// No `RTP-Info` in the answer to PLAY.
    NoRtpInfo,
    /// The first PLAY of each connection finds its nonce stale and is challenged anew (Digest).
    StaleNonce,
}
