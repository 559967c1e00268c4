//! One camera's life: asleep until somebody asks (if on demand), then one session into one hub, and its outputs.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::LocalExecutor;
use smol::future::or;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::now;
use super::record::Record;
use super::signal::{Demand, Stop};
use super::webrtc::Output;
use crate::config::{Camera, CameraPlan, HlsPlan, Transport};
use crate::control::{Fault, HlsStatus};
use crate::hls::{self, Facts, Store};
use crate::hub::{Hub, Limits};
use crate::ingest::{self, TransportChoice};
use crate::media::{StreamId, Ticks};
use crate::system;

/// An output that cannot start is tried again after this.
const OUTPUT_RETRY: Duration = Duration::from_secs(5);

/// A running camera: what others need to reach it.
pub(super) struct Entry {
    pub(super) plan: CameraPlan,
    pub(super) record: Rc<Record>,
    pub(super) demand: Demand,
    pub(super) stop: Stop,
    /// The stream's share of the tmpfs, bytes; follows the number of cameras.
    pub(super) stream_bytes: Rc<Cell<u64>>,
    /// Bytes of the current GOP that may be kept for WebRTC; 0 while that is off. Follows the number of cameras.
    gop_bytes: Cell<usize>,
    /// Most WebRTC viewers.
    pub(super) max_viewers: Cell<usize>,
    /// Where the pictures come from while the camera is awake.
    pub(super) hub: RefCell<Option<Hub>>,
}

impl Entry {
    pub(super) fn new(plan: CameraPlan, hls: Option<&HlsPlan>, changed: &Rc<Notify>, at: Instant) -> Rc<Self> {
        let record = Rc::new(Record::new(plan.camera.clone(), hls.is_some(), Rc::clone(changed), at));
        let stream_bytes = hls.map_or(0, |hls| hls.segments.stream_bytes);
        let stream_bytes = Rc::new(Cell::new(stream_bytes));
        let (demand, stop) = (Demand::default(), Stop::default());
        let (gop_bytes, max_viewers, hub) = (Cell::new(0), Cell::new(plan.max_viewers), RefCell::default());
        Rc::new(Self { plan, record, demand, stop, stream_bytes, gop_bytes, max_viewers, hub })
    }

    /// Another bound for what is kept of the current GOP.
    pub(super) fn keep_gop(&self, most_bytes: usize) {
        self.gop_bytes.set(most_bytes);
        if let Some(hub) = &*self.hub.borrow() {
            hub.keep_gop(most_bytes);
        }
    }
}

/// What every camera shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) executor: Rc<LocalExecutor<'static>>,
    pub(super) store: Store,
    pub(super) webrtc: Rc<Output>,
}

/// Serves one camera until its stop is given; returns after its session is torn down and its files are removed.
pub(super) async fn run(entry: Rc<Entry>, hls: Option<HlsPlan>, shared: Shared) {
    let plan = &entry.plan;
    let on_demand = plan.camera.on_demand;
    while !entry.stop.is_given() {
        if on_demand {
            entry.record.on_sleep(true, now());
            or(entry.stop.given(), entry.demand.asked()).await;
            if entry.stop.is_given() {
                break;
            }
            log::info!("{}: somebody watches: waking it", plan.camera.id);
            entry.record.on_sleep(false, now());
        }
        let hub = Hub::new();
        hub.keep_gop(entry.gop_bytes.get());
        *entry.hub.borrow_mut() = Some(hub.clone());
        let output = hls
            .clone()
            .map(|hls| shared.executor.spawn(serve_hls(Rc::clone(&entry), hls, hub.clone(), shared.store.clone())));
        let record = Rc::clone(&entry.record);
        let on_event = move |event| record.on_event(event, now());
        let settings = ingest_settings(&plan.camera);
        // A task of its own: ingest polls what it is given at every packet, and a task's handle costs next to nothing.
        let unwanted = shared.executor.spawn(until_unwanted(Rc::clone(&entry), Rc::clone(&shared.webrtc)));
        ingest::run(settings, hub, Rc::clone(&entry.record.meter), on_event, unwanted).await;
        entry.hub.borrow_mut().take();
        shared.webrtc.end_camera(plan.camera.id);
        if let Some(output) = output {
            output.cancel().await;
            entry.record.on_hls(HlsStatus::idle(plan.camera.id));
        }
        entry.demand.forget();
        if on_demand && !entry.stop.is_given() {
            log::info!("{}: nobody watches: letting it go", plan.camera.id);
        }
    }
}

