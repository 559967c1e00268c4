//! Everything that is known to kill, hang or bloat a bare tiny_http, against the real gate: each attack is answered or refused by
//! its rule, another client is served meanwhile, and afterwards the process is as it was.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod gate_common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::Duration;

use gate_common::*;
use nix::sys::socket::{setsockopt, sockopt};

/// Another client waits no longer than this for an answer, whatever goes on.
const PROMPT: Duration = Duration::from_millis(100);
/// What an attack may leave behind: the allocator's slack, kB.
const SLACK_KB: u64 = 4096;
/// tiny_http's pool is four threads at rest. It adds one when a request comes before the thread of an answered one is back in the
/// pool, and ends it after five idle seconds: under load it has up to twice its size, however many clients there are.
const SLACK_THREADS: u64 = 6;

/// The attacks measure time and memory: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
#[ignore = "the server of the other tests"]
fn child() {
    serve_if_child();
}

/// Runs `attack` beside a bystander and checks what every attack has in common. Latency is tried again: two processor cores
/// that also run a build delay any process by more than the limit now and then, but not five times in a row.
fn withstand(options: &str, attack: impl Fn(&Server)) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut slowest = Vec::new();
    for _ in 0..5 {
        let mut server = Server::start(&["child", "--exact", "--ignored", "--nocapture"], options);
        warm_up(server.address);
        let (rss, threads) = (server.rss_anon(), server.threads());

        let bystander = Bystander::start(server.address);
        attack(&server);
        let during = server.threads();
        let met = bystander.stop();

        assert!(server.is_alive());
        assert!(during <= threads + SLACK_THREADS, "threads: {threads}, under attack {during}");
        assert!(met.failures.is_empty() && met.answers > 0, "{met:?}");
        eventually(|| server.rss_anon() <= rss + SLACK_KB, || format!("RSS {rss} kB, now {} kB", server.rss_anon()));
        assert_eq!(get(server.address, "/small").body, b"hello");
        assert_eq!(get(server.address, "/hls/cam/a.ts").body.len(), SEGMENT_LEN);
        slowest.push(met.slowest);
        if met.slowest <= PROMPT {
            return;
        }
    }
    panic!("a bystander waited too long in every round: {slowest:?}");
}

/// Brings the allocator and the thread pool to their level.
fn warm_up(address: SocketAddr) {
    for _ in 0..20 {
        assert_eq!(get(address, "/small").status, 200);
        assert_eq!(get(address, "/hls/cam/a.ts").status, 200);
    }
}

fn eventually(holds: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let begun = now();
    while !holds() {
        assert!(now() - begun < Duration::from_secs(10), "{}", otherwise());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `bytes` get one answer with `status`, and then the connection ends: nothing after it is taken for a request.
fn refused(server: &Server, bytes: &[u8], status: u16) {
    let said = all_answers(server.address, bytes);
    let shown = String::from_utf8_lossy(bytes.get(..bytes.len().min(100)).unwrap()).into_owned();
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {said:?}");
    assert_eq!(said.matches("\r\nContent-Length:").count(), 1, "{shown:?}: {said:?}");
    assert!(said.contains("\r\nConnection: close\r\n") && said.contains("{\"error\":\""), "{said:?}");
}

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}").into_bytes()
}

const SMUGGLED: &str = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n";

