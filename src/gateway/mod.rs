//! The composition root: a plan in; cameras, outputs and the web port out, supervised until a signal ends them.

mod camera;
mod changes;
mod heartbeat;
mod last_run;
mod lock;
mod progress;
mod publish;
mod record;
mod service;
mod signal;
mod webrtc;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::{Duration, Instant};

use smol::{LocalExecutor, Task, future};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::timeout;

pub use self::camera::ingest_settings;
use self::camera::{Entry, Shared};
use self::changes::Changes;
use self::lock::FolderLock;
use self::publish::{PlanFacts, Sources};
pub use self::service::{Service, note_end};
use self::webrtc::Output;
use crate::config::task::{Files, load};
use crate::config::{Machine, MediaThread, Plan, TmpfsFacts};
use crate::control::{self, Command, Commands, Control, StatusBoard, Wake, WatchRefusal};
use crate::hls::{self, Store};
use crate::media::StreamId;
use crate::system::{self, Place};
use crate::web;
use crate::web::gate::{self, GateCounters, SegmentBytes};
use crate::web::metrics::{Kind, Sample};

/// Sessions are torn down within this when the gateway ends; SIGTERM ends it within 2 s.
const STOP_TIME: Duration = Duration::from_millis(1500);
/// Commands that may wait: as many as there are workers, and one for the gate.
const COMMANDS_BESIDE_WORKERS: usize = 1;

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The web port.
    #[error(transparent)]
    Web(#[from] web::task::TaskError),
    /// The folder for segments.
    #[error("cannot use the folder for segments: {0}")]
    Folder(#[from] lock::LockError),
    /// The runtime.
    #[error("cannot start the media thread: {0}")]
    Runtime(#[source] io::Error),
}

/// A future that runs beside the gateway on the media thread, such as a built-in camera.
pub type Beside = Pin<Box<dyn Future<Output = ()>>>;

/// Runs `plan` until SIGTERM or SIGINT. On SIGHUP the plan is made anew from `files`, if there are any.
///
/// # Errors
/// When the web port or the folder for segments cannot be had.
pub fn run(plan: Plan, files: Option<Files>, service: Service, beside: Option<Beside>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .map_err(RunError::Runtime)?;
    let executor = Rc::new(LocalExecutor::new());
    let tasks = Rc::clone(&executor);
    // A task like the others: the future given to `run` itself would be polled at every wake of the thread.
    let gateway = executor.spawn(async move {
        if let Some(beside) = beside {
            tasks.spawn(beside).detach();
        }
        let service = Rc::new(service);
        let mut gateway = match Gateway::start(plan, files, Rc::clone(&service), tasks) {
            Ok(gateway) => gateway,
            Err(error) => {
                end(service, &format!("it could not start: {error}"));
                return Err(error);
            }
        };
        let signal = gateway.run().await;
        gateway.stop().await;
        end(service, &format!("it was stopped by {signal}"));
        Ok(())
    });
    let result = runtime.block_on(executor.run(gateway));
    // Tasks that were detached are dropped here, while the reactor still stands.
    let guard = runtime.enter();
    drop(executor);
    drop(guard);
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Ends a run whose tasks are gone.
fn end(service: Rc<Service>, why: &str) {
    if let Some(service) = Rc::into_inner(service) {
        service.end(why);
    }
}

/// What the machine offers for a plan with this output folder.
pub fn machine(output_dir: &Path) -> Machine {
    let tmpfs = system::filesystem(output_dir).map(|(is_tmpfs, size)| TmpfsFacts { is_tmpfs, size });
    Machine { memory: system::machine_memory(), tmpfs }
}

/// Puts the calling thread where `media` says. A board that is not quite like its profile is no reason not to run.
fn take_place(usual: Option<Place>, media: MediaThread) {
    let Some(usual) = usual.filter(|_| media != MediaThread::default()) else { return };
    // One by one: without the right to a priority, the core is still worth having.
    if let Some(core) = media.core
        && let Err(error) = usual.take(usize::try_from(core).ok(), 0)
    {
        log::warn!("the media thread does not get core {core} (media_core): {error}");
    }
    let priority = i32::try_from(media.priority).unwrap_or(0);
    if let Err(error) = usual.take(None, priority) {
        log::warn!("the media thread does not get its priority: {error}; give the service LimitNICE=-{priority}");
    }
}

/// Puts it back to where it was, if [`take_place`] moved it.
fn leave_place(usual: Option<Place>, media: MediaThread) {
    let Some(usual) = usual.filter(|_| media != MediaThread::default()) else { return };
    if let Err(error) = usual.restore() {
        log::warn!("the web workers share the media thread's place: {error}");
    }
}

type Cameras = Rc<RefCell<Vec<(Rc<Entry>, Task<()>)>>>;

struct Gateway {
    plan: Plan,
    files: Option<Files>,
    shared: Shared,
    cameras: Cameras,
    changed: Rc<Notify>,
    control: Control,
    board: Arc<StatusBoard>,
    counters: Arc<GateCounters>,
    /// The plan as the status task sees it.
    facts: Rc<RefCell<PlanFacts>>,
    web: Option<Task<()>>,
    lock: Option<FolderLock>,
    /// Where the media thread was when it started.
    usual: Option<Place>,
    /// Where the web port listens.
    web_address: Rc<Cell<SocketAddr>>,
    heartbeat: Option<Task<()>>,
}

impl Gateway {
    fn start(
        plan: Plan,
        files: Option<Files>,
        service: Rc<Service>,
        executor: Rc<LocalExecutor<'static>>,
    ) -> Result<Self, RunError> {
        // The port comes first: another gateway that runs already keeps its files.
        let listener = web::task::bind(plan.web.listen)?;
        let (control, commands) = control::channel(plan.web.workers + COMMANDS_BESIDE_WORKERS);
        let changed = Rc::<Notify>::default();
        let webrtc = Rc::new(Output::new(Rc::clone(&changed)));
        let shared = Shared { executor: Rc::clone(&executor), store: Store::new(), webrtc };
        let web_address = Rc::new(Cell::new(plan.web.listen));
        let mut gateway = Self {
            plan,
            files,
            shared,
            cameras: Cameras::default(),
            changed,
            control,
            board: Arc::new(StatusBoard::new()),
            counters: Arc::default(),
            facts: Rc::default(),
            web: None,
            lock: None,
            usual: Place::now().ok(),
            web_address,
            heartbeat: None,
        };
        if let Some(hls) = &gateway.plan.hls {
            gateway.lock = Some(FolderLock::take(&hls.output_dir)?);
            clean(&gateway.shared.store, &hls.output_dir);
        }
        gateway.note_plan();
        take_place(gateway.usual, gateway.plan.media);
        let ids: Vec<_> = gateway.plan.cameras.iter().map(|camera| camera.camera.id).collect();
        gateway.start_cameras(&ids);
        gateway.shared.webrtc.restart(gateway.plan.webrtc.as_ref(), &executor);
        executor.spawn(obey(commands, Rc::clone(&gateway.cameras), Rc::clone(&gateway.shared.webrtc))).detach();
        let sources = Sources {
            cameras: Rc::clone(&gateway.cameras),
            facts: Rc::clone(&gateway.facts),
            webrtc: Rc::clone(&gateway.shared.webrtc),
            last_end: service.before().map(Arc::from),
            changed: Rc::clone(&gateway.changed),
        };
        executor.spawn(publish::run(sources, Arc::clone(&gateway.board), now())).detach();
        gateway.serve_web(listener);
        let beats = heartbeat::run(Arc::clone(&gateway.board), Rc::clone(&gateway.web_address), service);
        gateway.heartbeat = Some(executor.spawn(beats));
        Ok(gateway)
    }

    fn note_plan(&self) {
        *self.facts.borrow_mut() = PlanFacts {
            board: self.plan.board.clone(),
            memory_limit: self.plan.memory_limit,
            tmpfs_limit: self.plan.tmpfs_limit,
            hls_enabled: self.plan.hls.is_some(),
        };
        self.changed.notify_one();
    }

    fn start_cameras(&self, ids: &[StreamId]) {
        let stream_bytes = self.plan.hls.as_ref().map_or(0, |hls| hls.segments.stream_bytes);
        let mut running: Vec<_> = self.cameras.take();
        for plan in self.plan.cameras.iter().filter(|plan| ids.contains(&plan.camera.id)) {
            let entry = Entry::new(plan.clone(), self.plan.hls.as_ref(), &self.changed, now());
            let task = camera::run(Rc::clone(&entry), self.plan.hls.clone(), self.shared.clone());
            running.push((entry, self.shared.executor.spawn(task)));
        }
        let gop_bytes = self.plan.webrtc.as_ref().map_or(0, |webrtc| webrtc.gop_bytes);
        self.shared.webrtc.set_gop_bytes(gop_bytes);
        for (entry, _) in &running {
            entry.stream_bytes.set(stream_bytes);
            entry.keep_gop(gop_bytes);
            let plan = self.plan.cameras.iter().find(|plan| plan.camera.id == entry.plan.camera.id);
            entry.max_viewers.set(plan.map_or(0, |plan| plan.max_viewers));
        }
        let place = |id: StreamId| self.plan.cameras.iter().position(|plan| plan.camera.id == id);
        running.sort_by_key(|(entry, _)| place(entry.plan.camera.id));
        self.cameras.replace(running);
        self.changed.notify_one();
    }

    async fn stop_cameras(&self, ids: &[StreamId]) {
        let (stopping, staying): (Vec<_>, Vec<_>) =
            self.cameras.take().into_iter().partition(|(entry, _)| ids.contains(&entry.plan.camera.id));
        self.cameras.replace(staying);
        for (entry, _) in &stopping {
            entry.stop.give();
        }
        let all = async {
            for (_, task) in stopping {
                task.await;
            }
        };
        if timeout(STOP_TIME, all).await.is_err() {
            log::warn!("some cameras did not answer the TEARDOWN in time");
        }
    }

    fn serve_web(&mut self, listener: std::net::TcpListener) {
        let address = self.plan.web.listen;
        let settings = self.web_settings();
        let routes = web::routes::RouteSettings { compression: self.plan.web.compression };
        let (board, control, counters) = (Arc::clone(&self.board), self.control.clone(), Arc::clone(&self.counters));
        let respond = move |request: &web::http::Request| {
            web::ask::answer(request, &board, &control, &gate_samples(&counters), &routes)
        };
        let store = self.shared.store.clone();
        let seams = gate::Seams {
            control: self.control.clone(),
            board: Arc::clone(&self.board),
            segments: Rc::new(move |stream, file_name| {
                store.slot(stream, file_name).map(|slot| slot as Arc<dyn SegmentBytes>)
            }),
            respond: Arc::new(respond),
            counters: Arc::clone(&self.counters),
        };
        log::info!("listening on http://{address}");
        self.web_address.set(address);
        let (usual, media) = (self.usual, self.plan.media);
        self.web = Some(self.shared.executor.spawn(async move {
            let mut serving = Box::pin(web::task::run(listener, settings, seams));
            // The workers are started by the first poll, and inherit the core and the priority that this thread has then.
            leave_place(usual, media);
            let ended = future::poll_once(&mut serving).await;
            take_place(usual, media);
            let result = match ended {
                Some(result) => result,
                None => serving.await,
            };
            if let Err(error) = result {
                log::error!("the web port stopped: {error}");
            }
        }));
    }

    fn web_settings(&self) -> gate::Settings {
        let web = &self.plan.web;
        let socket_dir = match &self.plan.hls {
            Some(hls) => hls.output_dir.join(".http"),
            None => std::env::temp_dir().join(format!("porthole-http-{}", web.listen.port())),
        };
        gate::Settings {
            workers: web.workers,
            connections: web.connections,
            waiting: web.waiting,
            answer_bytes: web.answer_bytes,
            ..gate::Settings::new(socket_dir)
        }
    }

    /// Serves until a signal ends it; its name.
    async fn run(&mut self) -> &'static str {
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
            log::error!("cannot listen for signals; only SIGKILL will end this process");
            return std::future::pending().await;
        };
        loop {
            let ends = future::or(
                async {
                    terminate.recv().await;
                    Some("SIGTERM")
                },
                async {
                    interrupt.recv().await;
                    Some("SIGINT")
                },
            );
            let reload = async {
                hangup.recv().await;
                None
            };
            match future::or(ends, reload).await {
                Some(name) => {
                    log::info!("{name}: stopping");
                    system::say_stopping(name);
                    return name;
                }
                None => self.reload().await,
            }
        }
    }

    /// Reads the configuration anew and restarts what changed; a wrong one changes nothing.
    async fn reload(&mut self) {
        let Some(files) = &self.files else {
            log::warn!("SIGHUP: there is no configuration file to read");
            return;
        };
        let new = match load(files, machine) {
            Ok(plan) => plan,
            Err(error) => {
                log::error!("SIGHUP: the configuration is not taken over, the old one keeps running:\n{error}");
                return;
            }
        };
        if new.system != self.plan.system {
            log::warn!(
                "SIGHUP: [system] state_dir and watchdog: how the run ended is noted, and the watchdog fed, as before until the next start"
            );
        }
        let changes = Changes::between(&self.plan, &new);
        let folder = |plan: &Plan| plan.hls.as_ref().map(|hls| hls.output_dir.clone());
        let (old_folder, new_folder) = (folder(&self.plan), folder(&new));
        // Before anything stops: a folder that another gateway uses is a wrong configuration, too.
        let new_lock = match new_folder.as_ref().filter(|_| new_folder != old_folder).map(|dir| FolderLock::take(dir)) {
            Some(Err(error)) => {
                log::error!("SIGHUP: the configuration is not taken over, the old one keeps running:\n{error}");
                return;
            }
            Some(Ok(lock)) => Some(lock),
            None => None,
        };
        if changes.is_empty() {
            log::info!("SIGHUP: nothing changed");
        } else {
            log::info!("SIGHUP: stopping {:?}, starting {:?}", changes.stop, changes.start);
        }
        self.stop_cameras(&changes.stop).await;
        // The workers' socket is in the output folder.
        let restart_web = changes.web || new_folder != old_folder;
        if restart_web {
            self.stop_web().await;
        }
        let old = std::mem::replace(&mut self.plan, new);
        if new_folder != old_folder {
            self.lock = new_lock;
            if let Some(folder) = &new_folder {
                clean(&self.shared.store, folder);
            }
        }
        self.note_plan();
        leave_place(self.usual, old.media);
        take_place(self.usual, self.plan.media);
        self.start_cameras(&changes.start);
        if changes.webrtc {
            self.shared.webrtc.restart(self.plan.webrtc.as_ref(), &self.shared.executor);
        }
        if restart_web {
            self.restart_web(&old);
        }
    }

    async fn stop_web(&mut self) {
        if let Some(task) = self.web.take() {
            task.cancel().await;
        }
        let _ = std::fs::remove_dir(self.web_settings().socket_dir);
    }

    fn restart_web(&mut self, old: &Plan) {
        match web::task::bind(self.plan.web.listen) {
            Ok(listener) => self.serve_web(listener),
            Err(error) => {
                log::error!("SIGHUP: {error}; listening on {} as before", old.web.listen);
                self.plan.web.listen = old.web.listen;
                match web::task::bind(old.web.listen) {
                    Ok(listener) => self.serve_web(listener),
                    Err(error) => log::error!("SIGHUP: {error}; there is no web port"),
                }
            }
        }
    }

    /// Ends everything: sessions are torn down, files removed.
    async fn stop(mut self) {
        let ids: Vec<_> = self.cameras.borrow().iter().map(|(entry, _)| entry.plan.camera.id).collect();
        self.shared.webrtc.stop();
        self.stop_cameras(&ids).await;
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.cancel().await;
        }
        self.stop_web().await;
        drop(self.lock.take());
        log::info!("stopped");
    }
}

