//! The sockets as one: datagrams in with the path they came by, datagrams out by the path they are given.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future::or;

use super::tcp::task::Tcp;
use super::udp::task::Udp;
use super::{Buffers, Counters, Path, Settings, SocketError, Transport};

const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// One UDP socket and, unless it is off, one TCP port, on all addresses of this machine. All methods are for the media thread,
/// from any of its tasks; dropping it closes everything.
pub struct Sockets {
    udp: Udp,
    tcp: Option<Tcp>,
    report: Rc<Report>,
}

impl Sockets {
    /// Takes the ports. To be called inside a tokio runtime with net and time.
    ///
    /// # Errors
    /// When a port is taken or may not be used; the sentence names it and says what to do.
    pub fn bind(settings: &Settings) -> Result<Self, SocketError> {
        let report = Rc::<Report>::default();
        let udp = Udp::bind(settings, &report).map_err(error(Transport::Udp, settings.udp_port))?;
        let bind_tcp = |port| Tcp::bind(port, settings, Rc::clone(&report)).map_err(error(Transport::Tcp, port));
        let tcp = settings.tcp_port.map(bind_tcp).transpose()?;
        Ok(Self { udp, tcp, report })
    }

    /// The UDP port.
    pub fn local_port(&self) -> u16 {
        self.udp.port()
    }

    /// The TCP port, unless it is off.
    pub fn tcp_port(&self) -> Option<u16> {
        self.tcp.as_ref().map(Tcp::port)
    }

    /// The UDP socket's buffers, which may be smaller than asked for.
    pub fn buffers(&self) -> Buffers {
        self.udp.buffers()
    }

    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        self.report.counters()
    }

    /// Receives, and goes on sending what had to wait, until dropped; TCP connections end with it. At most 32 datagrams, or 16 KiB
    /// of one connection, are handed on before other tasks get a turn.
    ///
    /// `on_datagram` says whether the datagram came from a peer. A TCP connection whose first one did not is closed. `on_closed` is
    /// told when a connection whose first one did is over, unless by [`close`](Self::close). Both may call every method here.
    pub async fn run(&self, on_datagram: impl Fn(Path, &[u8]) -> bool, on_closed: impl Fn(Path)) {
        let receive = self.udp.receive_all(|path, bytes| {
            on_datagram(path, bytes);
        });
        let serve = async {
            match &self.tcp {
                Some(tcp) => tcp.serve(&on_datagram, on_closed).await,
                None => std::future::pending().await,
            }
        };
        or(receive, or(self.udp.resume(), serve)).await
    }

    /// Takes over a datagram; over UDP it leaves with the next [`flush`](Self::flush), or sooner. One that cannot be sent is counted.
    /// False when a TCP peer reads too slowly for it.
    pub fn send(&self, path: &Path, datagram: &[u8]) -> bool {
        match &self.tcp {
            Some(tcp) if path.tcp => tcp.queue(path, datagram),
            _ if path.tcp => {
                self.report.count(|counters| counters.unsent += 1);
                false
            }
            _ => {
                self.udp.queue(path.local.ip(), path.remote, datagram);
                true
            }
        }
    }

    /// Sends what [`send`](Self::send) took over, as far as the kernel takes it; the rest follows by itself.
    pub fn flush(&self) {
        self.udp.flush();
    }

    /// Closes the TCP connection of this path, if there is one; what waits in it is lost.
    pub fn close(&self, path: &Path) {
        if let Some(tcp) = &self.tcp {
            tcp.close(path);
        }
    }
}

fn error(transport: Transport, port: u16) -> impl FnOnce(io::Error) -> SocketError {
    move |source| SocketError { transport, port, source }
}

/// What the sockets count, and say to the operator.
#[derive(Debug, Default)]
pub(super) struct Report {
    counters: Cell<Counters>,
    complained: Cell<Option<Instant>>,
}

impl Report {
    pub(super) fn counters(&self) -> Counters {
        self.counters.get()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    /// Warns, at most once a minute.
    #[expect(clippy::disallowed_methods, reason = "the sockets' clock")]
    pub(super) fn complain(&self, sentence: &str) {
        let now = Instant::now();
        if self.complained.get().is_none_or(|last| now.duration_since(last) >= COMPLAINT_INTERVAL) {
            self.complained.set(Some(now));
            log::warn!("{sentence}");
        }
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
