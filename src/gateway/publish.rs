//! Keeps the snapshot that everybody reads: records and the plan in, one `Snapshot` out at every change and every second.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::future::or;
use tokio::sync::Notify;
use tokio::time::interval;

use super::webrtc::Output;
use super::{Cameras, now};
use crate::control::{ItemStatus, MemoryStatus, Snapshot, StatusBoard};
use crate::system::{self, Usage};

/// Ages and rates in the snapshot are renewed this often; changes are published at once.
const PERIOD: Duration = Duration::from_secs(1);

/// What the snapshot says of the plan.
#[derive(Clone, Debug, Default)]
pub(super) struct PlanFacts {
    pub(super) board: String,
    pub(super) memory_limit: u64,
    pub(super) tmpfs_limit: u64,
    pub(super) hls_enabled: bool,
}

/// What the snapshot is made of.
pub(super) struct Sources {
    pub(super) cameras: Cameras,
    pub(super) facts: Rc<RefCell<PlanFacts>>,
    pub(super) webrtc: Rc<Output>,
    /// How the run before this one ended.
    pub(super) last_end: Option<Arc<str>>,
    /// Notified at every change of a record or of the plan.
    pub(super) changed: Rc<Notify>,
}

/// Publishes until dropped.
pub(super) async fn run(sources: Sources, board: Arc<StatusBoard>, started: Instant) {
    let mut ticks = interval(PERIOD);
    let mut usage = Usage::default();
    loop {
        let tick = async {
            ticks.tick().await;
            true
        };
        let change = async {
            sources.changed.notified().await;
            false
        };
        let fresh = or(change, tick).await;
        if fresh {
            usage = system::usage();
        }
        board.publish(snapshot(&sources, usage, started, fresh));
    }
}

fn snapshot(sources: &Sources, usage: Usage, started: Instant, fresh: bool) -> Snapshot {
    let (at, facts) = (now(), sources.facts.borrow().clone());
    for id in sources.webrtc.take_news() {
        if let Some((entry, _)) = sources.cameras.borrow().iter().find(|(entry, _)| entry.plan.camera.id == id) {
            entry.record.forget_status();
        }
    }
    let entries = sources.cameras.borrow();
    let cameras =
        entries.iter().map(|(entry, _)| entry.record.status(at, fresh, || sources.webrtc.camera_status(entry)));
    let cameras: Vec<_> = cameras.collect();
    let tmpfs = cameras.iter().filter_map(|camera| camera.hls.as_ref()).map(|hls| hls.tmpfs_bytes).sum();
    Snapshot {
        version: env!("CARGO_PKG_VERSION"),
        board: facts.board,
        uptime_seconds: at.saturating_duration_since(started).as_secs(),
        last_end: sources.last_end.clone(),
        threads: usage.threads,
        memory: MemoryStatus {
            resident: ItemStatus { used: usage.anonymous + usage.file, limit: facts.memory_limit },
            tmpfs: ItemStatus { used: tmpfs, limit: facts.tmpfs_limit },
        },
        hls_enabled: facts.hls_enabled,
        webrtc: sources.webrtc.status(at),
        cameras,
    }
}
