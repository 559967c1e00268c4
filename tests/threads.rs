//! The thread list of a running gateway: one media thread and a fixed few beside it. Anything that brings another reactor
//! (`smol::Timer`, `smol::net`) or a runtime of its own shows here.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
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

    /// One without cameras that answer, on a board whose media thread has a core.
    fn on_board(folder: &Path, media: &str) -> Self {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = port();
        let config = format!(
            "[web]\nlisten = \"{address}\"\n[hls]\noutput_dir = \"{0}/hls\"\n[webrtc]\nudp_port = {1}\n\
             [system]\nstate_dir = \"{0}/state\"\n[[camera]]\nid = \"none\"\nurl = \"rtsp://127.0.0.1:1/\"\n",
            folder.display(),
            port().port()
        );
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("config.toml"), config).unwrap();
        std::fs::write(folder.join("board.toml"), format!("id = \"test\"\n{media}")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_porthole"))
            .args(["run", "--config", "config.toml", "--board", "board.toml"])
            .current_dir(folder)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// Name, cores and nice of each thread.
    fn places(&self) -> BTreeSet<(String, String, i32)> {
        let mut places = BTreeSet::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let read = |file| std::fs::read_to_string(task.as_ref().unwrap().path().join(file)).unwrap();
            let status = read("status");
            let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap().to_owned();
            let name = read("comm").trim_end().split('-').next().unwrap().to_owned();
            places.insert((name, cores, nice(&read("stat"))));
        }
        places
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

/// proc_pid_stat(5): nice is field 19, the name in brackets field 2.
fn nice(stat: &str) -> i32 {
    stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse().unwrap()
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

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
fn the_media_thread_alone_takes_the_core_and_the_priority_of_its_board() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap();
    let last = all.rsplit([',', '-']).next().unwrap();
    let folder = Path::new("/dev/shm").join(format!("porthole-threads-{}", std::process::id()));
    let gateway = Gateway::on_board(&folder, &format!("media_core = {last}\nmedia_priority = 5\n"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.get("/api/v1/status").is_none() {
        assert!(Instant::now() < deadline, "the gateway does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    let places = gateway.places();
    drop(gateway);
    std::fs::remove_dir_all(&folder).unwrap();
    // Without the right to a priority, the core is taken all the same.
    let usual = nice(&std::fs::read_to_string("/proc/self/stat").unwrap());
    let raised = if std::fs::metadata("/proc/self").unwrap().uid() == 0 { usual - 5 } else { usual };
    let place = |name: &str, cores: &str, nice: i32| (name.to_owned(), cores.to_owned(), nice);
    assert_eq!(places, [place("porthole", last, raised), place("http", all, usual)].into());
}
