//! Sending one picture to its viewers, beside a `sendto` for each of its datagrams in the same run: `cargo bench --bench datagrams`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(clippy::cast_precision_loss, reason = "counts of a table, far below 2^52")]

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, sockopt};
use porthole::webrtc::socket::{Path, Settings, Sockets};

/// Datagrams of a picture, and bytes of each: 20 ms of 6.7 Mbit/s.
const DATAGRAMS: usize = 14;
const BYTES: usize = 1200;
const ROUNDS: usize = 4001;
/// A picture may take this many times as long as a `sendto` for each of its datagrams.
const TARGET: f64 = 0.5;

/// One way to send a picture to all viewers.
type Way<'a> = Box<dyn FnMut() + 'a>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!("{DATAGRAMS} datagrams of {BYTES} bytes for each viewer, loopback, medians of {ROUNDS} rounds in turns");
    println!("{:<44} {:>12} {:>8} {:>8}", "", "ns/datagram", "ratio", "allocs");
    let held = runtime.block_on(async { [1, 8].map(measure) });
    println!(
        "ratio: to a sendto for each datagram (target {TARGET} with GSO); allocs: for each picture of all viewers"
    );
    if held.iter().all(|held| *held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures and prints one number of viewers; whether it holds what is promised.
fn measure(viewers: usize) -> bool {
    let viewers: Vec<UdpSocket> = (0..viewers).map(|_| viewer()).collect();
    let to: Vec<SocketAddr> = viewers.iter().map(|viewer| viewer.local_addr().expect("bound")).collect();
    let picture = vec![vec![0x5a; BYTES]; DATAGRAMS];
    let plain = UdpSocket::bind("0.0.0.0:0").expect("a port");
    let bind = |segmentation| {
        Sockets::bind(&Settings { udp_port: 0, tcp_port: None, segmentation, ..Settings::default() }).expect("a port")
    };
    let (one_by_one, divided) = (bind(false), bind(true));
    let mut ways: [(&str, Way<'_>); 5] = [
        ("sendto for each datagram", Box::new(|| send_each(&plain, &to, &picture))),
        ("bare sendmsg with GSO for each viewer", Box::new(|| send_divided(&plain, &to, &picture))),
        ("Sockets, flushed after each datagram", Box::new(|| send_and_flush(&one_by_one, &to, &picture, 1))),
        ("Sockets without GSO: sendmmsg", Box::new(|| send_and_flush(&one_by_one, &to, &picture, usize::MAX))),
        ("Sockets with GSO", Box::new(|| send_and_flush(&divided, &to, &picture, usize::MAX))),
    ];

    let mut times = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        for ((_, way), times) in ways.iter_mut().zip(&mut times) {
            times.push(timed(way));
            // Outside the measured time, so that no viewer's buffer is ever full.
            viewers.iter().for_each(drain);
        }
    }
    let medians = times.map(median);
    let datagrams = (DATAGRAMS * viewers.len()) as f64;
    println!("{} viewer(s)", viewers.len());
    for ((name, way), time) in ways.iter_mut().zip(medians) {
        let allocations = allocation_counter::measure(way).count_total;
        viewers.iter().for_each(drain);
        println!("  {name:<42} {:>12.0} {:>8.2} {allocations:>8}", time * 1e9 / datagrams, time / medians[0]);
    }
    medians[4] / medians[0] <= TARGET
}

fn send_each(socket: &UdpSocket, to: &[SocketAddr], picture: &[Vec<u8>]) {
    for viewer in to {
        for datagram in picture {
            socket.send_to(datagram, viewer).expect("sent");
        }
    }
}

fn send_divided(socket: &UdpSocket, to: &[SocketAddr], picture: &[Vec<u8>]) {
    let segment = u16::try_from(BYTES).expect("fits");
    let slices: Vec<_> = picture.iter().map(|datagram| IoSlice::new(datagram)).collect();
    for viewer in to {
        let messages = [ControlMessage::UdpGsoSegments(&segment)];
        let viewer = SockaddrStorage::from(*viewer);
        sendmsg(socket.as_raw_fd(), &slices, &messages, MsgFlags::empty(), Some(&viewer)).expect("sent");
    }
}

fn send_and_flush(sockets: &Sockets, to: &[SocketAddr], picture: &[Vec<u8>], flush_after: usize) {
    let local = SocketAddr::from(([127, 0, 0, 1], sockets.local_port()));
    for viewer in to {
        for (number, datagram) in picture.iter().enumerate() {
            sockets.send(&Path { local, remote: *viewer, tcp: false }, datagram);
            if (number + 1) % flush_after == 0 {
                sockets.flush();
            }
        }
    }
    sockets.flush();
}

fn viewer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    nix::sys::socket::setsockopt(&socket, sockopt::RcvBuf, &(1 << 20)).expect("allowed");
    socket.set_nonblocking(true).expect("allowed");
    socket
}

/// All datagrams must have arrived: loopback loses none, and what is dropped would cost less than what is delivered.
fn drain(viewer: &UdpSocket) {
    let mut buffer = [0; 2000];
    let mut arrived = 0;
    while let Ok(len) = viewer.recv(&mut buffer) {
        assert_eq!(len, BYTES);
        arrived += 1;
    }
    assert_eq!(arrived, DATAGRAMS);
}

fn timed(way: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    way();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}
