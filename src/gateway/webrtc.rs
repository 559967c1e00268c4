//! The WebRTC output as the gateway runs it: the plan, offers and time in; sessions, their status and their faults out.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::{LocalExecutor, Task};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::camera::Entry;
use crate::config::{self, WebRtcPlan};
use crate::control::{
    Answer, CameraWebRtcStatus, Fault, Offer, SessionId, SessionStatus, WatchRefusal, WebRtcCounters, WebRtcStatus,
};
use crate::hub::Limits;
use crate::media::{AudioCodec, StreamFormat, StreamId};
use crate::system;
use crate::webrtc::{
    AddressChoice, Certificate, Counters, LocalAddress, OpenError, SessionFacts, Settings, Watch, WebRtc, usable,
};

/// An output that cannot start is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// The file in `[system] state_dir`.
const CERTIFICATE: &str = "webrtc-certificate";

/// The output, running or not; shared on the media thread.
pub(super) struct Output {
    running: RefCell<Option<Running>>,
    news: Rc<News>,
}

/// What the status has to be made anew for.
struct News {
    cameras: RefCell<Vec<StreamId>>,
    changed: Rc<Notify>,
}

impl News {
    fn of(&self, camera: StreamId) {
        self.cameras.borrow_mut().push(camera);
        self.changed.notify_one();
    }
}

struct Running {
    plan: WebRtcPlan,
    state: Rc<RefCell<State>>,
    /// Keeps the output going; dropping it ends all.
    _supervisor: Task<()>,
}

enum State {
    Serving(WebRtc),
    /// Tried again soon.
    Failed(Fault),
}

impl Output {
    /// An output that is off.
    pub(super) fn new(changed: Rc<Notify>) -> Self {
        Self { running: RefCell::new(None), news: Rc::new(News { cameras: RefCell::default(), changed }) }
    }

    /// Cameras whose WebRTC status is not what it was.
    pub(super) fn take_news(&self) -> Vec<StreamId> {
        self.news.cameras.take()
    }

    /// Starts what `plan` says, after it ended what runs.
    pub(super) fn restart(&self, plan: Option<&WebRtcPlan>, executor: &Rc<LocalExecutor<'static>>) {
        self.stop();
        let Some(plan) = plan.cloned() else { return };
        let state = Rc::new(RefCell::new(State::Failed(Fault {
            code: "webrtc_starting",
            sentence: "WebRTC is still starting".to_owned(),
            args: [].into(),
        })));
        let supervisor =
            executor.spawn(supervise(plan.clone(), Rc::clone(&state), Rc::clone(&self.news), Rc::clone(executor)));
        *self.running.borrow_mut() = Some(Running { plan, state, _supervisor: supervisor });
    }

    /// Ends every session, tells the browsers, and lets go of the ports.
    pub(super) fn stop(&self) {
        let Some(running) = self.running.borrow_mut().take() else { return };
        if let State::Serving(webrtc) = &*running.state.borrow() {
            webrtc.close();
        }
    }

    /// Another bound for what is kept of each camera: it follows the number of cameras.
    pub(super) fn set_gop_bytes(&self, bytes: usize) {
        if let Some(running) = &mut *self.running.borrow_mut() {
            running.plan.gop_bytes = bytes;
        }
    }

    /// Opens a session on `entry`'s camera.
    pub(super) fn watch(&self, entry: &Entry, offer: &Offer) -> Result<Answer, WatchRefusal> {
        let running = self.running.borrow();
        let running = running.as_ref().ok_or(WatchRefusal::Off)?;
        let state = running.state.borrow();
        let webrtc = match &*state {
            State::Serving(webrtc) => webrtc,
            State::Failed(fault) => return Err(WatchRefusal::Failed(fault.sentence.clone())),
        };
        let hub = entry.hub.borrow();
        let (Some(hub), Some(format)) = (&*hub, entry.record.streaming_format()) else {
            return Err(WatchRefusal::NotDelivering);
        };
        if let Some(Fault { code, sentence, .. }) = problem(entry) {
            return Err(WatchRefusal::NotPlayable { code, sentence });
        }
        let machine: Vec<LocalAddress> = system::interface_addresses()
            .into_iter()
            .map(|(interface, address)| LocalAddress { interface, address })
            .collect();
        let addresses = usable(&machine, &address_choice(&running.plan.addresses), offer.arrived_at);
        let opened = webrtc.watch(&Watch {
            camera: offer.camera,
            sdp: &offer.sdp,
            format: &format,
            hub,
            queue: Limits { units: entry.plan.queue_units, bytes: entry.plan.queue_bytes },
            max_viewers: entry.max_viewers.get(),
            gop_bytes: running.plan.gop_bytes,
            addresses: &addresses,
        });
        let opened = opened.map_err(|error| refusal(offer.camera, error))?;
        let session = SessionId::new(opened.id);
        log::info!("{}: WebRTC session {session:?} opened", offer.camera);
        Ok(Answer { session, sdp: opened.sdp })
    }

