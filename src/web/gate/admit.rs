//! Who may hold a connection: addresses and what their connections do in, admissions and evictions out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// One admitted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seat(u64);

/// A connection may come in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) seat: Seat,
    /// The idle connection that must go for it.
    pub(super) evicted: Option<Seat>,
}

/// Every connection that could make room has a request in progress.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Clone, Copy, Debug)]
enum Activity {
    /// No complete request: new, sending a head or a body, between two requests, or about to close. May be evicted.
    Idle,
    /// A request is being answered.
    Busy,
    /// An answer of this many bytes waits in memory for its reader.
    Answering(usize),
}

#[derive(Debug)]
struct Occupant {
    address: IpAddr,
    activity: Activity,
    /// Order in which the activity began, over all connections.
    since: u64,
}

/// The connections. Policies when full: the oldest idle one of the address that holds most makes room, so that nobody who opens
/// many drives out those who hold few; without an idle one the new one is refused. The answers waiting in memory share a byte
/// budget, and the one waiting longest is cut off when it is spent.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    /// What is admitted now: `most`, or fewer while descriptors are scarce.
    ceiling: usize,
    most_answer_bytes: usize,
    occupants: HashMap<Seat, Occupant>,
    clock: u64,
}

impl Admission {
    pub(super) fn new(most: usize, most_answer_bytes: usize) -> Self {
        Self { most, ceiling: most, most_answer_bytes, occupants: HashMap::new(), clock: 0 }
    }

    /// Admits a connection from `address`; `scarce` says that the process runs out of descriptors: as many connections as
    /// there are now are all that can be, until half of them have left.
    pub(super) fn admit(&mut self, address: IpAddr, scarce: bool) -> Result<Admitted, Full> {
        let address = network_of(address);
        if scarce {
            self.ceiling = self.occupants.len().max(1);
        }
        let full = self.occupants.len() >= self.ceiling;
        let evicted = if full { Some(self.most_expendable().ok_or(Full)?) } else { None };
        if let Some(evicted) = evicted {
            self.occupants.remove(&evicted);
        }
        let since = self.tick();
        let seat = Seat(since);
        self.occupants.insert(seat, Occupant { address, activity: Activity::Idle, since });
        Ok(Admitted { seat, evicted })
    }

    /// The connection has no request in progress.
    pub(super) fn idle(&mut self, seat: Seat) {
        self.set(seat, Activity::Idle);
    }

    /// The connection has a request in progress.
    pub(super) fn busy(&mut self, seat: Seat) {
        self.set(seat, Activity::Busy);
    }

    /// The connection holds an answer of `bytes` in memory; returns those that are cut off for it.
    pub(super) fn answering(&mut self, seat: Seat, bytes: usize) -> Vec<Seat> {
        self.set(seat, Activity::Answering(bytes));
        let mut waiting: Vec<(u64, Seat, usize)> = self.occupants.iter().filter_map(waiting_answer).collect();
        waiting.sort_unstable_by_key(|(since, ..)| *since);
        let mut held: usize = waiting.iter().map(|(.., bytes)| bytes).sum();
        let mut cut = Vec::new();
        for (_, other, bytes) in waiting {
            if held <= self.most_answer_bytes || other == seat {
                break;
            }
            held -= bytes;
            self.occupants.remove(&other);
            cut.push(other);
        }
        cut
    }

