//! The gate at work: accepts connections on the media thread, runs one conversation for each, and opens the way to the workers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::{poll_once, yield_now};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};
use smol::{LocalExecutor, Task};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::admit::{Admission, Seat};
use super::answer::{client_head, line};
use super::client::{Connection, converse};
use super::counters::GateCounters;
use super::io::{SCRATCH, Scratch, linger, write_all};
use super::refusal::Refusal;
use super::upstream::{Reply, exchange};
use super::{Respond, Seams, SegmentBytes, Segments, Settings};
use crate::control::{CameraState, Control, StatusBoard};
use crate::media::StreamId;
use crate::web::http::Until;
use crate::web::worker::Workers;

/// Descriptors at the top of the process's limit that clients never get: cameras, segments and the workers' sockets need
/// them, and tiny_http dies when its accept() finds none.
const RESERVED_DESCRIPTORS: u64 = 64;
/// Connections that are being told 503 at once; beyond it they are closed without a word.
const MOST_TURNED_AWAY: usize = 16;
/// Connections accepted before other tasks get a turn.
const ACCEPT_BATCH: u64 = 16;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);
const RESTART_INTERVAL: Duration = Duration::from_secs(1);
/// A camera hears at most this often that it is being watched.
const WATCHED_INTERVAL: Duration = Duration::from_secs(1);
/// How often a waiting request looks whether its camera delivers.
const CAMERA_POLL: Duration = Duration::from_millis(25);

/// What all conversations share.
pub(in crate::web) struct Gate {
    pub(super) settings: Settings,
    pub(super) counters: Arc<GateCounters>,
    pub(super) scratch: Scratch,
    control: Control,
    board: Arc<StatusBoard>,
    segments: Segments,
    respond: Arc<Respond>,
    socket: PathBuf,
    address: UnixAddr,
    workers: RefCell<Option<Workers>>,
    workers_started: Cell<Instant>,
    worker_places: Semaphore,
    waiting: Cell<usize>,
    admission: RefCell<Admission>,
    conversations: RefCell<HashMap<Seat, Task<()>>>,
    turned_away: Cell<usize>,
    requests: Cell<u64>,
    watched: RefCell<HashMap<StreamId, Instant>>,
    complained: Cell<Option<Instant>>,
}

impl Gate {
    /// Starts the workers behind `socket`.
    pub(in crate::web) fn start(settings: Settings, socket: PathBuf, seams: Seams) -> io::Result<Rc<Self>> {
        let Seams { control, board, segments, respond, counters } = seams;
        let workers = Workers::start(&socket, settings.workers, &respond)?;
        Ok(Rc::new(Self {
            admission: RefCell::new(Admission::new(settings.connections, settings.answer_bytes)),
            worker_places: Semaphore::new(settings.workers),
            settings,
            counters,
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            control,
            board,
            segments,
            respond,
            address: UnixAddr::new(&socket)?,
            socket,
            workers: RefCell::new(Some(workers)),
            workers_started: Cell::new(now()),
            waiting: Cell::new(0),
            conversations: RefCell::default(),
            turned_away: Cell::new(0),
            requests: Cell::new(0),
            watched: RefCell::default(),
            complained: Cell::new(None),
        }))
    }

