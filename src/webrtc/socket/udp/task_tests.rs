use std::collections::VecDeque;

use futures_lite::future::or;
use tokio::time::timeout;

use super::*;
use crate::webrtc::socket::fixture::{in_own_network, on_media_thread};

fn settings() -> Settings {
    Settings { udp_port: 0, tcp_port: None, ..Settings::default() }
}

fn udp(family: Family, settings: &Settings) -> (Udp, Rc<Report>) {
    let report = Rc::<Report>::default();
    (Udp::bind_to(family, settings, Rc::clone(&report)).unwrap(), report)
}

async fn peer_at(ip: &str) -> UdpSocket {
    UdpSocket::bind((ip, 0)).await.unwrap()
}

async fn next(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4096];
    let (len, from) = timeout(Duration::from_secs(5), peer.recv_from(&mut buffer)).await.expect("arrives").unwrap();
    (buffer[..len].to_vec(), from)
}

/// Receives until `count` datagrams were handed on.
async fn received(udp: &Udp, count: usize) -> Vec<(Path, Vec<u8>)> {
    let all = RefCell::new(Vec::new());
    let receive = udp.receive_all(|path, bytes| all.borrow_mut().push((path, bytes.to_vec())));
    let enough = async {
        while all.borrow().len() < count {
            yield_now().await;
        }
    };
    or(receive, enough).await;
    all.into_inner()
}

/// Addresses of this machine, and where their peers are.
const BOTH: [(&str, &str); 4] =
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("127.1.2.3", "127.0.0.9"), ("::1", "::1")];

#[test]
fn a_datagram_tells_the_address_it_was_sent_to_and_is_answered_from_there() {
    on_media_thread(async {
        for family in [Family::Dual, Family::V4] {
            let (udp, report) = udp(family, &settings());
            for (here, there) in BOTH.iter().take(if family == Family::V4 { 3 } else { 4 }) {
                let peer = peer_at(there).await;
                let local = SocketAddr::new(here.parse().unwrap(), udp.port());
                peer.send_to(b"ping", local).await.unwrap();
                let (path, bytes) = received(&udp, 1).await.remove(0);
                let remote = peer.local_addr().unwrap();
                assert_eq!((path, &bytes[..]), (Path { local, remote, tcp: false }, &b"ping"[..]));

                udp.queue(path.local.ip(), path.remote, b"pong");
                udp.flush();
                assert_eq!(next(&peer).await, (b"pong".to_vec(), local));
            }
            assert_eq!(report.counters().received, report.counters().sent);
        }
    });
}

#[test]
fn each_datagram_of_a_picture_arrives_by_itself() {
    on_media_thread(async {
        for (family, segmentation) in
            [(Family::Dual, true), (Family::Dual, false), (Family::V4, true), (Family::V4, false)]
        {
            let (udp, report) = udp(family, &Settings { segmentation, ..settings() });
            for (here, there) in BOTH.iter().take(if family == Family::V4 { 3 } else { 4 }) {
                let peers = [peer_at(there).await, peer_at(there).await, peer_at(there).await];
                let mut picture: Vec<Vec<u8>> = (0..70).map(|number| vec![number; 1200]).collect();
                picture.extend([vec![70; 77], vec![71; 1500], vec![72; 1500], vec![73; 1]]);
                for peer in &peers {
                    for datagram in &picture {
                        udp.queue(here.parse().unwrap(), peer.local_addr().unwrap(), datagram);
                    }
                }
                udp.flush();
                let from = SocketAddr::new(here.parse().unwrap(), udp.port());
                for peer in &peers {
                    for datagram in &picture {
                        assert_eq!(next(peer).await, (datagram.clone(), from));
                    }
                }
            }
            assert_eq!(report.counters().unsent, 0);
        }
    });
}