/// Bare tiny_http aborts (allocates the rest of the body) or its worker panics.
#[test]
fn a_length_beyond_all_memory_with_an_unread_body() {
    withstand("", |server| {
        for length in ["9000000000000000000", "18446744073709551615", "18446744073709551616", "65537"] {
            for _ in 0..20 {
                refused(server, &post(&format!("Content-Length: {length}"), "abc"), 413);
            }
            // So much is still on its way that closing at once would reset the connection, and many systems then lose the answer.
            let mut stream = connect(server.address);
            stream.write_all(&post(&format!("Content-Length: {length}"), &"x".repeat(500_000))).unwrap();
            assert_eq!(read_answer(&mut stream, true).unwrap().status, 413);
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
    });
}

/// Bare tiny_http takes the rest for another request, or another request for the body.
#[test]
fn lengths_that_two_servers_read_differently() {
    withstand("", |server| {
        let chunked = format!("0\r\n\r\n{SMUGGLED}");
        for _ in 0..10 {
            refused(server, &post("Content-Length: 5\r\nTransfer-Encoding: chunked", &chunked), 400);
            refused(server, &post("Transfer-Encoding: chunked\r\nContent-Length: 5", &chunked), 400);
            refused(server, &post("Content-Length: 0\r\nContent-Length: 33", SMUGGLED), 400);
            refused(server, &post("Content-Length: 0x21", SMUGGLED), 400);
            refused(server, &post("Content-Length: +33", SMUGGLED), 400);
            refused(server, &post("Content-Length: -1", SMUGGLED), 400);
            refused(server, &post("Content-Length: 3, 3", SMUGGLED), 400);
            refused(server, &post("Transfer-Encoding: chunked", &chunked), 411);
            refused(server, &post("Transfer-Encoding: chunked", &format!("ffffffffffffffff\r\n{SMUGGLED}")), 411);
            refused(server, &post("X: a\r\n folded", SMUGGLED), 400);
            refused(server, format!("GET / HTTP/1.1\nHost: a\n\n{SMUGGLED}").as_bytes(), 400);
        }
        assert_eq!(server.counters()["refused_requests"], 110);
    });
}

/// Bare tiny_http closes without an answer, or passes on what it does not understand.
#[test]
fn heads_that_are_not_plain_http() {
    withstand("", |server| {
        refused(server, "GET /caf\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(), 400);
        refused(server, b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \xff\r\n\r\n", 400);
        refused(server, b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400);
        refused(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);
        refused(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
        refused(server, b"GET /small HTTP/1.1\r\n\r\n", 400);
        refused(server, b"GET http://a/small HTTP/1.1\r\nHost: a\r\n\r\n", 400);
        refused(server, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501);
        refused(server, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 501);
        refused(server, &post("Expect: the-unexpected", ""), 417);
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..200 {
            let noise: Vec<u8> = (0..random.usize(1..2000)).map(|_| random.u8(..)).chain(*b"\r\n\r\n").collect();
            let said = all_answers(server.address, &noise);
            assert!(said.starts_with("HTTP/1.1 400 ") || said.starts_with("HTTP/1.1 50"), "{said:?}");
        }
    });
}

/// Bare tiny_http hangs at 6 (a queued connection waits until another closes).
#[test]
fn bursts_of_keep_alive_clients() {
    withstand("", |server| {
        for clients in [6, 6, 6, 6, 50, 50, 50] {
            let mut streams: Vec<TcpStream> = (0..clients).map(|_| connect(server.address)).collect();
            for _ in 0..3 {
                let begun = now();
                for stream in &mut streams {
                    stream.write_all(SMUGGLED.as_bytes()).unwrap();
                }
                for stream in &mut streams {
                    assert_eq!(read_answer(stream, true).unwrap().status, 200);
                }
                let took = now() - begun;
                assert!(took < Duration::from_secs(1), "{clients} clients: {took:?}");
            }
        }
    });
}

/// Bare tiny_http panics for want of a descriptor, in accept() or just after.
#[test]
fn more_connections_than_descriptors() {
    withstand("nofile=128 connections=1000", |server| {
        let mut held = Vec::new();
        for number in 0..400 {
            let mut stream = connect(server.address);
            if number % 2 == 0 {
                stream.write_all(b"GET /small HTTP/1.1\r\n").unwrap();
            }
            held.push(stream);
        }
        std::thread::sleep(Duration::from_millis(300));
        let counters = server.counters();
        assert!(counters["evicted"] >= 300 && counters["open"] <= 64, "{counters:?}");
        assert_eq!(counters["accept_errors"], 0);
    });
}

/// Something else in the process takes the descriptors, all but a few: requests fail meanwhile, tiny_http's accept thread ends
/// (one left: accept() fails; two left: it panics), and all is served again after.
#[test]
fn a_process_out_of_descriptors_recovers() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for left in [0, 1, 2] {
        let server = Server::start(&["child", "--exact", "--ignored", "--nocapture"], "nofile=128");
        warm_up(server.address);
        let mut streams: Vec<TcpStream> = (0..2).map(|_| connect(server.address)).collect();
        std::thread::sleep(Duration::from_millis(1100));
        let mut hungry = connect(server.address);
        hungry.write_all(format!("GET /eat-descriptors?{left} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        for stream in &mut streams {
            stream.write_all(SMUGGLED.as_bytes()).unwrap();
            let status = read_answer(stream, true).unwrap().status;
            assert!(matches!(status, 200 | 502 | 504), "{left} left: {status}");
        }
        assert!(read_answer(&mut hungry, true).unwrap().body.starts_with(b"ate "));
        eventually(
            || exchange(server.address, SMUGGLED.as_bytes()).is_ok_and(|answer| answer.status == 200),
            || "still deaf".into(),
        );
    }
}

/// Bare tiny_http panics: the peer's address is gone when it asks for it.
#[test]
fn requests_followed_by_a_reset() {
    withstand("", |server| {
        for number in 0..200 {
            let mut stream = connect(server.address);
            let request = match number % 3 {
                0 => SMUGGLED,
                1 => "GET /hls/cam/a.ts HTTP/1.1\r\nHost: a\r\n\r\n",
                _ => "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
            };
            stream.write_all(request.as_bytes()).unwrap();
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream.as_fd(), sockopt::Linger, &at_once).unwrap();
        }
    });
}

/// Bare tiny_http gives each a thread for ever.
#[test]
fn a_thousand_idle_connections_within_the_limit() {
    withstand("connections=1200", |server| {
        let before = server.rss_anon();
        let held: Vec<TcpStream> = (0..1000).map(|_| connect(server.address)).collect();
        std::thread::sleep(Duration::from_millis(500));
        assert!(server.counters()["open"] >= 1000);
        let each = server.rss_anon().saturating_sub(before) * 1024 / 1000;
        assert!(each <= 6 * 1024, "{each} bytes for an idle connection");
        drop(held);
        eventually(|| server.counters()["open"] < 10, || format!("{:?}", server.counters()));
    });
}

#[test]
fn a_thousand_idle_connections_beyond_the_limit() {
    withstand("connections=100", |server| {
        // Older than all that follow, and idle.
        let mut watching = connect_as_bystander(server.address);
        let held: Vec<TcpStream> = (0..1000).map(|_| connect(server.address)).collect();
        std::thread::sleep(Duration::from_millis(500));
        let counters = server.counters();
        assert!(counters["open"] <= 100 && counters["evicted"] >= 900, "{counters:?}");
        watching.write_all(SMUGGLED.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut watching, true).unwrap().status, 200);
        drop(held);
    });
}

/// Bare tiny_http keeps 296 MB.
#[test]
fn a_header_line_of_300_megabytes() {
    withstand("", |server| {
        let before = server.rss_anon();
        for _ in 0..4 {
            let mut stream = connect(server.address);
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ");
            let block = vec![b'x'; 1 << 20];
            let written = (0..300).take_while(|_| stream.write_all(&block).is_ok()).count();
            assert!(written < 32, "{written} MB were taken");
        }
        assert!(server.rss_anon() < before + SLACK_KB);
        refused(server, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000)).as_bytes(), 431);
        refused(server, format!("GET / HTTP/1.1\r\nHost: a{}\r\n\r\n", "\r\nX: y".repeat(100)).as_bytes(), 431);
    });
}

