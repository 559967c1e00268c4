//! The effects of WebRTC: the sockets, the clock, randomness, and one task per watched camera.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use smol::{LocalExecutor, Task};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::certificate::Certificate;
use super::engine::{End, Engine, Entropy, Limits, Request};
use super::facts::{Counters, SessionFacts};
use super::peer::OpenError;

use super::socket::{self, Path, SocketError, Sockets};
use crate::hub::{self, Hub, Reader};
use crate::media::{StreamFormat, StreamId};

/// Units handled before other tasks get their turn.
const BATCH: usize = 32;

/// Settings of the whole output.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The UDP port of all sessions.
    pub udp_port: u16,
    /// The port for browsers that UDP does not reach; absent: none.
    pub tcp_port: Option<u16>,
    /// Most TCP connections.
    pub tcp_connections: usize,
    /// Most bytes that one TCP connection holds for a slow reader.
    pub tcp_buffer_bytes: usize,
    /// Most sessions at once.
    pub max_viewers: usize,
}

/// A browser that wants to watch a camera.
pub struct Watch<'a> {
    /// The camera.
    pub camera: StreamId,
    /// Its offer; untrusted.
    pub sdp: &'a str,
    /// What the camera sends.
    pub format: &'a StreamFormat,
    /// Where its pictures come from.
    pub hub: &'a Hub,
    /// Bounds of the queue behind that.
    pub queue: hub::Limits,
    /// Most sessions of this camera.
    pub max_viewers: usize,
    /// Most bytes of its pictures that are kept in packets while it is watched.
    pub gop_bytes: usize,
    /// This machine's addresses, the most likely first.
    pub addresses: &'a [IpAddr],
}

/// A session that exists now.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its id; who knows it can end it.
    pub id: u128,
    /// The answer.
    pub sdp: String,
}

/// The WebRTC output; clones are the same one. Lives on the media thread; dropping all ends it.
#[derive(Clone)]
pub struct WebRtc {
    inner: Rc<Inner>,
}

struct Inner {
    engine: RefCell<Engine>,
    sockets: Sockets,
    /// When the timer goes off; told when that is too late.
    armed: Cell<Option<Instant>>,
    rearm: Notify,
    feeds: RefCell<BTreeMap<StreamId, Task<()>>>,
    executor: Rc<LocalExecutor<'static>>,
    on_change: Box<dyn Fn(StreamId)>,
}