    /// The connection is gone. Harmless when it was evicted before.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.occupants.remove(&seat);
        if self.occupants.len() <= self.ceiling / 2 {
            self.ceiling = self.most;
        }
    }

    /// Connections now.
    pub(super) fn len(&self) -> usize {
        self.occupants.len()
    }

    /// The idle connection to lose first.
    fn most_expendable(&self) -> Option<Seat> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for occupant in self.occupants.values() {
            *held.entry(occupant.address).or_default() += 1;
        }
        self.occupants
            .iter()
            .filter(|(_, occupant)| matches!(occupant.activity, Activity::Idle))
            .min_by_key(|(_, occupant)| (Reverse(held.get(&occupant.address)), occupant.since))
            .map(|(seat, _)| *seat)
    }

    fn set(&mut self, seat: Seat, activity: Activity) {
        let since = self.tick();
        if let Some(occupant) = self.occupants.get_mut(&seat) {
            (occupant.activity, occupant.since) = (activity, since);
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

fn waiting_answer((seat, occupant): (&Seat, &Occupant)) -> Option<(u64, Seat, usize)> {
    match occupant.activity {
        Activity::Answering(bytes) => Some((occupant.since, *seat, bytes)),
        Activity::Idle | Activity::Busy => None,
    }
}

/// Who counts as one address: an IPv4 address (see [`IpAddr::to_canonical`]), or an IPv6 /64, within which one host can take any address it likes.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn admit(admission: &mut Admission, address: IpAddr) -> Seat {
        let admitted = admission.admit(address, false).unwrap();
        assert_eq!(admitted.evicted, None);
        admitted.seat
    }

    #[test]
    fn when_full_the_longest_idle_connection_makes_room() {
        let mut admission = Admission::new(3, 100);
        let (first, second, third) = (admit(&mut admission, A), admit(&mut admission, A), admit(&mut admission, A));
        admission.busy(first);
        admission.idle(first);
        admission.busy(second);
        assert_eq!(admission.admit(A, false).unwrap().evicted, Some(third));
        assert_eq!(admission.admit(A, false).unwrap().evicted, Some(first));
        assert_eq!(admission.len(), 3);
    }

    #[test]
    fn requests_in_progress_are_never_evicted() {
        let mut admission = Admission::new(2, 100);
        for _ in 0..2 {
            let seat = admit(&mut admission, A);
            admission.busy(seat);
        }
        assert_eq!(admission.admit(B, false), Err(Full));
        assert_eq!(admission.len(), 2);
    }

    #[test]
    fn who_opens_many_loses_its_own_however_old_the_others_are() {
        let mut admission = Admission::new(4, 100);
        let (_watching, busy) = (admit(&mut admission, B), admit(&mut admission, A));
        let (older, newer) = (admit(&mut admission, A), admit(&mut admission, A));
        admission.busy(busy);
        let flood = admission.admit(A, false).unwrap();
        assert_eq!(flood.evicted, Some(older));
        assert_eq!(admission.admit(B, false).unwrap().evicted, Some(newer));
    }

    #[test]
    fn where_the_largest_holder_is_busy_throughout_the_next_one_makes_room() {
        let mut admission = Admission::new(3, 100);
        for _ in 0..2 {
            let seat = admit(&mut admission, A);
            admission.busy(seat);
        }
        let idle = admit(&mut admission, B);
        assert_eq!(admission.admit(A, false).unwrap().evicted, Some(idle));
    }

    #[test]
    fn scarce_descriptors_lower_the_ceiling_until_half_have_left() {
        let mut admission = Admission::new(10, 100);
        let first = admission.admit(A, true).unwrap().seat;
        let second = admission.admit(A, true).unwrap();
        assert_eq!(second.evicted, Some(first));
        admission.leave(second.seat);
        let seats: Vec<Seat> = (0..4).map(|_| admit(&mut admission, A)).collect();
        assert_eq!(admission.admit(B, true).unwrap().evicted, Some(seats[0]));
        assert_eq!(admission.admit(B, false).unwrap().evicted, Some(seats[1]));
        assert_eq!(admission.len(), 4);
        admission.leave(seats[2]);
        admission.leave(seats[3]);
        for _ in 0..8 {
            admit(&mut admission, A);
        }
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let mut admission = Admission::new(3, 100);
        let _older = admit(&mut admission, "fd00:0:0:1::1".parse().unwrap());
        let first = admit(&mut admission, "fd00::1".parse().unwrap());
        admit(&mut admission, "fd00::ffff:2".parse().unwrap());
        assert_eq!(admission.admit(B, false).unwrap().evicted, Some(first));
    }

    #[test]
    fn a_spent_answer_budget_cuts_off_who_waits_longest_but_never_the_newest() {
        let mut admission = Admission::new(10, 100);
        let seats: Vec<Seat> = (0..4).map(|_| admit(&mut admission, A)).collect();
        assert_eq!(admission.answering(seats[0], 50), []);
        assert_eq!(admission.answering(seats[1], 50), []);
        assert_eq!(admission.answering(seats[2], 60), [seats[0], seats[1]]);
        assert_eq!(admission.answering(seats[3], 500), [seats[2]]);
        assert_eq!(admission.len(), 1);
        admission.idle(seats[3]);
        assert_eq!(admission.len(), 1);
    }

    #[test]
    fn leaving_twice_is_harmless() {
        let mut admission = Admission::new(1, 100);
        let first = admit(&mut admission, A);
        let second = admission.admit(A, false).unwrap();
        assert_eq!(second.evicted, Some(first));
        admission.leave(first);
        admission.busy(first);
        assert_eq!(admission.len(), 1);
        admission.leave(second.seat);
        assert_eq!(admission.len(), 0);
    }
}
