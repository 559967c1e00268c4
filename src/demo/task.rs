//! The camera's sockets and clock: a listener in, RTSP and RTP with its clients out. One task for each connection.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{cell::Cell, io};

use futures_lite::future::or;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::camera::Event;
use super::connection::{Answer, Connection, Route, SESSION_TIMEOUT, bad_request};
use super::request::{INPUT_LIMIT, Input, parse};
use super::stream::{Flow, ntp_span};
use super::{Camera, Fault};

/// Connections at one time; the rest are closed at once.
const CONNECTION_LIMIT: usize = 64;
/// How long a client may take to accept what is sent, and how late its stream may run; then it is let go.
const STALL_LIMIT: Duration = Duration::from_secs(5);
/// How long a connection that a fault keeps silent is held.
const HANG_LIMIT: Duration = Duration::from_secs(600);
/// How long a connection without a session may be silent.
const IDLE_LIMIT: Duration = Duration::from_secs(SESSION_TIMEOUT);

/// Why a connection ended other than by the client.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it did not read for 5 s")]
    Slow,
    #[error("it was silent for 60 s")]
    Silent,
    #[error("it did not speak RTSP")]
    NotRtsp,
}

impl Camera {
    /// Serves clients until dropped, which closes every connection. Needs a tokio reactor with timers, nothing else:
    /// connections are tasks of an executor inside this future.
    pub async fn serve(self, listener: TcpListener) {
        let executor = smol::LocalExecutor::new();
        let open = Rc::new(Cell::new(0_usize));
        executor
            .run(async {
                loop {
                    match listener.accept().await {
                        Ok((stream, client)) if open.get() < CONNECTION_LIMIT => {
                            open.set(open.get() + 1);
                            let (camera, open) = (self.clone(), Rc::clone(&open));
                            let task = async move {
                                camera.count(Event::Connection);
                                let ended = converse(&camera, &stream, client).await;
                                open.set(open.get() - 1);
                                if let Err(error) = ended {
                                    if matches!(error, Ended::Slow) {
                                        camera.count(Event::SlowClient);
                                    }
                                    log::debug!("demo camera: client {client} let go: {error}");
                                }
                            };
                            executor.spawn(task).detach();
                        }
                        Ok(_) => {}
                        // Out of file descriptors, or a client gone before it was accepted: neither ends the camera.
                        Err(error) => {
                            log::warn!("demo camera: accept: {error}");
                            sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            })
            .await
    }
}

async fn converse(camera: &Camera, stream: &TcpStream, client: SocketAddr) -> Result<(), Ended> {
    for fault in camera.faults() {
        match fault {
            Fault::CloseAtConnect => return Ok(()),
            Fault::HangAtConnect => {
                sleep(HANG_LIMIT).await;
                return Ok(());
            }
            _ => {}
        }
    }
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?.ip();
    let mut sockets: [Option<[UdpSocket; 2]>; 2] = [None, None];
    let mut connection = Connection::new(camera);
    let mut input = Vec::new();
    let mut heard = Instant::now();
    // The moment of media time 0, and its NTP time, while the stream plays.
    let mut origin: Option<(Instant, u64)> = None;
    loop {
        let due = connection.playing().map(|stream| stream.due());
        if due.is_none() {
            origin = None;
        }
        let due = due.map(|due| {
            let begin = || (Instant::now() - due.to_duration(), ntp_now().wrapping_sub(ntp_span(due)));
            origin.get_or_insert_with(begin).0 + due.to_duration()
        });
        let silent_at = heard + IDLE_LIMIT;
        match next(stream, due.map_or(silent_at, |due| due.min(silent_at))).await? {
            Next::Readable => {
                if !read(stream, &mut input)? {
                    return Ok(());
                }
                if camera.faults().iter().any(|fault| matches!(fault, Fault::Garbage)) {
                    return write(stream, b"\x16\x03\x01 this is not RTSP\r\n\r\n\0\0\0\0").await;
                }
                let mut open = |track: usize, ports| {
                    let (pair, numbers) = open_udp(local, client.ip(), ports).ok()?;
                    *sockets.get_mut(track)? = Some(pair);
                    Some(numbers)
                };
                loop {
                    let used = match parse(&input) {
                        Input::Incomplete => break,
                        Input::Interleaved { len } => len,
                        Input::Request { request, len } => match connection.handle_request(&request, &mut open) {
                            Answer::Send(bytes) => {
                                write(stream, &bytes).await?;
                                len
                            }
                            Answer::Hang => return hang(stream).await,
                        },
                        Input::Bad => {
                            write(stream, &bad_request()).await?;
                            return Err(Ended::NotRtsp);
                        }
                    };
                    input.drain(..used);
                    // Whole requests and packets count, so that dripping bytes hold nothing.
                    heard = Instant::now();
                }
            }
            Next::Time if heard.elapsed() >= IDLE_LIMIT => return Err(Ended::Silent),
            Next::Time => {
                if due.is_some_and(|due| due.elapsed() > STALL_LIMIT) {
                    return Err(Ended::Slow);
                }
                let Some((_, ntp)) = origin else { continue };
                if send_unit(camera, &mut connection, ntp, stream, &sockets).await? == Flow::Close {
                    return Ok(());
                }
            }
        }
    }
}

enum Next {
    Readable,
    Time,
}

async fn next(stream: &TcpStream, at: Instant) -> io::Result<Next> {
    // The timer first: a client that never stops writing must not stop its stream.
    let time = async {
        sleep_until(at).await;
        Ok(Next::Time)
    };
    or(time, async { stream.readable().await.map(|()| Next::Readable) }).await
}

/// Reads once; false at the end. `input` never outgrows one request or packet by more than a chunk.
fn read(stream: &TcpStream, input: &mut Vec<u8>) -> Result<bool, Ended> {
    let mut chunk = [0; 4096];
    match stream.try_read(&mut chunk) {
        Ok(0) => Ok(false),
        Ok(len) if input.len() + len <= INPUT_LIMIT + chunk.len() => {
            input.extend_from_slice(chunk.get(..len).unwrap_or_default());
            Ok(true)
        }
        Ok(_) => Err(Ended::NotRtsp),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error.into()),
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) -> Result<(), Ended> {
    let all = async {
        while !bytes.is_empty() {
            stream.writable().await?;
            match stream.try_write(bytes) {
                Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    timeout(STALL_LIMIT, all).await.unwrap_or(Err(Ended::Slow))
}

/// Holds the connection and says nothing until the client goes.
async fn hang(stream: &TcpStream) -> Result<(), Ended> {
    let until_gone = async {
        let mut ignored = Vec::new();
        loop {
            stream.readable().await?;
            if !read(stream, &mut ignored)? {
                return Ok(());
            }
            ignored.clear();
        }
    };
    timeout(HANG_LIMIT, until_gone).await.unwrap_or(Ok(()))
}

/// Sends one access unit. What waits for a slow client is this unit and the socket's own buffer, never more.
async fn send_unit(
    camera: &Camera,
    connection: &mut Connection,
    origin: u64,
    stream: &TcpStream,
    sockets: &[Option<[UdpSocket; 2]>; 2],
) -> Result<Flow, Ended> {
    let mut packets = Vec::new();
    let Some(playing) = connection.playing() else { return Ok(Flow::Continue) };
    let flow = playing.poll(&camera.faults(), origin, &mut packets);
    let mut bytes = Vec::new();
    for packet in &packets {
        match connection.route(packet) {
            Some(Route::Interleaved(channels)) => {
                let Ok(len) = u16::try_from(packet.bytes.len()) else { continue };
                bytes.extend([b'$', channels[usize::from(packet.rtcp)]]);
                bytes.extend(len.to_be_bytes());
                bytes.extend(&packet.bytes);
            }
            Some(Route::Udp) => {
                if let Some(Some(pair)) = sockets.get(packet.track) {
                    // A full buffer or a closed port loses the packet, as UDP does.
                    let _lost = pair[usize::from(packet.rtcp)].send(&packet.bytes);
                }
            }
            None => {}
        }
    }
    write(stream, &bytes).await?;
    Ok(flow)
}

/// An even port and the next one (RFC 3550 section 11), joined to the client's.
fn open_udp(local: IpAddr, client: IpAddr, ports: [u16; 2]) -> io::Result<([UdpSocket; 2], [u16; 2])> {
    let mut last_error = io::ErrorKind::AddrInUse.into();
    for _ in 0..16 {
        let first = UdpSocket::bind((local, 0))?;
        let port = first.local_addr()?.port() & !1;
        drop(first);
        let pair = UdpSocket::bind((local, port)).and_then(|rtp| Ok([rtp, UdpSocket::bind((local, port | 1))?]));
        match pair {
            Ok(pair) => {
                for (socket, port) in pair.iter().zip(ports) {
                    socket.set_nonblocking(true)?;
                    socket.connect((client, port))?;
                }
                return Ok((pair, [port, port | 1]));
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Seconds since 1900 in 32.32 bits (RFC 3550 section 4).
#[expect(clippy::disallowed_methods, reason = "this is the camera's one file of effects")]
fn ntp_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    since_1970.as_secs().wrapping_add(2_208_988_800) << 32 | fraction
}
