//! The thread list of a running gateway: one media thread and a fixed few beside it. Anything that brings another reactor
//! (`smol::Timer`, `smol::net`) or a runtime of its own shows here.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Gateway {
    child: Child,
    address: SocketAddr,
}

impl Gateway {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_porthole"))
            .args(["demo", "--listen", &address.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: porthole\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.starts_with("HTTP/1.1 200 ").then_some(answer)
    }

    fn threads(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let name = std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap();
            *names.entry(name.trim_end().to_owned()).or_default() += 1;
        }
        names
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
fn a_gateway_under_load_has_one_media_thread_and_a_fixed_few() {
    let gateway = Gateway::start();
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.get("/hls/demo/index.m3u8").is_none() {
        assert!(Instant::now() < deadline, "the demo camera does not play");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| (0..5).for_each(|_| assert!(gateway.get("/api/v1/status").is_some())));
        }
    });
    let workers = (0..4).map(|n| (format!("http-{n}"), 1));
    let expected: BTreeMap<_, _> = workers.chain([("porthole".to_owned(), 1)]).collect();
    // tiny_http's own: one that accepts, and a pool of four. A burst may add to the pool while connections close; what was
    // added ends after five idle seconds, and may take some of the four with it, which come back when they are needed.
    let settled =
        |mut threads: BTreeMap<String, usize>| matches!(threads.remove("http-io"), Some(2..=5)) && threads == expected;
    let deadline = Instant::now() + Duration::from_secs(12);
    let mut threads = gateway.threads();
    assert!(threads.values().sum::<usize>() <= 14, "{threads:?}");
    while !settled(threads.clone()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
        threads = gateway.threads();
    }
    assert!(settled(threads.clone()), "{threads:?}");
}
