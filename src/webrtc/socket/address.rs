//! Addresses as the kernel tells them to a dual-stack socket, and as the rest of the program knows them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::sys::socket::{AddressFamily, ControlMessage, ControlMessageOwned, SockaddrStorage};

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv6, and IPv4 as mapped addresses (RFC 4291 section 2.5.5.2).
    Dual,
    /// IPv4 only: this kernel has no IPv6.
    V4,
}

impl Family {
    /// Opens a socket for both, or for IPv4 where this kernel has no IPv6.
    pub(super) fn open<T>(open: impl Fn(Self) -> io::Result<T>) -> io::Result<T> {
        open(Self::Dual).or_else(|error| match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => open(Self::V4),
            _ => Err(error),
        })
    }

    pub(super) fn domain(self) -> AddressFamily {
        match self {
            Self::Dual => AddressFamily::Inet6,
            Self::V4 => AddressFamily::Inet,
        }
    }

    /// All addresses of this machine.
    pub(super) fn wildcard(self, port: u16) -> SocketAddr {
        match self {
            Self::Dual => (Ipv6Addr::UNSPECIFIED, port).into(),
            Self::V4 => (Ipv4Addr::UNSPECIFIED, port).into(),
        }
    }
}

/// The peer's address, without the mapping. An interface (scope) stays only where the address means nothing without it.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        _ => SocketAddr::new(address.ip().to_canonical(), address.port()),
    }
}

/// Reads what the kernel wrote.
pub(super) fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v6 = address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()));
    v6.or_else(|| address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()))).map(canonical)
}

/// Writes it for a socket of this family; `None` when it does not reach there.
pub(super) fn to_kernel(address: SocketAddr, family: Family) -> Option<SockaddrStorage> {
    match (address, family) {
        (SocketAddr::V4(v4), Family::Dual) => Some(SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())).into()),
        (SocketAddr::V6(_), Family::V4) => None,
        _ => Some(address.into()),
    }
}

/// The address a datagram was sent to, from its control messages (IPV6_PKTINFO, IP_PKTINFO).
pub(super) fn local(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical()),
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into()),
        _ => None,
    }
}

/// The address that datagrams leave from; where it is unspecified, the kernel chooses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    V6(libc::in6_pktinfo),
    /// Also on a dual-stack socket, which takes this for mapped destinations: it costs half of what the other does.
    V4(libc::in_pktinfo),
}

impl Source {
    pub(super) fn new(local: IpAddr) -> Self {
        match local {
            IpAddr::V6(address) => {
                let ipi6_addr = libc::in6_addr { s6_addr: address.octets() };
                Self::V6(libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 })
            }
            IpAddr::V4(address) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
                Self::V4(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } })
            }
        }
    }

    pub(super) fn message(&self) -> ControlMessage<'_> {
        match self {
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn mapped_addresses_become_ipv4_and_back() {
        let there = to_kernel(address("10.0.0.7:5000"), Family::Dual).unwrap();
        assert_eq!(there.as_sockaddr_in6().unwrap().ip().to_string(), "::ffff:10.0.0.7");
        assert_eq!(peer(&there), Some(address("10.0.0.7:5000")));
        for same in ["[2001:db8::1]:9", "[::1]:65535"] {
            assert_eq!(peer(&to_kernel(address(same), Family::Dual).unwrap()), Some(address(same)));
        }
        let v4 = to_kernel(address("10.0.0.7:5000"), Family::V4).unwrap();
        assert_eq!(v4.as_sockaddr_in().unwrap().to_string(), "10.0.0.7:5000");
        assert_eq!(peer(&v4), Some(address("10.0.0.7:5000")));
    }

    #[test]
    fn only_link_local_addresses_keep_their_interface() {
        let of = |ip: &str| SocketAddr::V6(SocketAddrV6::new(ip.parse().unwrap(), 7, 3, 2));
        assert_eq!(canonical(of("2001:db8::1")), address("[2001:db8::1]:7"));
        assert_eq!(canonical(of("fe80::1")), SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 2)));
        assert_eq!(canonical(of("::ffff:10.0.0.7")), address("10.0.0.7:7"));
    }

    #[test]
    fn ipv4_alone_is_used_only_where_there_is_no_ipv6() {
        let open = |code| {
            let open = |family| if family == Family::Dual { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) };
            Family::open(open).map_err(|error| error.raw_os_error())
        };
        assert_eq!(open(libc::EAFNOSUPPORT), Ok(()));
        assert_eq!(open(libc::EADDRNOTAVAIL), Ok(()));
        assert_eq!(open(libc::EADDRINUSE), Err(Some(libc::EADDRINUSE)));
        assert_eq!(open(libc::EACCES), Err(Some(libc::EACCES)));
    }

    #[test]
    fn ipv6_does_not_leave_through_an_ipv4_socket() {
        assert!(to_kernel(address("[::1]:9"), Family::V4).is_none());
        assert!(to_kernel(address("[::1]:9"), Family::Dual).is_some());
    }
}
