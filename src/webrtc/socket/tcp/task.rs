//! The TCP port at work: accepts connections, hands on the frames that arrive in each, and writes those that leave.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_lite::future::{or, yield_now};
use nix::sys::socket::{self, Backlog, SockFlag, SockType, SockaddrStorage, sockopt};
use smol::LocalExecutor;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::outgoing::Outgoing;
use crate::webrtc::framing::Deframer;
use crate::webrtc::socket::address::{Family, canonical};
use crate::webrtc::socket::task::Report;
use crate::webrtc::socket::{Path, Settings};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// Connections accepted before other tasks get a turn.
const ACCEPT_BATCH: u64 = 16;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Size of the read buffer, and so the most that one connection hands on in a turn.
const SCRATCH: usize = 16 * 1024;
/// Kernel's send buffer of a connection, bytes: enough for 10 Mbit/s over 100 ms. What a slow peer does not take should wait in
/// `Outgoing`, where it is bounded, and not in the megabytes that the kernel would grow to.
const SEND_BUFFER: usize = 128 * 1024;

/// One listener on all addresses of this machine, and its connections.
pub(in crate::webrtc::socket) struct Tcp {
    listener: TcpListener,
    port: u16,
    most: usize,
    queue_bytes: usize,
    first_datagram: Duration,
    idle: Duration,
    connections: RefCell<HashMap<Path, Rc<Connection>>>,
    accepted: Cell<u64>,
    report: Rc<Report>,
}

/// What others may do to a connection.
struct Connection {
    /// Order in which they came.
    number: u64,
    /// The caller knows it: it sent something acceptable.
    shown: Cell<bool>,
    outgoing: RefCell<Outgoing>,
    queued: Notify,
    closed: Notify,
}

/// The peer ended the connection, or what it sends are not frames, or not from a peer.
struct Over;

impl Tcp {
    /// # Errors
    /// When the port is taken or may not be used.
    pub(in crate::webrtc::socket) fn bind(port: u16, settings: &Settings, report: Rc<Report>) -> io::Result<Self> {
        let listener = Family::open(|family| open(family, port))?;
        let listener = TcpListener::from_std(listener.into())?;
        Ok(Self {
            port: listener.local_addr()?.port(),
            listener,
            most: settings.tcp_connections,
            queue_bytes: settings.tcp_queue_bytes,
            first_datagram: settings.tcp_first_datagram,
            idle: settings.tcp_idle,
            connections: RefCell::default(),
            accepted: Cell::new(0),
            report,
        })
    }

    pub(in crate::webrtc::socket) fn port(&self) -> u16 {
        self.port
    }