/// Completes when the camera shall be let go: its stop is given, or it is on demand and nobody asked for its idle time.
async fn until_unwanted(entry: Rc<Entry>, webrtc: Rc<Output>) {
    let idle = async {
        if !entry.plan.camera.on_demand {
            std::future::pending::<()>().await;
        }
        loop {
            // Whoever watches by WebRTC does not ask again.
            if webrtc.watches(entry.plan.camera.id) {
                entry.demand.ask(now());
            }
            let remaining = entry.demand.remaining(now(), entry.plan.camera.idle_timeout);
            if remaining.is_zero() {
                return;
            }
            sleep(remaining).await;
        }
    };
    or(entry.stop.given(), idle).await;
}

/// What the owner wrote of a camera, as ingest's settings.
pub fn ingest_settings(camera: &Camera) -> ingest::Settings {
    ingest::Settings {
        id: camera.id,
        url: camera.url.clone(),
        credentials: camera.credentials.as_ref().map(|credentials| ingest::Credentials {
            username: credentials.username.clone(),
            password: credentials.password.reveal().to_owned(),
        }),
        transport: transport_choice(camera.transport),
        audio: camera.audio,
        timeouts: ingest::Timeouts::default(),
        seed: fastrand::u64(..),
    }
}

/// The configuration's word as ingest's.
const fn transport_choice(transport: Transport) -> TransportChoice {
    match transport {
        Transport::Auto => TransportChoice::Auto,
        Transport::Tcp => TransportChoice::Tcp,
        Transport::Udp => TransportChoice::Udp,
    }
}

/// HLS of one camera, until dropped. What keeps it from starting is shown and tried again; the camera goes on.
async fn serve_hls(entry: Rc<Entry>, plan: HlsPlan, hub: Hub, store: Store) {
    let id = entry.plan.camera.id;
    loop {
        let limits = Limits { units: entry.plan.queue_units, bytes: entry.plan.queue_bytes };
        let settings = hls_settings(id, &plan, &entry);
        let record = Rc::clone(&entry.record);
        record.on_hls(HlsStatus::idle(id));
        let on_change = |facts: &Facts| record.on_hls(hls_status(id, facts));
        match hls::task::run(hub.subscribe(limits), settings, store.clone(), on_change).await {
            Err(error) => {
                log::error!("{id}: HLS cannot start: {error}; trying again in {} s", OUTPUT_RETRY.as_secs());
                let fault =
                    Fault { code: "files", sentence: error.to_string(), args: [("error", error.to_string())].into() };
                let status = HlsStatus { errors: 1, last_error: Some(fault), ..HlsStatus::idle(id) };
                entry.record.on_hls(status);
                sleep(OUTPUT_RETRY).await;
            }
        }
    }
}

fn hls_settings(id: StreamId, plan: &HlsPlan, entry: &Entry) -> hls::task::Settings {
    hls::task::Settings {
        id,
        output_dir: PathBuf::from(&plan.output_dir),
        prefix: hls::Prefix::new(fastrand::u64(..)),
        segment_duration: Ticks::from_secs(plan.segment_duration.into()),
        segment_count: plan.segment_count,
        cleanup_threshold: plan.segments.files,
        segment_bytes: usize::try_from(plan.segments.file_bytes).unwrap_or(usize::MAX),
        stream_bytes: Rc::clone(&entry.stream_bytes),
        first_sequence: hls::Sequence::first(system::since_boot()),
        wall: system::trusted_wall_time,
    }
}

fn hls_status(id: StreamId, facts: &Facts) -> HlsStatus {
    HlsStatus {
        playlist: facts.playlist.clone(),
        segments: facts.segments,
        target_duration: facts.target_duration,
        window_seconds: facts.window_seconds,
        packets_received: facts.access_units,
        bytes_written: facts.bytes_written,
        segments_created: facts.segments_created,
        current_bitrate: facts.current_bitrate,
        errors: facts.errors,
        last_error: facts.last_error.as_ref().map(|fault| Fault {
            code: fault.code(),
            sentence: fault.to_string(),
            args: fault.args(),
        }),
        tmpfs_bytes: facts.tmpfs_bytes,
        ..HlsStatus::idle(id)
    }
}