    /// Accepts and serves until dropped. No error of accept() ends it.
    pub(in crate::web) async fn run(self: &Rc<Self>, listener: TcpListener) {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let scarce_from = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
        let executor = LocalExecutor::new();
        let accept = async {
            for number in 0_u64.. {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let scarce = u64::try_from(stream.as_raw_fd()).is_ok_and(|number| number >= scarce_from);
                        self.welcome(&executor, stream, peer.ip().to_canonical(), scarce);
                    }
                    Err(error) => self.on_accept_error(&error).await,
                }
                // A burst of connections does not delay requests, and the evicted get to close.
                if number % ACCEPT_BATCH == 0 {
                    yield_now().await;
                }
            }
        };
        executor.run(accept).await
    }

    fn welcome(self: &Rc<Self>, executor: &LocalExecutor<'_>, mut stream: TcpStream, peer: IpAddr, scarce: bool) {
        self.counters.connections.add_one();
        let admitted = self.admission.borrow_mut().admit(peer, scarce);
        match admitted {
            Ok(admitted) => {
                if let Some(evicted) = admitted.evicted {
                    self.counters.evicted.add_one();
                    self.close(evicted);
                }
                let conversation = executor.spawn(converse(Rc::clone(self), stream, peer, admitted.seat));
                self.conversations.borrow_mut().insert(admitted.seat, conversation);
            }
            Err(_) => {
                self.counters.refused_full.add_one();
                self.complain("the web port is full: every connection is busy; new ones are refused");
                if self.turned_away.get() < MOST_TURNED_AWAY {
                    self.turned_away.set(self.turned_away.get() + 1);
                    let gate = Rc::clone(self);
                    let farewell = async move {
                        gate.turn_away(&mut stream).await;
                        gate.turned_away.set(gate.turned_away.get() - 1);
                    };
                    executor.spawn(farewell).detach();
                }
            }
        }
        self.counters.open.set(self.admission.borrow().len());
    }

    async fn turn_away(&self, stream: &mut TcpStream) {
        let (headers, body) = Refusal::Full.answer();
        let mut bytes = client_head(Refusal::Full.status(), &headers, Some(body.len()));
        line(&mut bytes, "Connection", "close");
        bytes.extend_from_slice(b"\r\n");
        // The connection is closed next, whether or not the client took the answer.
        let _ = write_all(stream, &bytes, body.len(), || Some(&body), Duration::from_secs(1)).await;
        linger(stream, &self.scratch).await;
    }

    async fn on_accept_error(&self, error: &io::Error) {
        self.counters.accept_errors.add_one();
        // That client hung up before it was accepted; the next may be waiting.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        self.complain(&format!("cannot accept connections: {error}; trying again"));
        sleep(ACCEPT_PAUSE).await;
    }

    /// Warns, at most once a minute.
    fn complain(&self, sentence: &str) {
        let now = now();
        if self.complained.get().is_none_or(|last| now.duration_since(last) >= COMPLAINT_INTERVAL) {
            self.complained.set(Some(now));
            log::warn!("{sentence}");
        }
    }

    pub(super) fn idle(&self, seat: Seat) {
        self.admission.borrow_mut().idle(seat);
    }

    pub(super) fn busy(&self, seat: Seat) {
        self.admission.borrow_mut().busy(seat);
    }

    /// An answer of `bytes` waits in memory for its reader; slower readers may be cut off for it.
    pub(super) fn answering(&self, seat: Seat, bytes: usize) {
        let cut = self.admission.borrow_mut().answering(seat, bytes);
        for seat in cut {
            self.counters.cut.add_one();
            self.close(seat);
        }
    }

    /// The conversation is over.
    pub(super) fn leave(&self, seat: Seat) {
        self.admission.borrow_mut().leave(seat);
        self.counters.open.set(self.admission.borrow().len());
        let conversation = self.conversations.borrow_mut().remove(&seat);
        if let Some(conversation) = conversation {
            conversation.detach();
        }
    }

    /// Ends a conversation from outside: its task is dropped, and the socket with it.
    fn close(&self, seat: Seat) {
        let conversation = self.conversations.borrow_mut().remove(&seat);
        drop(conversation);
    }

    /// The number of a request that was read whole, and when that was.
    pub(super) fn next_request(&self) -> (u64, Instant) {
        self.counters.requests.add_one();
        self.requests.set(self.requests.get() + 1);
        (self.requests.get(), now())
    }

    /// How long ago that was.
    pub(super) fn since(&self, started: Instant) -> Duration {
        now().duration_since(started)
    }

    pub(super) fn on_refused(&self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::TooSlow => &self.counters.too_slow,
            Refusal::Busy => &self.counters.refused_busy,
            Refusal::SegmentGone => &self.counters.segments_gone,
            Refusal::NoAnswer | Refusal::BadAnswer => &self.counters.upstream_errors,
            _ => &self.counters.refused_requests,
        };
        counter.add_one();
    }

    pub(super) fn segment(&self, stream: &StreamId, file_name: &str) -> Option<Arc<dyn SegmentBytes>> {
        (self.segments)(stream, file_name)
    }

    /// Asks the workers, when a place with them is free. Policy when too many wait: Refuse.
    pub(super) async fn ask(&self, request: &[u8], body_follows: bool) -> Result<Reply, Refusal> {
        let deadline = self.settings.answer_deadline;
        let _place = match self.worker_places.try_acquire() {
            Ok(place) => place,
            Err(_) => {
                let _waiting = Waiting::enter(&self.waiting, self.settings.waiting).ok_or(Refusal::Busy)?;
                let place = timeout(deadline, self.worker_places.acquire()).await.map_err(|_| Refusal::Busy)?;
                place.map_err(|_| Refusal::Busy)?
            }
        };
        let answer = async {
            let (stream, sent) = self.send(request)?;
            let rest = request.get(sent..).unwrap_or_default();
            exchange(stream, &self.scratch, rest, body_follows, (self.settings.answer_bytes, deadline)).await
        };
        timeout(deadline, answer).await.map_err(|_| Refusal::NoAnswer)?
    }

    /// Connects to the workers and sends what their socket takes of `request` at once, nearly always all of it.
    fn send(&self, request: &[u8]) -> Result<(UnixStream, usize), Refusal> {
        let begun = begin(&self.address, request).or_else(|error| {
            match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => self.restart_workers(&error),
                _ => self.complain(&format!("cannot reach the HTTP workers: {error}")),
            }
            begin(&self.address, request)
        });
        begun.map_err(|_| Refusal::BadAnswer)
    }

    /// tiny_http stops accepting for ever after one error of its accept(): begin anew, at most once a second.
    fn restart_workers(&self, error: &io::Error) {
        if now().duration_since(self.workers_started.get()) < RESTART_INTERVAL {
            return;
        }
        log::error!("the HTTP workers no longer accept requests ({error}); starting them again");
        self.workers_started.set(now());
        // The old ones end first: they remove the socket's path.
        drop(self.workers.take());
        match Workers::start(&self.socket, self.settings.workers, &self.respond) {
            Ok(workers) => *self.workers.borrow_mut() = Some(workers),
            Err(error) => log::error!("cannot start the HTTP workers: {error}"),
        }
    }

    /// Wakes `camera` and returns when it has what is wanted or the deadline has passed.
    pub(super) async fn wait_for(&self, camera: StreamId, until: Until) {
        self.counters.waited.add_one();
        let waiting = async {
            let mut seen = None;
            loop {
                self.touch(camera).await;
                let version = self.board.version();
                if seen.replace(version) != Some(version) && self.delivers(&camera, until) {
                    return;
                }
                sleep(CAMERA_POLL).await;
            }
        };
        // Too late is no error: the workers are asked again and say why there is nothing yet.
        let _ = timeout(self.settings.camera_deadline, waiting).await;
    }

    fn delivers(&self, camera: &StreamId, until: Until) -> bool {
        self.board.read().camera(camera.as_str()).is_some_and(|camera| match until {
            Until::Playlist => camera.live_playlist().is_some(),
            Until::Pictures => camera.state == CameraState::Streaming,
        })
    }

    /// Somebody was given something of a camera: its idle time starts anew.
    pub(super) async fn on_watched(&self, path: &str) {
        let camera = path.strip_prefix("/hls/").and_then(|rest| rest.split_once('/')).map(|(id, _)| id);
        let Some(camera) = camera.and_then(|id| self.board.read().camera(id).cloned()) else { return };
        if camera.on_demand {
            self.touch(camera.id).await;
        }
    }

    /// Sends a wake, at most once a second for each camera; nobody waits for the reply, and a full channel is tried again soon.
    async fn touch(&self, camera: StreamId) {
        let now = now();
        let recent = |last: &Instant| now.duration_since(*last) < WATCHED_INTERVAL;
        if self.watched.borrow().get(&camera).is_some_and(recent) {
            return;
        }
        if !matches!(poll_once(self.control.wake(camera)).await, Some(Err(_))) {
            let mut watched = self.watched.borrow_mut();
            watched.retain(|_, last| recent(last));
            watched.insert(camera, now);
        }
    }
}

impl Connection for TcpStream {
    fn arrived_at(&self) -> Option<IpAddr> {
        self.local_addr().ok().map(|address| address.ip().to_canonical())
    }
}

/// A local connection is there or refused at once, and its buffer is empty: both need no trip through the reactor.
fn begin(address: &UnixAddr, request: &[u8]) -> io::Result<(UnixStream, usize)> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), address)?;
    let sent = send(socket.as_raw_fd(), request, MsgFlags::MSG_NOSIGNAL)?;
    Ok((UnixStream::from_std(socket.into())?, sent))
}

/// A place among those who wait for a worker.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a Cell<usize>, most: usize) -> Option<Self> {
        if waiting.get() >= most {
            return None;
        }
        waiting.set(waiting.get() + 1);
        Some(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[expect(clippy::disallowed_methods, reason = "the gate's clock")]
fn now() -> Instant {
    Instant::now()
}
