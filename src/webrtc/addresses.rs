//! Candidate addresses: what this machine has, what the owner chose and where the offer arrived in; addresses out.

use std::net::IpAddr;

/// An address of one of this machine's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface, e.g. `eth0`, or an address label of it, e.g. `eth0:1`.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// Which addresses a viewer is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressChoice {
    /// All that others can reach.
    All,
    /// Those of these interfaces.
    Interfaces(Vec<String>),
    /// These, while the machine has them.
    Addresses(Vec<IpAddr>),
}

impl AddressChoice {
    fn includes(&self, local: &LocalAddress) -> bool {
        match self {
            Self::All => true,
            Self::Interfaces(names) => names.iter().any(|name| belongs(&local.interface, name)),
            Self::Addresses(addresses) => addresses.contains(&local.address.to_canonical()),
        }
    }
}

/// The addresses to offer a viewer, each once: that on which its request arrived comes first, loopback last.
///
/// Link-local and multicast addresses are left out. Loopback is offered where it was chosen by name or address, or,
/// when nothing was chosen, to a viewer whose request arrived there, or when there is nothing else: to any other
/// viewer it would mean that viewer's own machine. The address of arrival need not be in `all`: packets reach it.
pub fn usable(all: &[LocalAddress], choice: &AddressChoice, arrived_at: Option<IpAddr>) -> Vec<IpAddr> {
    let arrived_at = arrived_at.map(|address| address.to_canonical());
    let chosen = all.iter().filter(|local| choice.includes(local)).map(|local| local.address.to_canonical());
    let arrival = arrived_at.filter(|_| *choice == AddressChoice::All);
    let mut addresses = Vec::new();
    for address in chosen.chain(arrival).filter(|address| can_be_reached(*address)) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let from_here = arrived_at.is_some_and(|address| address.is_loopback());
    let others = addresses.iter().any(|address| !address.is_loopback());
    if *choice == AddressChoice::All && others && !from_here {
        addresses.retain(|address| !address.is_loopback());
    }
    addresses.sort_by_key(|address| (Some(*address) != arrived_at, address.is_loopback()));
    addresses
}

/// An alias (`eth0:1`) belongs to its interface.
fn belongs(interface: &str, name: &str) -> bool {
    interface.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

fn can_be_reached(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !link_local && !address.is_multicast() && !address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with two interfaces, an alias, and what every interface has of its own.
    fn machine() -> Vec<LocalAddress> {
        [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "10.0.0.2"),
            ("eth0", "169.254.7.7"),
            ("eth0", "fe80::1"),
            ("eth0", "fd00::2"),
            ("eth0:1", "10.0.0.3"),
            ("eth01", "10.1.0.2"),
        ]
        .map(|(interface, address)| LocalAddress { interface: interface.to_owned(), address: ip(address) })
        .to_vec()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn offered(choice: &AddressChoice, arrived_at: Option<&str>) -> Vec<String> {
        usable(&machine(), choice, arrived_at.map(ip)).iter().map(ToString::to_string).collect()
    }

    fn interfaces(names: &[&str]) -> AddressChoice {
        AddressChoice::Interfaces(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn all_means_what_others_can_reach() {
        assert_eq!(offered(&AddressChoice::All, None), ["10.0.0.2", "fd00::2", "10.0.0.3", "10.1.0.2"]);
    }

    #[test]
    fn the_address_of_arrival_comes_first() {
        let fourth = offered(&AddressChoice::All, Some("10.1.0.2"));
        assert_eq!(fourth, ["10.1.0.2", "10.0.0.2", "fd00::2", "10.0.0.3"]);
        // A listener on [::] names IPv4 addresses like this.
        let mapped = offered(&AddressChoice::All, Some("::ffff:10.0.0.3"));
        assert_eq!(mapped, ["10.0.0.3", "10.0.0.2", "fd00::2", "10.1.0.2"]);
        let chosen = offered(&interfaces(&["eth0"]), Some("10.0.0.3"));
        assert_eq!(chosen, ["10.0.0.3", "10.0.0.2", "fd00::2"]);
    }

    #[test]
    fn loopback_is_offered_to_a_viewer_on_this_machine_only() {
        let here = offered(&AddressChoice::All, Some("127.0.0.1"));
        assert_eq!(here, ["127.0.0.1", "10.0.0.2", "fd00::2", "10.0.0.3", "10.1.0.2", "::1"]);
        assert_eq!(offered(&interfaces(&["eth01"]), Some("127.0.0.1")), ["10.1.0.2"]);
    }

    #[test]
    fn loopback_is_offered_when_there_is_nothing_else_or_it_was_chosen() {
        let alone = &machine()[..2];
        assert_eq!(usable(alone, &AddressChoice::All, None), [ip("127.0.0.1"), ip("::1")]);
        assert_eq!(offered(&interfaces(&["lo", "eth01"]), None), ["10.1.0.2", "127.0.0.1", "::1"]);
        assert_eq!(offered(&AddressChoice::Addresses(vec![ip("::1")]), Some("10.0.0.2")), ["::1"]);
    }

    #[test]
    fn a_choice_is_kept_even_against_the_address_of_arrival() {
        assert_eq!(offered(&interfaces(&["eth01"]), Some("10.0.0.2")), ["10.1.0.2"]);
        assert_eq!(offered(&interfaces(&["wlan0"]), Some("10.0.0.2")), Vec::<String>::new());
        let gone = AddressChoice::Addresses(vec![ip("10.0.0.9"), ip("fd00::2")]);
        assert_eq!(offered(&gone, None), ["fd00::2"]);
    }

    #[test]
    fn an_arrival_that_is_not_listed_is_offered_and_one_that_others_cannot_reach_is_not() {
        assert_eq!(usable(&[], &AddressChoice::All, Some(ip("10.0.0.2"))), [ip("10.0.0.2")]);
        for address in ["fe80::1", "169.254.7.7", "0.0.0.0", "::", "255.255.255.255", "ff02::1"] {
            assert_eq!(usable(&[], &AddressChoice::All, Some(ip(address))), Vec::<IpAddr>::new(), "{address}");
        }
    }
}