#[test]
fn the_kernel_divides_a_message() {
    on_media_thread(async {
        for (family, ip) in [(Family::Dual, "127.0.0.1"), (Family::Dual, "::1"), (Family::V4, "127.0.0.1")] {
            let (udp, _) = udp(family, &settings());
            let peer = peer_at(ip).await;
            let mut messages = heapless::Vec::new();
            messages.push((peer.local_addr().unwrap(), &[5; 2500][..])).unwrap();
            let batch = Batch { local: ip.parse().unwrap(), segment: Some(1000), messages };
            let sent = udp.headers.borrow_mut().send(udp.socket.as_raw_fd(), &batch, family);
            assert_eq!(sent.unwrap(), 1);
            let sizes = [next(&peer).await.0.len(), next(&peer).await.0.len(), next(&peer).await.0.len()];
            assert_eq!(sizes, [1000, 1000, 500]);
        }
    });
}

#[test]
fn at_most_a_batch_is_handed_on_at_once() {
    on_media_thread(async {
        let (udp, report) = udp(Family::Dual, &settings());
        let peer = peer_at("127.0.0.1").await;
        for number in 0..40 {
            peer.send_to(&[number; 100], ("127.0.0.1", udp.port())).await.unwrap();
        }
        let mut inbox = Inbox::new(Family::Dual);
        let mut batches = VecDeque::new();
        for _ in 0..2 {
            udp.socket.readable().await.unwrap();
            let mut batch = Vec::new();
            inbox.receive(&udp, |_, bytes| batch.push(bytes[0])).unwrap();
            batches.push_back(batch);
        }
        assert_eq!(batches, [(0..32).collect::<Vec<u8>>(), (32..40).collect()]);
        assert_eq!(report.counters().received, 40);
    });
}

#[test]
fn every_datagram_of_bursts_and_pauses_is_noticed() {
    on_media_thread(async {
        let (udp, _) = udp(Family::Dual, &settings());
        let peer = peer_at("::1").await;
        let handed_on = Cell::new(0_usize);
        let receive = udp.receive_all(|_, bytes| handed_on.set(handed_on.get() + usize::from(bytes.len() == 10)));
        let send = async {
            let mut random = fastrand::Rng::with_seed(9);
            let mut sent = 0;
            for _ in 0..500 {
                let burst = random.usize(1..=70);
                for number in 0..burst {
                    peer.send_to(&[1; 10], ("::1", udp.port())).await.unwrap();
                    if number % 7 == 0 && random.bool() {
                        yield_now().await;
                    }
                }
                sent += burst;
                while handed_on.get() < sent {
                    yield_now().await;
                }
            }
        };
        or(receive, send).await;
    });
}

#[test]
fn oversized_and_empty_datagrams_are_dropped() {
    on_media_thread(async {
        let (udp, report) = udp(Family::Dual, &settings());
        let peer = peer_at("127.0.0.1").await;
        for length in [2001, 60_000, 0, 2000] {
            peer.send_to(&vec![7; length], ("127.0.0.1", udp.port())).await.unwrap();
        }
        assert_eq!(received(&udp, 1).await[0].1, [7; 2000]);
        let counters = report.counters();
        assert_eq!((counters.oversized, counters.received), (2, 1));
    });
}

#[test]
fn a_destination_that_fails_is_counted_and_the_others_get_theirs() {
    on_media_thread(async {
        let (udp, report) = udp(Family::Dual, &settings());
        let peer = peer_at("127.0.0.1").await;
        let there = peer.local_addr().unwrap();
        let here = there.ip();
        for datagram in [b"first", b"later"] {
            // Broadcast is not allowed on this socket.
            udp.queue(here, "255.255.255.255:9".parse().unwrap(), b"x");
            udp.queue(here, "255.255.255.255:9".parse().unwrap(), b"y");
            // Not an address of this machine.
            udp.queue("192.0.2.1".parse().unwrap(), there, b"x");
            udp.queue("192.0.2.1".parse().unwrap(), there, b"y");
            udp.queue(here, "[::1]:9".parse().unwrap(), b"from IPv4 to IPv6");
            udp.queue(here, there, datagram);
            udp.flush();
            assert_eq!(next(&peer).await.0, datagram);
        }
        let counters = report.counters();
        assert_eq!((counters.sent, counters.unsent), (2, 10));
    });
}

