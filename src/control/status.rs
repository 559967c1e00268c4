//! The snapshot that the media thread publishes and everybody else reads; reading never wakes the media thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;

use super::watch::SessionId;
use crate::media::StreamId;

/// Where a camera stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraState {
    /// On demand, and nobody asks.
    Sleeping,
    /// Connecting, or connected and waiting for the first picture.
    Starting,
    /// Pictures arrive.
    Streaming,
    /// Failed; another attempt is scheduled.
    Waiting,
}

/// Why something does not work, for a person (`sentence`) and for the page's translations (`code` and `args`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Stable identifier, e.g. `password_refused`.
    pub code: &'static str,
    /// One English sentence that says what is wrong and, where known, what to do. No credentials.
    pub sentence: String,
    /// The values in the sentence, by name, e.g. `host`.
    pub args: BTreeMap<&'static str, String>,
}

/// Video of a camera, as measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VideoStatus {
    /// `H.264` or `H.265`.
    pub codec: &'static str,
    /// RFC 6381 codec string.
    pub rfc6381: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second, measured; absent until known.
    pub fps: Option<f64>,
    /// Seconds between key frames, measured; absent until two were seen.
    pub gop_seconds: Option<f64>,
    /// True when pictures arrive out of display order (B-frames).
    pub b_frames: bool,
}

/// Sound of a camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AudioStatus {
    /// `AAC`, `PCMU`, `PCMA`, or the camera's name for what is not taken at all, e.g. `OPUS`.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// True when HLS carries it: AAC only.
    pub carried: bool,
    /// Why HLS does not carry it.
    pub reason: Option<String>,
}

/// HLS output of a camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HlsStatus {
    /// The media playlist as it stands; absent until the first segment is complete.
    #[serde(skip)]
    pub playlist: Option<Arc<str>>,
    /// Path of the playlist, e.g. `/hls/CCTV-TEST/index.m3u8`.
    pub url: String,
    /// Segments in the playlist.
    pub segments: usize,
    /// EXT-X-TARGETDURATION, seconds; absent until known.
    pub target_duration: Option<u64>,
    /// How long a segment that is in the playlist now stays fetchable, whole seconds (for Cache-Control).
    pub window_seconds: u64,
    /// Access units handed to HLS since the camera's task started, video and audio.
    pub packets_received: u64,
    /// Transport stream bytes written.
    pub bytes_written: u64,
    /// Segments completed.
    pub segments_created: u64,
    /// Transport stream bits per second, over the last segments; 0 when none.
    pub current_bitrate: u64,
    /// Errors: tmpfs full, slots held, queue skips, segments closed without a key frame.
    pub errors: u64,
    /// The last of these errors.
    pub last_error: Option<Fault>,
    /// tmpfs bytes held by this camera's slots.
    pub tmpfs_bytes: u64,
}

impl HlsStatus {
    /// The output of a camera that sleeps or has not delivered yet: all there is is its address.
    pub fn idle(stream: StreamId) -> Self {
        Self { url: format!("/hls/{stream}/index.m3u8"), ..Self::default() }
    }
}

/// WebRTC output of a camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraWebRtcStatus {
    /// WHEP endpoint, e.g. `/whep/CCTV-TEST`.
    pub url: String,
    /// Sessions now.
    pub viewers: usize,
    /// Most sessions at once.
    pub max_viewers: usize,
    /// Why no browser can play this camera by WebRTC (B-frames); absent while nothing speaks against it.
    pub problem: Option<Fault>,
    /// Why the camera's sound is not carried; absent when it is, or when there is none.
    pub sound_problem: Option<Fault>,
    /// Bytes of the pictures kept since the last key frame, for a viewer's first picture.
    pub gop_bytes: u64,
    /// GOPs that were too large to be kept: viewers then wait for the next key frame.
    pub gop_overflows: u64,
}

/// One WebRTC session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionStatus {
    /// Its id; who knows it can end it.
    pub session: SessionId,
    /// The camera.
    pub camera: StreamId,
    /// Seconds since the offer.
    pub since_seconds: u64,
    /// Where packets go, e.g. `10.0.0.7:50312`; absent until a path is found.
    pub remote: Option<String>,
    /// `udp` or `tcp`; absent until a path is found.
    pub transport: Option<&'static str>,
    /// `new`, `checking`, `connected`, `completed` or `disconnected`.
    pub ice_state: &'static str,
    /// Round-trip time, ms; absent until measured.
    pub rtt_ms: Option<f64>,
    /// Share of packets that the browser reports lost, 0 to 1; absent until reported.
    pub loss: Option<f64>,
    /// RTP packets sent, repeated ones included.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// NACKs received: requests for packets that were lost.
    pub nacks: u64,
    /// Key frames asked for (PLI, FIR), answered from the kept GOP.
    pub plis: u64,
    /// Times the viewer was too slow and skipped to a key frame.
    pub skips: u64,
    /// `H.264` or `H.265`.
    pub codec: &'static str,
    /// Sound that goes with it, e.g. `PCMA`.
    pub sound: Option<&'static str>,
}

/// Counters of the WebRTC output since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WebRtcCounters {
    /// Sessions opened.
    pub sessions: u64,
    /// Offers refused.
    pub refused: u64,
    /// Sessions ended because the browser was not heard any more, or never.
    pub vanished: u64,
    /// RTP packets sent.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// NACKs received.
    pub nacks: u64,
    /// Key frames asked for.
    pub plis: u64,
    /// Times a viewer was too slow and skipped to a key frame.
    pub skips: u64,
    /// Datagrams from nobody who watches: dropped.
    pub stray: u64,
    /// Datagrams that the system did not take: dropped.
    pub unsent: u64,
}

