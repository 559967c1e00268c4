//! Addresses of this machine's network interfaces, as they are now.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// Interface and address, for every address of an interface that is up, loopback and link-local ones included; in the
/// kernel's order. Empty when the kernel does not tell.
pub fn interface_addresses() -> Vec<(String, IpAddr)> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    all.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| Some((interface.interface_name, ip(&interface.address?)?)))
        .collect()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_address() {
        let all = interface_addresses();
        assert!(all.contains(&("lo".to_owned(), IpAddr::from([127, 0, 0, 1]))), "{all:?}");
    }

    #[test]
    fn the_address_that_packets_leave_from_is_listed() {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        // Nothing is sent: connecting a UDP socket only chooses a route, where there is one.
        if socket.connect("192.0.2.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert!(interface_addresses().iter().any(|(_, address)| *address == own), "{own}");
        }
    }
}