    /// Ends a session, of `camera` if one is given; false when there is none.
    pub(super) fn hang_up(&self, camera: Option<StreamId>, session: SessionId) -> bool {
        let ended = self.serving(|webrtc| webrtc.hang_up(camera, session.bits())).unwrap_or(false);
        if ended {
            log::info!("WebRTC session {session:?} ended by request");
        }
        ended
    }

    /// Ends the sessions of a camera that goes away.
    pub(super) fn end_camera(&self, camera: StreamId) {
        self.serving(|webrtc| webrtc.end_camera(camera));
    }

    /// True while somebody watches `camera`.
    pub(super) fn watches(&self, camera: StreamId) -> bool {
        self.serving(|webrtc| webrtc.viewers(camera) > 0).unwrap_or(false)
    }

    fn serving<T>(&self, act: impl FnOnce(&WebRtc) -> T) -> Option<T> {
        let running = self.running.borrow();
        let state = running.as_ref()?.state.borrow();
        match &*state {
            State::Serving(webrtc) => Some(act(webrtc)),
            State::Failed(_) => None,
        }
    }

    /// The output's status; absent when it is off.
    pub(super) fn status(&self, now: Instant) -> Option<Arc<WebRtcStatus>> {
        let running = self.running.borrow();
        let Running { plan, state, .. } = running.as_ref()?;
        let mut status = WebRtcStatus {
            udp_port: plan.udp_port,
            tcp_port: plan.tcp_port,
            max_viewers: plan.max_viewers,
            ..WebRtcStatus::default()
        };
        match &*state.borrow() {
            State::Failed(fault) => status.problem = Some(fault.clone()),
            State::Serving(webrtc) => {
                status.sessions = webrtc.sessions().iter().map(|facts| session_status(facts, now)).collect();
                status.counters = counters(webrtc);
            }
        }
        Some(Arc::new(status))
    }

    /// What there is of one camera; absent when the output is off.
    pub(super) fn camera_status(&self, entry: &Entry) -> Option<CameraWebRtcStatus> {
        if self.running.borrow().is_none() {
            return None;
        }
        let id = entry.plan.camera.id;
        let kept = entry.hub.borrow().as_ref().map(crate::hub::Hub::gop_facts).unwrap_or_default();
        Some(CameraWebRtcStatus {
            url: format!("/whep/{id}"),
            viewers: self.serving(|webrtc| webrtc.viewers(id)).unwrap_or(0),
            max_viewers: entry.max_viewers.get(),
            problem: problem(entry),
            sound_problem: entry.record.streaming_format().as_deref().and_then(sound_problem),
            gop_bytes: kept.bytes as u64,
            gop_overflows: kept.overflows,
        })
    }
}

/// Serves until dropped; what keeps it from starting is shown and tried again.
async fn supervise(plan: WebRtcPlan, state: Rc<RefCell<State>>, news: Rc<News>, executor: Rc<LocalExecutor<'static>>) {
    let mut said = None;
    loop {
        let fault = match start(&plan, &executor, &news) {
            Ok(webrtc) => {
                *state.borrow_mut() = State::Serving(webrtc.clone());
                news.changed.notify_one();
                webrtc.run().await;
                return;
            }
            Err(fault) => fault,
        };
        if said.as_ref() != Some(&fault.sentence) {
            log::error!("WebRTC cannot start: {}; trying again every {} s", fault.sentence, RETRY.as_secs());
            said = Some(fault.sentence.clone());
        }
        *state.borrow_mut() = State::Failed(fault);
        news.changed.notify_one();
        sleep(RETRY).await;
    }
}

fn start(plan: &WebRtcPlan, executor: &Rc<LocalExecutor<'static>>, news: &Rc<News>) -> Result<WebRtc, Fault> {
    let fault = |code, sentence: String| Fault { code, args: [("error", sentence.clone())].into(), sentence };
    let certificate =
        certificate(plan.state_dir.as_deref()).map_err(|sentence| fault("webrtc_certificate", sentence))?;
    let settings = Settings {
        udp_port: plan.udp_port,
        tcp_port: plan.tcp_port,
        tcp_connections: plan.tcp_connections,
        tcp_buffer_bytes: plan.tcp_buffer_bytes,
        max_viewers: plan.max_viewers,
    };
    let news = Rc::clone(news);
    let webrtc = WebRtc::bind(&settings, certificate, Rc::clone(executor), move |camera| news.of(camera))
        .map_err(|error| fault("webrtc_port", error.to_string()))?;
    let tcp = plan.tcp_port.map_or(String::new(), |port| format!(" and TCP port {port}"));
    let (send, receive) = webrtc.buffers();
    log::info!(
        "WebRTC on UDP port {}{tcp}, buffers of {} KiB to send and {} KiB to receive",
        plan.udp_port,
        send >> 10,
        receive >> 10
    );
    Ok(webrtc)
}

