//! The UDP socket at work: batches in by `recvmmsg`, batches out by `sendmmsg`, divided by the kernel where it can. udp(7), ipv6(7).

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::yield_now;
use nix::cmsg_space;
use nix::sys::socket::{
    self, ControlMessage, MsgFlags, MultiHeaders, RecvMsg, SockFlag, SockType, SockaddrStorage, recvmmsg, sendmmsg,
    sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::outbox::{Batch, MOST_MESSAGES, Outbox};
use crate::webrtc::socket::address::{Family, Source, local, peer, to_kernel};
use crate::webrtc::socket::task::Report;
use crate::webrtc::socket::{Buffers, LONGEST_DATAGRAM, Path, Settings};

/// Datagrams of one `recvmmsg`, and between two turns of other tasks.
const RECEIVE_BATCH: usize = 32;
/// Bytes queued by callers that have not flushed yet, at which they are sent anyway: more would not stay in the CPU's cache.
const FLUSH_AT: usize = 128 * 1024;
/// Pause after an error of the socket itself, so that one that lasts does not take the whole CPU.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// One socket on all addresses of this machine.
pub(in crate::webrtc::socket) struct Udp {
    socket: UdpSocket,
    family: Family,
    port: u16,
    buffers: Buffers,
    outbox: RefCell<Outbox>,
    flush_at: usize,
    headers: RefCell<SendHeaders>,
    /// The kernel takes no more until it says so.
    blocked: Cell<bool>,
    on_blocked: Notify,
    report: Rc<Report>,
}

impl Udp {
    /// # Errors
    /// When the port is taken or may not be used.
    pub(in crate::webrtc::socket) fn bind(settings: &Settings, report: &Rc<Report>) -> io::Result<Self> {
        Family::open(|family| Self::bind_to(family, settings, Rc::clone(report)))
    }

    fn bind_to(family: Family, settings: &Settings, report: Rc<Report>) -> io::Result<Self> {
        let socket = open(family, settings)?;
        // The kernel doubles what it is asked for, to account for its own structures, and says the double.
        let buffers = Buffers {
            receive: socket::getsockopt(&socket, sockopt::RcvBuf)? / 2,
            send: socket::getsockopt(&socket, sockopt::SndBuf)? / 2,
        };
        // A kernel without it would not refuse the control message but send one huge datagram.
        let segmentation = settings.segmentation && socket::getsockopt(&socket, sockopt::UdpGsoSegment).is_ok();
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self {
            family,
            port: socket.local_addr()?.port(),
            socket,
            buffers,
            outbox: RefCell::new(Outbox::new(settings.queue_bytes, segmentation)),
            flush_at: settings.queue_bytes.min(FLUSH_AT),
            headers: RefCell::new(SendHeaders::new()),
            blocked: Cell::new(false),
            on_blocked: Notify::new(),
            report,
        })
    }

    pub(in crate::webrtc::socket) fn port(&self) -> u16 {
        self.port
    }

    pub(in crate::webrtc::socket) fn buffers(&self) -> Buffers {
        self.buffers
    }

    /// Queues a datagram; it leaves with the next flush.
    pub(in crate::webrtc::socket) fn queue(&self, local: IpAddr, remote: SocketAddr, datagram: &[u8]) {
        if self.outbox.borrow().len() + datagram.len() > self.flush_at {
            self.flush();
        }
        if !self.outbox.borrow_mut().queue(local, remote, datagram) {
            self.report.count(|counters| counters.unsent += 1);
        }
    }

    /// Sends what is queued, as far as the kernel takes it.
    pub(in crate::webrtc::socket) fn flush(&self) {
        if !self.blocked.get() {
            self.transmit();
        }
    }

    fn transmit(&self) {
        let mut headers = self.headers.borrow_mut();
        let flushed = self.outbox.borrow_mut().flush(|batch| headers.send(self.socket.as_raw_fd(), batch, self.family));
        self.blocked.set(flushed.blocked);
        if flushed.blocked {
            // Tells tokio, which did not see the call, to wait for the kernel.
            let _ = self.socket.try_io(Interest::WRITABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
            self.on_blocked.notify_one();
        }
        self.report.count(|counters| {
            counters.sent += flushed.sent;
            counters.unsent += flushed.failed;
        });
        if flushed.gave_up_segmentation {
            log::info!("the network device does not divide datagrams (UDP GSO): they are sent one by one from now on");
        }
        if let Some((remote, error)) = flushed.error {
            self.report.complain(&format!("cannot send to {remote}: {error}"));
        }
    }

    /// Goes on sending whenever the kernel takes more again; until dropped.
    pub(in crate::webrtc::socket) async fn resume(&self) {
        loop {
            self.on_blocked.notified().await;
            while self.blocked.get() {
                // An error of waiting is one of the next attempt to send, too.
                let _ = self.socket.writable().await;
                self.transmit();
                yield_now().await;
            }
        }
    }

    /// Hands on what arrives; until dropped.
    pub(in crate::webrtc::socket) async fn receive_all(&self, mut on_datagram: impl FnMut(Path, &[u8])) {
        let mut inbox = Inbox::new(self.family);
        loop {
            let received = match self.socket.readable().await {
                Ok(()) => inbox.receive(self, &mut on_datagram),
                Err(error) => Err(error),
            };
            match received {
                Ok(()) => yield_now().await,
                Err(error) => {
                    self.report.complain(&format!("cannot receive on UDP port {}: {error}; trying again", self.port));
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    }
}

fn open(family: Family, settings: &Settings) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(family.domain(), SockType::Datagram, flags, None)?;
    match family {
        Family::Dual => {
            socket::setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
            // Covers IPv4 too, as mapped addresses.
            socket::setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        Family::V4 => socket::setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
    }
    // More than net.core.rmem_max or wmem_max allow is no error: the kernel gives what it may.
    socket::setsockopt(&socket, sockopt::RcvBuf, &settings.receive_buffer)?;
    socket::setsockopt(&socket, sockopt::SndBuf, &settings.send_buffer)?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(family.wildcard(settings.udp_port)))?;
    Ok(socket)
}

/// What `recvmmsg` fills: one buffer and one set of headers, reused.
struct Inbox {
    family: Family,
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[u8]>,
}

impl Inbox {
    fn new(family: Family) -> Self {
        let buffers = vec![0; RECEIVE_BATCH * LONGEST_DATAGRAM].into_boxed_slice();
        Self { family, headers: receive_headers(family), buffers }
    }

    /// Hands on at most one batch.
    fn receive(&mut self, udp: &Udp, on_datagram: impl FnMut(Path, &[u8])) -> io::Result<()> {
        let received = udp.socket.try_io(Interest::READABLE, || {
            let received = self.receive_batch(udp, on_datagram)?;
            // Fewer than asked for were all there was: the next call would only say so. What arrives from now on is a new event.
            if received < RECEIVE_BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match received {
            Err(error) if ignorable(&error) => Ok(()),
            result => result,
        }
    }

    fn receive_batch(&mut self, udp: &Udp, mut on_datagram: impl FnMut(Path, &[u8])) -> io::Result<usize> {
        let mut buffers = self.buffers.chunks_exact_mut(LONGEST_DATAGRAM);
        let mut slices: [_; RECEIVE_BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let fd = udp.socket.as_raw_fd();
        let mut received = 0;
        let (mut handed_on, mut oversized) = (0, 0);
        let mut without_local = false;
        for message in recvmmsg(fd, &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)? {
            received += 1;
            if message.flags.contains(MsgFlags::MSG_TRUNC) {
                oversized += 1;
                continue;
            }
            let local = message.cmsgs().ok().and_then(|mut messages| messages.find_map(|message| local(&message)));
            without_local |= local.is_none();
            if let Some((path, bytes)) = local.and_then(|local| datagram(&message, local, udp.port)) {
                handed_on += 1;
                on_datagram(path, bytes);
            }
        }
        udp.report.count(|counters| {
            counters.received += handed_on;
            counters.oversized += oversized;
        });
        // The kernel leaves in each header how long its control message was, which is all that the next one may be.
        if without_local {
            self.headers = receive_headers(self.family);
        }
        Ok(received)
    }
}

fn datagram<'a>(message: &RecvMsg<'_, 'a, SockaddrStorage>, local: IpAddr, port: u16) -> Option<(Path, &'a [u8])> {
    let remote = peer(message.address.as_ref()?)?;
    Some((Path { local: SocketAddr::new(local, port), remote, tcp: false }, message.iovs().next()?))
}

/// Interrupted, nothing there, or an ICMP message about something sent earlier, to whomever.
fn ignorable(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, WouldBlock,
    };
    matches!(
        error.kind(),
        WouldBlock | Interrupted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}

fn receive_headers(family: Family) -> MultiHeaders<SockaddrStorage> {
    let space = match family {
        Family::Dual => cmsg_space!(libc::in6_pktinfo),
        Family::V4 => cmsg_space!(libc::in_pktinfo),
    };
    MultiHeaders::preallocate(RECEIVE_BATCH, Some(space))
}

/// What `sendmmsg` reads, reused. The space for control messages must be filled exactly, so there is one for each combination.
struct SendHeaders {
    v6: MultiHeaders<SockaddrStorage>,
    v6_divided: MultiHeaders<SockaddrStorage>,
    v4: MultiHeaders<SockaddrStorage>,
    v4_divided: MultiHeaders<SockaddrStorage>,
}

impl SendHeaders {
    fn new() -> Self {
        let with = |space| MultiHeaders::preallocate(MOST_MESSAGES, Some(space));
        Self {
            v6: with(cmsg_space!(libc::in6_pktinfo)),
            v6_divided: with(cmsg_space!(libc::in6_pktinfo, u16)),
            v4: with(cmsg_space!(libc::in_pktinfo)),
            v4_divided: with(cmsg_space!(libc::in_pktinfo, u16)),
        }
    }

    /// Returns how many messages were taken.
    fn send(&mut self, fd: RawFd, batch: &Batch<'_>, family: Family) -> io::Result<usize> {
        let mut addresses = heapless::Vec::<_, MOST_MESSAGES>::new();
        let mut slices = heapless::Vec::<_, MOST_MESSAGES>::new();
        for (remote, bytes) in &batch.messages {
            let address = to_kernel(*remote, family).ok_or(io::ErrorKind::NetworkUnreachable)?;
            let _ = addresses.push(Some(address));
            let _ = slices.push([IoSlice::new(bytes)]);
        }
        let source = Source::new(batch.local);
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = match &batch.segment {
            None => {
                let headers = if batch.local.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
                sendmmsg(fd, headers, &slices, &addresses, [source.message()], flags)?.count()
            }
            Some(segment) => {
                let headers = if batch.local.is_ipv4() { &mut self.v4_divided } else { &mut self.v6_divided };
                let messages = [source.message(), ControlMessage::UdpGsoSegments(segment)];
                sendmmsg(fd, headers, &slices, &addresses, messages, flags)?.count()
            }
        };
        Ok(sent)
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