    /// Connections now.
    pub(in crate::webrtc::socket) fn len(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Queues a datagram; the connection writes it when it gets its turn. False when its peer reads too slowly for that.
    pub(in crate::webrtc::socket) fn queue(&self, path: &Path, datagram: &[u8]) -> bool {
        let connections = self.connections.borrow();
        let connection = connections.get(path);
        match connection.filter(|connection| connection.outgoing.borrow_mut().push(datagram)) {
            Some(connection) => {
                connection.queued.notify_one();
                self.report.count(|counters| counters.sent += 1);
                true
            }
            None => {
                self.report.count(|counters| counters.unsent += 1);
                false
            }
        }
    }

    /// Closes a connection; what waits for it is lost. The caller is not told of it.
    pub(in crate::webrtc::socket) fn close(&self, path: &Path) {
        if let Some(connection) = self.connections.borrow_mut().remove(path) {
            connection.closed.notify_one();
        }
    }

    /// Serves until dropped. `on_datagram` says whether it came from a peer; `on_closed` is told of the connections of peers.
    pub(in crate::webrtc::socket) async fn serve(
        &self,
        on_datagram: impl Fn(Path, &[u8]) -> bool,
        on_closed: impl Fn(Path),
    ) {
        let scratch = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
        let executor = LocalExecutor::new();
        let accept = async {
            for number in 0_u64.. {
                match self.listener.accept().await {
                    Ok((stream, remote)) => {
                        if let Some((place, stream)) = self.welcome(stream, remote) {
                            executor.spawn(self.converse(place, stream, &scratch, &on_datagram, &on_closed)).detach();
                        }
                    }
                    // That client hung up before it was accepted; the next may be waiting.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        self.report
                            .complain(&format!("cannot accept on TCP port {}: {error}; trying again", self.port));
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
                // When it is full, the newest shows itself as a peer before the next one may evict it.
                if number % ACCEPT_BATCH == 0 || self.len() >= self.most {
                    yield_now().await;
                }
            }
        };
        executor.run(accept).await
    }

    /// Finds a place for the connection, or drops it.
    fn welcome(&self, stream: TcpStream, remote: SocketAddr) -> Option<(Place<'_>, TcpStream)> {
        let local = stream.local_addr().ok()?;
        let path = Path { local: canonical(local), remote: canonical(remote), tcp: true };
        if self.len() >= self.most {
            self.report.count(|counters| counters.tcp_refused += 1);
            let stranger = self.oldest_stranger()?;
            self.close(&stranger);
        }
        self.report.count(|counters| counters.tcp_connections += 1);
        let number = self.accepted.get();
        self.accepted.set(number + 1);
        let connection = Rc::new(Connection {
            number,
            shown: Cell::new(false),
            outgoing: RefCell::new(Outgoing::new(self.queue_bytes)),
            queued: Notify::new(),
            closed: Notify::new(),
        });
        self.connections.borrow_mut().insert(path, Rc::clone(&connection));
        Some((Place { tcp: self, path, connection }, stream))
    }

    fn oldest_stranger(&self) -> Option<Path> {
        let connections = self.connections.borrow();
        let strangers = connections.iter().filter(|(_, connection)| !connection.shown.get());
        strangers.min_by_key(|(_, connection)| connection.number).map(|(path, _)| *path)
    }

    async fn converse(
        &self,
        place: Place<'_>,
        mut stream: TcpStream,
        scratch: &RefCell<Box<[u8]>>,
        on_datagram: &impl Fn(Path, &[u8]) -> bool,
        on_closed: &impl Fn(Path),
    ) {
        let (path, connection) = (place.path, &*place.connection);
        let (mut incoming, outgoing) = stream.split();
        let read = self.read_all(path, connection, &mut incoming, scratch, on_datagram);
        let write = write_all(connection, &outgoing);
        let closed = async {
            connection.closed.notified().await;
            false
        };
        let to_be_told = or(closed, or(read, write)).await && connection.shown.get();
        // First out of the table, so that what the caller does now finds no connection here.
        drop(place);
        drop(stream);
        if to_be_told {
            on_closed(path);
        }
    }

    /// Hands on what arrives, until the connection is over.
    async fn read_all(
        &self,
        path: Path,
        connection: &Connection,
        stream: &mut ReadHalf<'_>,
        scratch: &RefCell<Box<[u8]>>,
        on_datagram: &impl Fn(Path, &[u8]) -> bool,
    ) -> bool {
        let mut deframer = Deframer::default();
        let mut patience = self.first_datagram;
        // Only a datagram of a peer starts the deadline anew; others do not.
        let acceptable = async |deframer: &mut Deframer, stream: &mut ReadHalf<'_>| loop {
            if self.read_some(path, connection, deframer, stream, scratch, on_datagram).await? {
                return Ok::<_, Over>(());
            }
            yield_now().await;
        };
        while let Ok(Ok(())) = timeout(patience, acceptable(&mut deframer, stream)).await {
            patience = self.idle;
            yield_now().await;
        }
        true
    }

    /// Hands on what has arrived, at most a buffer full; true when some of it was acceptable.
    async fn read_some(
        &self,
        path: Path,
        connection: &Connection,
        deframer: &mut Deframer,
        stream: &mut ReadHalf<'_>,
        scratch: &RefCell<Box<[u8]>>,
        on_datagram: &impl Fn(Path, &[u8]) -> bool,
    ) -> Result<bool, Over> {
        poll_fn(|context| {
            let mut scratch = scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)).map_err(|_| Over)?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(Over));
            }
            let (mut frames, mut acceptable, mut stranger) = (0, false, false);
            let framed = deframer.push(buffer.filled(), |frame| {
                // The first frame decides; a stranger's others are not looked at.
                if stranger {
                    return;
                }
                frames += 1;
                let accepted = on_datagram(path, frame);
                acceptable |= accepted;
                connection.shown.set(connection.shown.get() || accepted);
                stranger = !connection.shown.get();
            });
            self.report.count(|counters| counters.received += frames);
            if framed.is_err() || stranger {
                return Poll::Ready(Err(Over));
            }
            Poll::Ready(Ok(acceptable))
        })
        .await
    }
}

/// Writes what is queued, until the connection breaks.
async fn write_all(connection: &Connection, stream: &WriteHalf<'_>) -> bool {
    loop {
        while !connection.outgoing.borrow().pending().is_empty() {
            if stream.writable().await.is_err() {
                return true;
            }
            let mut outgoing = connection.outgoing.borrow_mut();
            match stream.try_write(outgoing.pending()) {
                Ok(written) => outgoing.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return true,
            }
        }
        connection.queued.notified().await;
    }
}

/// A connection's place in the table; leaves it when the connection is over, or dropped with everything else.
struct Place<'a> {
    tcp: &'a Tcp,
    path: Path,
    connection: Rc<Connection>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut connections = self.tcp.connections.borrow_mut();
        // The peer may have connected anew from the same port already.
        if connections.get(&self.path).is_some_and(|connection| Rc::ptr_eq(connection, &self.connection)) {
            connections.remove(&self.path);
        }
    }
}

fn open(family: Family, port: u16) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(family.domain(), SockType::Stream, flags, None)?;
    if family == Family::Dual {
        socket::setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    // A restart does not wait for connections of the run before; a port that is listened on is taken all the same.
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    // Accepted sockets inherit both.
    socket::setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    socket::setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER)?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(family.wildcard(port)))?;
    socket::listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
