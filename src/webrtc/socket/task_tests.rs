use std::cell::RefCell;
use std::future::poll_fn;
use std::net::{SocketAddr, UdpSocket as Blocking};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, send};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::sleep;

use super::*;
use crate::webrtc::socket::fixture::{in_own_network, ip, on_media_thread};

fn settings() -> Settings {
    Settings { udp_port: 0, tcp_port: Some(0), ..Settings::default() }
}

fn refusal(settings: &Settings) -> String {
    on_media_thread(async { Sockets::bind(settings).err().expect("refused").to_string() })
}

#[test]
fn a_taken_udp_port_is_named_also_when_only_ipv4_has_it() {
    for address in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"] {
        let taken = Blocking::bind(address).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(
            refusal(&Settings { udp_port: port, ..settings() }),
            format!("UDP port {port} is taken by another program: stop it, or change [webrtc] udp_port")
        );
    }
}

#[test]
fn a_taken_tcp_port_is_named() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let taken = std::net::TcpListener::bind(address).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(
            refusal(&Settings { tcp_port: Some(port), ..settings() }),
            format!("TCP port {port} is taken by another program: stop it, or change [webrtc] tcp_port")
        );
    }
}

#[test]
fn both_transports_may_have_the_same_number() {
    on_media_thread(async {
        let both = || {
            let udp = Sockets::bind(&Settings { tcp_port: None, ..settings() }).unwrap();
            assert_eq!(udp.tcp_port(), None);
            let port = udp.local_port();
            drop(udp);
            // Another test may take it now.
            let both = Sockets::bind(&Settings { udp_port: port, tcp_port: Some(port), ..settings() }).ok()?;
            Some((both.local_port(), both.tcp_port(), port))
        };
        let (udp, tcp, port) = std::iter::repeat_with(both).take(50).flatten().next().unwrap();
        assert_eq!((udp, tcp), (port, Some(port)));
    });
}

#[test]
fn the_buffers_are_those_the_kernel_gave() {
    on_media_thread(async {
        let ask = |receive_buffer, send_buffer| {
            Sockets::bind(&Settings { receive_buffer, send_buffer, ..settings() }).unwrap().buffers()
        };
        assert_eq!(ask(100_000, 50_000), Buffers { receive: 100_000, send: 50_000 });
        let most = |name: &str| -> usize {
            let path = format!("/proc/sys/net/core/{name}_max");
            std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
        };
        let more = most("rmem").max(most("wmem")) * 2;
        assert_eq!(ask(more, more), Buffers { receive: most("rmem"), send: most("wmem") });
    });
}

/// Sends `frame` and returns the frame that comes back.
async fn exchange(stream: &TcpStream, frame: &[u8]) -> Vec<u8> {
    send(stream.as_raw_fd(), frame, MsgFlags::empty()).unwrap();
    let mut answer = [0; 100];
    loop {
        stream.readable().await.unwrap();
        if let Ok(read) = stream.try_read(&mut answer) {
            return answer[..read].to_vec();
        }
    }
}

#[test]
fn datagrams_are_answered_by_the_path_they_came_by_from_within_the_callback() {
    on_media_thread(async {
        let sockets = Sockets::bind(&settings()).unwrap();
        let closed = RefCell::new(Vec::new());
        let run = sockets.run(
            |path, bytes| {
                sockets.send(&path, &[bytes, b"!"].concat());
                sockets.flush();
                true
            },
            |path| {
                // The connection is gone already.
                assert_eq!(sockets.tcp.as_ref().map(Tcp::len), Some(0));
                sockets.send(&path, b"too late");
                sockets.close(&path);
                closed.borrow_mut().push(path);
            },
        );
        let peers = async {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            udp.send_to(b"by UDP", ("127.0.0.1", sockets.local_port())).await.unwrap();
            let mut answer = [0; 100];
            let (read, from) = udp.recv_from(&mut answer).await.unwrap();
            assert_eq!((&answer[..read], from.port()), (&b"by UDP!"[..], sockets.local_port()));

            let tcp = TcpStream::connect(("::1", sockets.tcp_port().unwrap())).await.unwrap();
            assert_eq!(exchange(&tcp, b"\0\x06by TCP").await, b"\0\x07by TCP!");
            let path = Path { local: tcp.peer_addr().unwrap(), remote: tcp.local_addr().unwrap(), tcp: true };
            drop(tcp);
            while closed.borrow().is_empty() {
                sleep(Duration::from_millis(2)).await;
            }
            assert_eq!(*closed.borrow(), [path]);
        };
        or(run, peers).await;
        let expected = Counters { received: 2, sent: 2, unsent: 1, tcp_connections: 1, ..Counters::default() };
        assert_eq!(sockets.counters(), expected);
    });
}

