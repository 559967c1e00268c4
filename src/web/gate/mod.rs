//! The gate owns the sockets of strangers: connections in, canonical requests to the workers, answers and segment bytes out.

mod admit;
pub(super) mod answer;
pub(super) mod canonical;
mod client;
mod counters;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod io;
mod percent;
mod range;
mod refusal;
pub(super) mod task;
mod upstream;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use counters::{Counter, GateCounters};
pub(super) use head::BODY_LIMIT;

use crate::control::{Control, StatusBoard};
use crate::hls::Slot;
use crate::media::StreamId;
use crate::web::http::{Request, Response};

/// What the gate needs from the rest.
pub struct Seams {
    /// Wakes cameras.
    pub control: Control,
    /// Says which cameras deliver.
    pub board: Arc<StatusBoard>,
    /// Finds segments.
    pub segments: Segments,
    /// The routes.
    pub respond: Arc<Respond>,
    /// Where the gate counts.
    pub counters: Arc<GateCounters>,
}

/// Answers a request; called on the workers.
pub type Respond = dyn Fn(&Request) -> Response + Send + Sync;

impl SegmentBytes for Slot {
    fn bytes(&self) -> &[u8] {
        self.bytes()
    }

    fn revoked(&self) -> bool {
        self.revoked()
    }
}

/// Finds a segment by stream and file name.
pub type Segments = Rc<dyn Fn(&StreamId, &str) -> Option<Arc<dyn SegmentBytes>>>;

/// A segment's bytes, held while a client reads them.
pub trait SegmentBytes {
    /// The complete segment.
    fn bytes(&self) -> &[u8];
    /// True once the bytes are about to be overwritten: stop reading.
    fn revoked(&self) -> bool;
}

/// The gate's limits; every one comes from the plan.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory for the socket to the workers; made if missing, and kept readable for this user only.
    pub socket_dir: PathBuf,
    /// Worker threads; as many requests are with them at once.
    pub workers: usize,
    /// Most requests waiting for a worker; one more is refused.
    pub waiting: usize,
    /// Most connections.
    pub connections: usize,
    /// Most bytes of answers that wait in memory for slow readers; also the longest answer (segments do not count).
    pub answer_bytes: usize,
    /// A connection between two requests is closed after this.
    pub idle_deadline: Duration,
    /// From a head's first byte to its last (for the first head: from the connection).
    pub head_deadline: Duration,
    /// From the end of a head to the last byte of its body.
    pub body_deadline: Duration,
    /// A reader takes 256 KiB in this time, or is cut off.
    pub stall_deadline: Duration,
    /// Waiting for a worker; and again for its answer.
    pub answer_deadline: Duration,
    /// A request waits so long for its camera to deliver.
    pub camera_deadline: Duration,
}

impl Settings {
    /// Limits for a small board.
    pub fn new(socket_dir: PathBuf) -> Self {
        Self {
            socket_dir,
            workers: 4,
            waiting: 256,
            connections: 256,
            answer_bytes: 2 << 20,
            idle_deadline: Duration::from_secs(30),
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
            stall_deadline: Duration::from_secs(10),
            answer_deadline: Duration::from_secs(5),
            camera_deadline: Duration::from_secs(5),
        }
    }
}