impl WebRtc {
    /// Takes the ports. `on_change` is told the camera whenever one of its sessions came, went or found its path.
    ///
    /// # Errors
    /// When a port is taken or not allowed.
    pub fn bind(
        settings: &Settings,
        certificate: Certificate,
        executor: Rc<LocalExecutor<'static>>,
        on_change: impl Fn(StreamId) + 'static,
    ) -> Result<Self, SocketError> {
        let Settings { udp_port, tcp_port, tcp_connections, tcp_buffer_bytes, max_viewers } = *settings;
        let sockets = Sockets::bind(&socket::Settings {
            udp_port,
            tcp_port,
            tcp_connections,
            tcp_queue_bytes: tcp_buffer_bytes,
            ..socket::Settings::default()
        })?;
        let limits = Limits { udp_port: sockets.local_port(), tcp_port: sockets.tcp_port(), max_viewers };
        let inner = Inner {
            engine: RefCell::new(Engine::new(limits, certificate)),
            sockets,
            armed: Cell::new(None),
            rearm: Notify::new(),
            feeds: RefCell::default(),
            executor,
            on_change: Box::new(on_change),
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Receives and keeps time until dropped.
    pub async fn run(&self) {
        let inner = &self.inner;
        let receive = inner.sockets.run(
            |path, bytes| inner.engine(|engine, now, out| engine.handle_datagram(path, bytes, now, out)),
            |path| inner.engine(|engine, _, _| engine.on_closed(path)),
        );
        futures_lite::future::or(receive, inner.keep_time()).await;
    }

    /// Opens a session.
    ///
    /// # Errors
    /// Why this browser cannot watch this camera now.
    pub fn watch(&self, watch: &Watch<'_>) -> Result<Opened, OpenError> {
        let mut entropy: Entropy = [0; _];
        // Without randomness a session would be guessable: the kernel always has it once it has booted.
        getrandom::fill(&mut entropy).map_err(OpenError::NoRandomness)?;
        let Watch { camera, sdp, format, hub, queue, max_viewers, gop_bytes, addresses } = *watch;
        let request = Request { camera, sdp, format, camera_viewers: max_viewers, addresses, entropy };
        let (id, sdp) = self.inner.engine(|engine, now, _| engine.open(&request, now))?;
        self.inner.feed(camera, hub, queue, gop_bytes);
        Ok(Opened { id, sdp })
    }

    /// Ends the session with this id, of `camera` if one is given; false when there is none.
    pub fn hang_up(&self, camera: Option<StreamId>, id: u128) -> bool {
        self.inner.engine(|engine, now, out| engine.hang_up(camera, id, now, out))
    }

    /// Ends all sessions of a camera that goes away.
    pub fn end_camera(&self, camera: StreamId) {
        self.inner.feeds.borrow_mut().remove(&camera);
        self.inner.engine(|engine, now, out| engine.end_camera(camera, now, out));
    }

    /// Ends every session.
    pub fn close(&self) {
        self.inner.feeds.borrow_mut().clear();
        self.inner.engine(Engine::close);
    }

    /// Sessions of a camera.
    pub fn viewers(&self, camera: StreamId) -> usize {
        self.inner.engine.borrow().viewers(camera)
    }

    /// The kernel's buffers of the UDP socket, bytes, which may be smaller than asked for: to send, to receive.
    pub fn buffers(&self) -> (usize, usize) {
        let buffers = self.inner.sockets.buffers();
        (buffers.send, buffers.receive)
    }

    /// Every session, oldest first.
    pub fn sessions(&self) -> Vec<SessionFacts> {
        self.inner.engine.borrow().sessions()
    }

    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        Counters { unsent: self.inner.sockets.counters().unsent, ..self.inner.engine.borrow().counters() }
    }
}

impl Inner {
    /// Does something with the engine, sends what comes of it, and sets the timer.
    #[expect(clippy::disallowed_methods, reason = "this file reads the clock")]
    fn engine<T>(&self, act: impl FnOnce(&mut Engine, Instant, &mut dyn FnMut(Path, &[u8])) -> T) -> T {
        let mut engine = self.engine.borrow_mut();
        let mut congested = None;
        let result = act(&mut engine, Instant::now(), &mut |path, bytes| {
            if !self.sockets.send(&path, bytes) {
                congested = Some(path);
            }
        });
        if let Some(path) = congested {
            engine.on_congested(path);
        }
        self.sockets.flush();
        for path in engine.take_closed() {
            self.sockets.close(&path);
        }
        for End { camera, id, why } in engine.take_ends() {
            // Whoever reads a log cannot end sessions: eight digits tell them apart.
            log::info!("{camera}: WebRTC session {:08x} is over: {why}", id >> 96);
        }
        let due = engine.poll_timeout();
        let late = match (due, self.armed.get()) {
            (Some(due), Some(armed)) => due < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if late {
            self.rearm.notify_one();
        }
        let changes = engine.take_changes();
        drop(engine);
        for camera in changes {
            (self.on_change)(camera);
        }
        result
    }

    async fn keep_time(&self) {
        loop {
            let due = self.engine.borrow().poll_timeout();
            self.armed.set(due);
            let timer = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
                true
            };
            let rearm = async {
                self.rearm.notified().await;
                false
            };
            if futures_lite::future::or(rearm, timer).await {
                self.engine(Engine::handle_timeout);
            }
        }
    }

    /// Makes sure that the camera's units come, and begin with those that the hub has kept.
    fn feed(self: &Rc<Self>, camera: StreamId, hub: &Hub, queue: hub::Limits, gop_bytes: usize) {
        let mut feeds = self.feeds.borrow_mut();
        if feeds.contains_key(&camera) {
            return;
        }
        let (kept, reader) = hub.subscribe_with_gop(queue);
        self.engine.borrow_mut().add_stream(camera, gop_bytes, kept);
        // The output may be dropped while a camera is watched: its tasks do not keep it.
        let inner = Rc::downgrade(self);
        feeds.insert(camera, self.executor.spawn(async move { feed(inner, camera, reader).await }));
    }
}

/// Hands the camera's units to its viewers until there are none.
async fn feed(inner: std::rc::Weak<Inner>, camera: StreamId, mut reader: Reader) {
    loop {
        let mut next = Some(reader.next().await);
        let Some(inner) = inner.upgrade() else { return };
        let mut handled = 0;
        while let Some(delivery) = next.take().or_else(|| reader.try_next()) {
            inner.engine(|engine, now, out| engine.handle_unit(camera, delivery.unit, now, out));
            handled += 1;
            if handled == BATCH {
                break;
            }
        }
        if inner.engine.borrow().viewers(camera) == 0 {
            inner.engine.borrow_mut().remove_stream(camera);
            if let Some(task) = inner.feeds.borrow_mut().remove(&camera) {
                task.detach();
            }
            return;
        }
        drop(inner);
        if handled == BATCH {
            futures_lite::future::yield_now().await;
        }
    }
}