/// The WebRTC output.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WebRtcStatus {
    /// The UDP port of all sessions.
    pub udp_port: u16,
    /// The TCP port, unless it is off.
    pub tcp_port: Option<u16>,
    /// Most sessions at once.
    pub max_viewers: usize,
    /// Why there can be no session now, e.g. because a port is taken; tried again by itself.
    pub problem: Option<Fault>,
    /// Sessions, oldest first.
    #[serde(skip)]
    pub sessions: Vec<SessionStatus>,
    /// Counters.
    pub counters: WebRtcCounters,
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraStatus {
    /// Stream id.
    pub id: StreamId,
    /// The name to show.
    pub name: String,
    /// Where it stands.
    pub state: CameraState,
    /// Seconds in this state.
    pub since_seconds: u64,
    /// Connected by the first viewer only.
    pub on_demand: bool,
    /// `tcp` or `udp`, once connected.
    pub transport: Option<&'static str>,
    /// The URL without user information.
    pub url: String,
    /// Video, once known.
    pub video: Option<VideoStatus>,
    /// Sound, once known.
    pub audio: Option<AudioStatus>,
    /// Bits per second of video and sound, over the last seconds.
    pub bitrate: u64,
    /// Seconds since the last key frame; absent before the first.
    pub last_key_frame_age: Option<f64>,
    /// Access units received, video and audio.
    pub access_units: u64,
    /// RTP packets known to be lost.
    pub lost_packets: u64,
    /// Sessions begun after the first one.
    pub reconnects: u64,
    /// The last error as a sentence; kept while streaming, so that a technician sees what happened.
    pub last_error: Option<Fault>,
    /// Seconds since `last_error`.
    pub last_error_age: Option<u64>,
    /// Things that work but could be better (e.g. a long GOP, a small UDP buffer).
    pub warnings: Vec<Fault>,
    /// HLS output; absent when HLS is off.
    pub hls: Option<HlsStatus>,
    /// WebRTC output; absent when WebRTC is off.
    pub webrtc: Option<CameraWebRtcStatus>,
}

impl CameraStatus {
    /// The cause to name while the camera does not deliver: the last error of a camera that has failed, also while
    /// it is tried again. What happened before a camera was put to sleep explains nothing later.
    pub fn cause(&self) -> Option<&Fault> {
        let relevant = match self.state {
            CameraState::Waiting => true,
            CameraState::Starting => self.last_error_age.is_some_and(|age| age <= Self::LONGEST_PAUSE),
            CameraState::Sleeping | CameraState::Streaming => false,
        };
        self.last_error.as_ref().filter(|_| relevant)
    }

    /// The playlist while it is worth serving: one that does not move any more makes players wait without a word, but
    /// a short break should not stop them.
    pub fn live_playlist(&self) -> Option<&Arc<str>> {
        let hls = self.hls.as_ref()?;
        let fresh = match self.state {
            CameraState::Streaming => true,
            CameraState::Sleeping => false,
            CameraState::Starting | CameraState::Waiting => {
                let age = self.last_key_frame_age.map(Duration::try_from_secs_f64);
                matches!(age, Some(Ok(age)) if age.as_secs() < hls.window_seconds.max(Self::LEAST_GRACE))
            }
        };
        hls.playlist.as_ref().filter(|_| fresh)
    }

    /// How long the playlist of a camera that failed is served at least, seconds.
    const LEAST_GRACE: u64 = 10;
    /// The longest pause between two attempts (after refused passwords) and one attempt's duration, seconds.
    const LONGEST_PAUSE: u64 = 330;
}

/// A budgeted item: used and limit, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ItemStatus {
    /// Bytes used now.
    pub used: u64,
    /// The plan's limit, bytes.
    pub limit: u64,
}

/// Memory of the process and its tmpfs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryStatus {
    /// Private and file-backed resident memory (RssAnon + RssFile).
    pub resident: ItemStatus,
    /// Slots on tmpfs.
    pub tmpfs: ItemStatus,
}

/// All that is known at one moment. Cheap to clone: cameras are shared.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// Porthole's version.
    pub version: &'static str,
    /// The board profile in force.
    pub board: String,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// How the run before this one ended, as a sentence; absent when there was none, or nobody noted it.
    pub last_end: Option<Arc<str>>,
    /// OS threads of this process.
    pub threads: u64,
    /// Memory.
    pub memory: MemoryStatus,
    /// True when `[hls] enabled`.
    pub hls_enabled: bool,
    /// WebRTC output; absent when it is off.
    pub webrtc: Option<Arc<WebRtcStatus>>,
    /// Cameras, in the order of the configuration.
    pub cameras: Vec<Arc<CameraStatus>>,
}

impl Snapshot {
    /// The camera with this id.
    pub fn camera(&self, id: &str) -> Option<&Arc<CameraStatus>> {
        self.cameras.iter().find(|camera| camera.id.as_str() == id)
    }
}

/// Holds the current snapshot. Writers replace it, readers clone an `Arc`; nobody waits longer than that takes.
#[derive(Debug, Default)]
pub struct StatusBoard {
    current: RwLock<Arc<Snapshot>>,
    version: AtomicU64,
}

impl StatusBoard {
    /// An empty board.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the snapshot.
    pub fn publish(&self, snapshot: Snapshot) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The current snapshot.
    pub fn read(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often the snapshot was replaced.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