/// Bare tiny_http keeps 433 MB.
#[test]
fn half_a_million_pipelined_requests_without_reading() {
    withstand("stall=500", |server| {
        let before = server.rss_anon();
        let mut stream = connect(server.address);
        stream.set_write_timeout(Some(Duration::from_millis(1000))).unwrap();
        let block = "GET /hls/cam/a.ts HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
        let taken = (0..500).take_while(|_| stream.write_all(block.as_bytes()).is_ok()).count();
        assert!(taken < 500, "all were taken");
        assert!(server.rss_anon() < before + SLACK_KB);
        eventually(|| server.counters()["stalled"] == 1, || format!("{:?}", server.counters()));
    });
}

/// Slow heads hold a connection for the deadline of the whole head, however they dribble.
#[test]
fn slow_heads() {
    withstand("head=1000", |server| {
        let begun = now();
        let mut streams: Vec<TcpStream> = (0..100).map(|_| connect(server.address)).collect();
        for byte in b"GET /small HTTP/1.1" {
            for stream in &mut streams {
                let _ = stream.write_all(&[*byte]);
            }
            std::thread::sleep(Duration::from_millis(70));
        }
        for stream in &mut streams {
            let mut said = String::new();
            let _ = stream.read_to_string(&mut said);
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
        }
        assert!(now() - begun < Duration::from_secs(4));
        assert_eq!(server.counters()["too_slow"], 100);
    });
}

