//! Datagrams in and out, each with the path it takes: one UDP socket for all peers, and TCP connections for those whom UDP does not reach.

mod address;
#[cfg(test)]
mod fixture;
mod task;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use task::Sockets;

/// The longest datagram, received or sent, bytes. Longer ones are dropped and counted.
pub const LONGEST_DATAGRAM: usize = super::framing::LONGEST;

/// The way of a datagram, seen from here. IPv4 addresses are IPv4 addresses, never IPv6 ones that map them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The address of this machine that the peer sends to, and is answered from.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Over a TCP connection of the peer, framed (RFC 4571); else UDP.
    pub tcp: bool,
}

/// What the UDP socket asks the kernel for, each way, bytes: a key frame of 4K for a viewer leaves at once.
pub const UDP_BUFFER: usize = 1 << 20;

/// Ports and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `[webrtc] udp_port`; 0: any free one.
    pub udp_port: u16,
    /// `[webrtc] tcp_port`, unless it is off; 0: any free one.
    pub tcp_port: Option<u16>,
    /// Receive buffer to ask the kernel for, bytes; it gives at most `net.core.rmem_max`.
    pub receive_buffer: usize,
    /// Send buffer to ask the kernel for, bytes; it gives at most `net.core.wmem_max`.
    pub send_buffer: usize,
    /// Bytes of datagrams that wait while the send buffer is full. Policy beyond it: drop the newest, counted.
    pub queue_bytes: usize,
    /// Hand the kernel many datagrams as one buffer where it can divide it (UDP GSO, Linux 4.18). False is for a network
    /// driver that gets it wrong.
    pub segmentation: bool,
    /// TCP connections at once. Policy when full: the oldest that has not shown itself as a peer makes room, else Refuse.
    pub tcp_connections: usize,
    /// Bytes that wait for one slow TCP peer. Policy beyond it: drop the newest datagrams, counted.
    pub tcp_queue_bytes: usize,
    /// A TCP connection is closed when it has not shown itself as a peer by then.
    pub tcp_first_datagram: Duration,
    /// A TCP connection is closed when nothing acceptable arrived for this long.
    pub tcp_idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            udp_port: 8189,
            tcp_port: Some(8189),
            receive_buffer: UDP_BUFFER,
            send_buffer: UDP_BUFFER,
            queue_bytes: 1 << 20,
            segmentation: true,
            tcp_connections: 64,
            tcp_queue_bytes: 512 * 1024,
            tcp_first_datagram: Duration::from_secs(5),
            tcp_idle: Duration::from_secs(30),
        }
    }
}

/// What was counted since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received and handed on, TCP's too.
    pub received: u64,
    /// Datagrams longer than [`LONGEST_DATAGRAM`]: dropped.
    pub oversized: u64,
    /// Datagrams that the kernel took over, or a TCP connection.
    pub sent: u64,
    /// Datagrams that neither did: the queue was full, there is no route, or the connection is gone.
    pub unsent: u64,
    /// TCP connections accepted.
    pub tcp_connections: u64,
    /// TCP connections refused or closed unseen, because there were as many as may be.
    pub tcp_refused: u64,
}

/// Buffers of the UDP socket as the kernel gave them, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// For datagrams that arrived.
    pub receive: usize,
    /// For datagrams that leave.
    pub send: usize,
}

/// `UDP` or `TCP`, for sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// ICE-TCP.
    Tcp,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Udp => "[webrtc] udp_port",
            Self::Tcp => "[webrtc] tcp_port",
        }
    }
}

/// Why a port cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct SocketError {
    /// Whose port it is.
    pub transport: Transport,
    /// The port.
    pub port: u16,
    /// The system's error.
    pub source: io::Error,
}

impl SocketError {
    fn sentence(&self) -> String {
        let Self { transport, port, source } = self;
        let (name, key) = (transport.name(), transport.key());
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{name} port {port} is taken by another program: stop it, or change {key}")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{name} port {port} needs a privilege: use one from 1024 on in {key}")
            }
            _ => format!("cannot use {name} port {port}: {source}; {key} says which port is used"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_port_and_what_to_do() {
        let sentence = |transport, port, kind: io::ErrorKind| {
            SocketError { transport, port, source: io::Error::from(kind) }.to_string()
        };
        assert_eq!(
            sentence(Transport::Udp, 8189, io::ErrorKind::AddrInUse),
            "UDP port 8189 is taken by another program: stop it, or change [webrtc] udp_port"
        );
        assert_eq!(
            sentence(Transport::Tcp, 8189, io::ErrorKind::AddrInUse),
            "TCP port 8189 is taken by another program: stop it, or change [webrtc] tcp_port"
        );
        assert_eq!(
            sentence(Transport::Tcp, 443, io::ErrorKind::PermissionDenied),
            "TCP port 443 needs a privilege: use one from 1024 on in [webrtc] tcp_port"
        );
        assert_eq!(
            sentence(Transport::Udp, 8189, io::ErrorKind::OutOfMemory),
            "cannot use UDP port 8189: out of memory; [webrtc] udp_port says which port is used"
        );
    }
}