/// The certificate of the first start; a new one when there is none, or none that can be used.
fn certificate(state_dir: Option<&Path>) -> Result<Certificate, String> {
    let generate = || Certificate::generate().map_err(|error| error.to_string());
    let Some(state_dir) = state_dir else { return generate() };
    let path = state_dir.join(CERTIFICATE);
    match system::read_private(state_dir, CERTIFICATE) {
        Ok(Some(bytes)) => match Certificate::parse(&bytes) {
            Some(certificate) => return Ok(certificate),
            None => log::warn!("{} is damaged: making a new WebRTC certificate", path.display()),
        },
        Ok(None) => {}
        Err(error) => log::warn!("{error}: making a new WebRTC certificate"),
    }
    let certificate = generate()?;
    if let Err(error) = system::write_private(state_dir, CERTIFICATE, &certificate.to_bytes()) {
        log::warn!("{error}: the WebRTC certificate will be another one after the next start");
    }
    Ok(certificate)
}

/// Why no browser can play this camera by WebRTC.
fn problem(entry: &Entry) -> Option<Fault> {
    entry.record.meter.facts().b_frames.then(|| Fault {
        code: "b_frames",
        sentence: "no B-frames over WebRTC: set the camera to Baseline or Main without B-frames, or use HLS".to_owned(),
        args: [].into(),
    })
}

/// Why the camera's sound does not go along.
fn sound_problem(format: &StreamFormat) -> Option<Fault> {
    let audio = format.audio.as_ref()?;
    (audio.codec == AudioCodec::Aac).then(|| Fault {
        code: "no_aac",
        sentence: "WebRTC has no AAC: the sound plays over HLS only; set the camera to G.711 (PCMA) to hear it live"
            .to_owned(),
        args: [].into(),
    })
}

fn refusal(camera: StreamId, error: OpenError) -> WatchRefusal {
    match error {
        OpenError::BadOffer(reason) => WatchRefusal::BadOffer(reason),
        OpenError::NoSharedCodec { .. } => {
            WatchRefusal::NotPlayable { code: "no_shared_codec", sentence: error.to_string() }
        }
        OpenError::Full { of_camera, limit } => WatchRefusal::Full { camera: of_camera.then_some(camera), limit },
        OpenError::NoRandomness(_) => WatchRefusal::Failed(error.to_string()),
    }
}

/// The configuration's word as the output's.
fn address_choice(choice: &config::AddressChoice) -> AddressChoice {
    match choice {
        config::AddressChoice::All => AddressChoice::All,
        config::AddressChoice::Interfaces(names) => AddressChoice::Interfaces(names.clone()),
        config::AddressChoice::Addresses(addresses) => AddressChoice::Addresses(addresses.clone()),
    }
}

fn session_status(facts: &SessionFacts, now: Instant) -> SessionStatus {
    SessionStatus {
        session: SessionId::new(facts.id),
        camera: facts.camera,
        since_seconds: now.saturating_duration_since(facts.opened).as_secs(),
        remote: facts.path.map(|path| path.remote.to_string()),
        transport: facts.path.map(|path| if path.tcp { "tcp" } else { "udp" }),
        ice_state: facts.ice_state,
        rtt_ms: facts.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
        loss: facts.loss.map(f64::from),
        packets: facts.packets,
        bytes: facts.bytes,
        nacks: facts.nacks,
        plis: facts.plis,
        skips: facts.skips,
        codec: facts.codec.name(),
        sound: facts.sound.map(AudioCodec::name),
    }
}

/// Names every field on both sides, so that a new one cannot be forgotten here.
fn counters(webrtc: &WebRtc) -> WebRtcCounters {
    let Counters { sessions, refused, vanished, packets, bytes, nacks, plis, skips, stray, unsent } = webrtc.counters();
    WebRtcCounters { sessions, refused, vanished, packets, bytes, nacks, plis, skips, stray, unsent }
}

#[cfg(test)]
#[path = "webrtc_tests.rs"]
mod tests;