/// The gate's counters as `/metrics` shows them.
fn gate_samples(counters: &GateCounters) -> Vec<Sample> {
    let sample = |(name, help, value): (&'static str, &'static str, u64)| {
        let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
        Sample { name, help, kind, label: None, value }
    };
    counters.all().into_iter().map(sample).collect()
}

/// Removes what runs that were killed left in the folders of any camera, configured or not.
fn clean(store: &Store, output_dir: &Path) {
    let Ok(folders) = std::fs::read_dir(output_dir) else { return };
    for id in folders.filter_map(|entry| StreamId::parse(entry.ok()?.file_name().to_str()?).ok()) {
        match hls::task::recover(store, output_dir, id) {
            Ok(0) => {}
            Ok(files) => log::info!("{id}: removed {files} files of a run that was killed"),
            Err(error) => log::warn!("{id}: {error}"),
        }
    }
}

/// Carries out commands.
async fn obey(commands: Commands, cameras: Cameras, webrtc: Rc<Output>) {
    while let Ok(command) = commands.recv().await {
        match command {
            Command::Wake(id, reply) => {
                let cameras = cameras.borrow();
                let answer =
                    cameras.iter().find(|(entry, _)| entry.plan.camera.id == id).map_or(Wake::Unknown, |(entry, _)| {
                        entry.demand.ask(now());
                        if entry.record.delivers() { Wake::Delivering } else { Wake::Starting }
                    });
                let _ = reply.try_send(answer);
            }
            Command::Watch(offer, reply) => {
                let cameras = cameras.borrow();
                let entry = cameras.iter().find(|(entry, _)| entry.plan.camera.id == offer.camera);
                let answer = entry.map_or(Err(WatchRefusal::UnknownCamera), |(entry, _)| {
                    entry.demand.ask(now());
                    webrtc.watch(entry, &offer)
                });
                if let Err(TrySendError::Disconnected(Ok(answer))) = reply.try_send(answer) {
                    // Nobody heard of this session, so nobody could end it.
                    webrtc.hang_up(None, answer.session);
                }
            }
            Command::Hangup(camera, session, reply) => {
                let _ = reply.try_send(webrtc.hang_up(camera, session));
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the composition root reads the clock for those that must not")]
fn now() -> Instant {
    Instant::now()
}