#[test]
fn slow_bodies() {
    withstand("body=1000", |server| {
        let mut streams: Vec<TcpStream> = (0..100).map(|_| connect(server.address)).collect();
        for stream in &mut streams {
            stream.write_all(&post("Content-Length: 1000", "")).unwrap();
        }
        for _ in 0..15 {
            for stream in &mut streams {
                let _ = stream.write_all(b"b");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        eventually(|| server.counters()["too_slow"] == 100, || format!("{:?}", server.counters()));
        eventually(|| server.counters()["open"] < 10, || format!("{:?}", server.counters()));
    });
}

/// More slow readers than workers: they hold connections, but no worker, and not for long.
#[test]
fn slow_readers_of_segments() {
    withstand("stall=1000", |server| {
        let mut streams: Vec<TcpStream> = (0..8).map(|_| connect(server.address)).collect();
        for stream in &mut streams {
            setsockopt(&stream.as_fd(), sockopt::RcvBuf, &4096).unwrap();
            stream.write_all(b"GET /hls/cam/large.ts HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        }
        eventually(|| server.counters()["stalled"] == 8, || format!("{:?}", server.counters()));
    });
}

/// Answers that wait for slow readers share a budget; whoever waits longest is cut off for a newer one.
#[test]
fn slow_readers_of_long_answers() {
    withstand("stall=2000 answer_bytes=4194304", |server| {
        let mut most = 0;
        let before = server.rss_anon();
        let mut streams = Vec::new();
        for _ in 0..12 {
            let mut stream = connect(server.address);
            setsockopt(&stream.as_fd(), sockopt::RcvBuf, &4096).unwrap();
            stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            streams.push(stream);
            // What is tested is that they do not read, not how fast they ask.
            std::thread::sleep(Duration::from_millis(30));
            most = most.max(server.rss_anon());
        }
        eventually(|| server.counters()["cut"] >= 5, || format!("{:?}", server.counters()));
        // The budget, one answer more in the making for each worker, in the gate and in the worker, as in flight.
        assert!(most < before + 40 * 1024, "{before} kB, then {most} kB");
        assert_eq!(get(server.address, "/big").body.len(), BIG_LEN);
    });
}

/// When every connection is busy, the next is told so, and the first that is idle makes room.
#[test]
fn a_full_house_says_so() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let server = Server::start(&["child", "--exact", "--ignored", "--nocapture"], "connections=8 camera=1000");
    let address = server.address;
    let mut streams: Vec<TcpStream> = (0..8).map(|_| connect(address)).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /hls/dead/index.m3u8 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..30 {
        let answer = exchange(address, SMUGGLED.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.body, b"{\"error\":\"too many connections; try again\"}");
    }
    for stream in &mut streams {
        assert_eq!(read_answer(stream, true).unwrap().status, 503);
    }
    assert_eq!(get(address, "/small").status, 200);
    assert_eq!(server.counters()["refused_full"], 30);
}