#[test]
fn ipv6_cannot_leave_through_an_ipv4_socket() {
    on_media_thread(async {
        let (udp, report) = udp(Family::V4, &settings());
        let peer = peer_at("127.0.0.1").await;
        let there = peer.local_addr().unwrap();
        udp.queue("::1".parse().unwrap(), "[::1]:9".parse().unwrap(), b"x");
        udp.queue(there.ip(), there, b"a");
        udp.queue(there.ip(), "[::1]:9".parse().unwrap(), b"x");
        udp.queue(there.ip(), there, b"b");
        udp.flush();
        assert_eq!((next(&peer).await.0, next(&peer).await.0), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(report.counters().unsent, 2);
    });
}

#[test]
fn a_port_where_nobody_listens_disturbs_nothing() {
    on_media_thread(async {
        let (udp, _) = udp(Family::Dual, &settings());
        let peer = peer_at("127.0.0.1").await;
        let closed = peer_at("127.0.0.1").await.local_addr().unwrap();
        let here = closed.ip();
        for _ in 0..3 {
            for _ in 0..3 {
                udp.queue(here, closed, b"is anybody there?");
                udp.flush();
            }
            peer.send_to(b"yes", (here, udp.port())).await.unwrap();
            assert_eq!(received(&udp, 1).await[0].1, b"yes");
        }
    });
}

#[test]
fn datagrams_leave_without_a_flush_once_there_are_many() {
    on_media_thread(async {
        let (udp, _) = udp(Family::Dual, &settings());
        let peer = peer_at("127.0.0.1").await;
        let there = peer.local_addr().unwrap();
        for _ in 0..=FLUSH_AT / 1000 {
            udp.queue(there.ip(), there, &[1; 1000]);
        }
        assert_eq!(next(&peer).await.0.len(), 1000);
        assert!(udp.outbox.borrow().len() <= 1000);
    });
}

#[test]
fn datagrams_larger_than_the_mtu_are_sent_all_the_same() {
    in_own_network(&["link set lo mtu 1280 up"], || {
        on_media_thread(async {
            for ip in ["127.0.0.1", "::1"] {
                let (udp, report) = udp(Family::Dual, &settings());
                let peer = peer_at(ip).await;
                for _ in 0..10 {
                    for number in 0..3 {
                        udp.queue(ip.parse().unwrap(), peer.local_addr().unwrap(), &[number; 1400]);
                    }
                    udp.flush();
                    for number in 0..3 {
                        assert_eq!(next(&peer).await.0, [number; 1400]);
                    }
                }
                let counters = report.counters();
                assert_eq!((counters.sent, counters.unsent), (30, 0));
            }
        });
    });
}

#[test]
fn without_a_route_datagrams_are_counted() {
    in_own_network(&["link set lo up"], || {
        on_media_thread(async {
            let (udp, report) = udp(Family::Dual, &settings());
            for there in ["192.0.2.1:9", "[2001:db8::1]:9"] {
                let there: SocketAddr = there.parse().unwrap();
                let here = if there.is_ipv4() { "127.0.0.1" } else { "::1" };
                udp.queue(here.parse().unwrap(), there, b"x");
                udp.queue(here.parse().unwrap(), there, b"y");
            }
            udp.flush();
            let counters = report.counters();
            assert_eq!((counters.sent, counters.unsent), (0, 4));
        });
    });
}

#[test]
fn nothing_is_allocated_for_a_datagram() {
    on_media_thread(async {
        let (udp, _) = udp(Family::Dual, &settings());
        let peer = peer_at("127.0.0.1").await;
        let there = peer.local_addr().unwrap();
        let mut inbox = Inbox::new(Family::Dual);
        for round in 0..3 {
            for _ in 0..20 {
                peer.send_to(&[2; 100], (there.ip(), udp.port())).await.unwrap();
            }
            udp.socket.readable().await.unwrap();
            let mut count = 0;
            let allocations = allocation_counter::measure(|| {
                inbox.receive(&udp, |_, _| count += 1).unwrap();
                for length in [1200, 1200, 1200, 40] {
                    udp.queue(there.ip(), there, &[1; 1200][..length]);
                }
                udp.flush();
            });
            assert_eq!(count, 20);
            assert!(round == 0 || allocations.count_total == 0, "{allocations:?}");
        }
    });
}