#[test]
fn a_tcp_path_without_connection_or_port_is_counted() {
    on_media_thread(async {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let path = Path { local: address, remote: address, tcp: true };
        for tcp_port in [None, Some(0)] {
            let sockets = Sockets::bind(&Settings { tcp_port, ..settings() }).unwrap();
            sockets.send(&path, b"x");
            sockets.close(&path);
            assert_eq!(sockets.counters().unsent, 1);
        }
    });
}

#[test]
fn a_flood_of_datagrams_lets_other_tasks_and_tcp_have_their_turns() {
    on_media_thread(async {
        let sockets = Sockets::bind(&settings()).unwrap();
        let flood = Blocking::bind("127.0.0.1:0").unwrap();
        let to = ("127.0.0.1", sockets.local_port());
        let run = sockets.run(
            |path, bytes| {
                if path.tcp {
                    sockets.send(&path, bytes);
                } else {
                    // Each datagram received puts the next in the queue: it is never empty.
                    flood.send_to(bytes, to).unwrap();
                }
                true
            },
            |_| (),
        );
        let others = async {
            for _ in 0..100 {
                flood.send_to(b"again and again", to).unwrap();
            }
            let tcp = TcpStream::connect(("127.0.0.1", sockets.tcp_port().unwrap())).await.unwrap();
            for _ in 0..20 {
                assert_eq!(exchange(&tcp, b"\0\x02hi").await, b"\0\x02hi");
                sleep(Duration::from_millis(1)).await;
            }
            assert!(sockets.counters().received > 1000);
        };
        or(run, others).await;
    });
}

/// A veth pair whose far end, 10.9.0.2, has no IP of its own: what is sent there waits for an ARP answer.
const VETH: [&str; 4] = [
    "link add near type veth peer name far",
    "address add 10.9.0.1/24 dev near",
    "link set far up",
    "link set near up",
];

fn answer_arp() {
    ip("neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:09 nud permanent dev near").unwrap();
}

/// Bytes that have reached the far end, with their headers.
fn arrived() -> u64 {
    let statistics = ip("-statistics -oneline link show dev far").unwrap();
    let received = statistics.split("RX:").nth(1).unwrap();
    received.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

#[test]
fn what_a_full_send_buffer_does_not_take_follows_by_itself() {
    in_own_network(&VETH, || {
        on_media_thread(async {
            for segmentation in [false, true] {
                let _ = ip("neighbour del 10.9.0.2 dev near");
                let settings = Settings { send_buffer: 20_000, queue_bytes: 100_000, segmentation, ..settings() };
                let sockets = Sockets::bind(&settings).unwrap();
                let path = Path {
                    local: SocketAddr::from(([10, 9, 0, 1], sockets.local_port())),
                    remote: SocketAddr::from(([10, 9, 0, 2], 5000)),
                    tcp: false,
                };
                // The reactor has seen that the socket can be written to, which will then no longer be so.
                sleep(Duration::from_millis(10)).await;
                let before = arrived();
                for _ in 0..200 {
                    sockets.send(&path, &[1; 1000]);
                    sockets.flush();
                }
                // The buffer and the queue are full.
                let full = sockets.counters();
                assert!((5..=40).contains(&full.sent), "{full:?}");
                assert_eq!(full.sent + full.unsent, 100);

                let mut run = Box::pin(sockets.run(|_, _| true, |_| ()));
                let polls = Cell::new(0);
                let counted = poll_fn(|context| {
                    polls.set(polls.get() + 1);
                    run.as_mut().poll(context)
                });
                let look = async {
                    sleep(Duration::from_millis(100)).await;
                    assert_eq!(sockets.counters(), full);
                    assert!(polls.get() < 20, "{} attempts while nothing could be sent", polls.get());
                    answer_arp();
                    while sockets.counters().sent < full.sent + 100 {
                        sleep(Duration::from_millis(2)).await;
                    }
                };
                or(counted, look).await;
                let sent = sockets.counters().sent;
                assert_eq!((sent, sockets.counters().unsent), (full.sent + 100, full.unsent));
                // Headers, and what IPv6 sends by itself, are less than 100 bytes each.
                let arrived = arrived() - before;
                assert!((sent * 1000..sent * 1100).contains(&arrived), "{arrived} bytes of {sent} datagrams");
            }
        });
    });
}
