//! The real gate with real workers and trivial routes in a child process, and a plain HTTP client to meet it with.
#![allow(dead_code, reason = "tests and a benchmark share this; each uses its part")]
#![expect(unreachable_pub, clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};
use porthole::control::{self, CameraState, CameraStatus, Command as Order, HlsStatus, Snapshot, StatusBoard, Wake};
use porthole::media::StreamId;
use porthole::web::gate::{GateCounters, Seams, SegmentBytes, Settings};
use porthole::web::http::{Request, Response, Until};
use porthole::web::task;

const OPTIONS: &str = "PORTHOLE_GATE_OPTIONS";

/// Bytes of the segment that the child serves.
pub const SEGMENT_LEN: usize = 500_000;
/// Bytes of the body of `/big`.
pub const BIG_LEN: usize = 4_000_000;

/// How long the pretended camera takes to come; so that whoever waits behind it is told from whom the machine delays.
pub const WAKING: Duration = Duration::from_millis(800);
/// A request that waits behind nothing is answered within this time.
pub const PROMPT_ENOUGH: Duration = Duration::from_millis(500);

/// The segment's bytes.
pub fn segment() -> Vec<u8> {
    (0..SEGMENT_LEN).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// A gate in a child process, ended when dropped.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts this binary again with `arguments`, which must lead it to [`serve_if_child`].
    pub fn start(arguments: &[&str], options: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .env(OPTIONS, options)
            .env_remove("RUST_BACKTRACE")
            // Else glibc raises the threshold with each freed block and keeps the memory of long answers.
            .env("MALLOC_MMAP_THRESHOLD_", "131072")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the child says where it listens").unwrap();
            if let Some((_, address)) = line.split_once("gate at ") {
                break address.parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { address, child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Private resident memory, kB.
    pub fn rss_anon(&self) -> u64 {
        self.status("RssAnon:")
    }

    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The gate's counters, as the child prints them.
    pub fn counters(&self) -> HashMap<String, u64> {
        let text = String::from_utf8(get(self.address, "/counters").body).unwrap();
        text.lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(k, v)| (k.to_owned(), v.parse().unwrap()))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The loopback address of a client that is not the attacker.
pub const BYSTANDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection of [`BYSTANDER`].
pub fn connect_as_bystander(address: SocketAddr) -> TcpStream {
    let SocketAddr::V4(address) = address else { panic!("the child listens on IPv4") };
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(BYSTANDER, 0))).unwrap();
    nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrIn::from(address)).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// One request on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap()
}

pub fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut stream = connect(address);
    stream.write_all(request)?;
    read_answer(&mut stream, true)
}

/// Everything the server says until it closes.
pub fn all_answers(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// Reads one answer; an error when the connection ends before it does.
pub fn read_answer(stream: &mut impl Read, body_follows: bool) -> io::Result<Answer> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().lines();
    let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let len = answer.header("content-length").map_or(0, |len| len.parse().unwrap());
    if body_follows {
        answer.body = vec![0; len];
        stream.read_exact(&mut answer.body)?;
    }
    Ok(answer)
}

/// In the child: serves until stdin ends, and never returns. In the parent: returns at once.
pub fn serve_if_child() {
    let Ok(options) = std::env::var(OPTIONS) else { return };
    let _ = env_logger::try_init();
    let dir = std::env::temp_dir().join(format!("porthole-gate-{}", std::process::id()));
    let mut settings = Settings::new(dir.clone());
    for (name, value) in options.split_whitespace().map(|option| option.split_once('=').unwrap()) {
        let value: u64 = value.parse().unwrap();
        let (count, span) = (usize::try_from(value).unwrap(), Duration::from_millis(value));
        match name {
            "connections" => settings.connections = count,
            "waiting" => settings.waiting = count,
            "answer_bytes" => settings.answer_bytes = count,
            "idle" => settings.idle_deadline = span,
            "head" => settings.head_deadline = span,
            "body" => settings.body_deadline = span,
            "stall" => settings.stall_deadline = span,
            "answer" => settings.answer_deadline = span,
            "camera" => settings.camera_deadline = span,
            "nofile" => {
                use nix::sys::resource::{Resource, setrlimit};
                setrlimit(Resource::RLIMIT_NOFILE, value, value).unwrap();
            }
            _ => panic!("unknown option {name}"),
        }
    }
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = std::fs::remove_dir_all(dir);
        std::process::exit(0);
    });
    serve(settings);
}

fn serve(settings: Settings) {
    let (control, orders) = control::channel(4);
    let board = Arc::new(StatusBoard::new());
    board.publish(snapshot(false));
    let counters = Arc::new(GateCounters::default());
    let wakes = Arc::new(AtomicU64::new(0));
    let respond = {
        let (counters, wakes) = (Arc::clone(&counters), Arc::clone(&wakes));
        move |request: &Request| respond(request, &counters, &wakes)
    };
    let whole: Arc<dyn SegmentBytes> = Arc::new(Bytes { bytes: segment(), revoked: AtomicBool::new(false) });
    let large: Arc<dyn SegmentBytes> = Arc::new(Bytes { bytes: vec![7; 30_000_000], revoked: AtomicBool::new(false) });
    let seams = Seams {
        control,
        board: Arc::clone(&board),
        segments: Rc::new(move |stream, name| match (stream.as_str(), name) {
            ("cam", "a.ts") => Some(Arc::clone(&whole)),
            ("cam", "large.ts") => Some(Arc::clone(&large)),
            ("cam", "revoked.ts") => Some(Arc::new(Revoking { bytes: segment(), asked: AtomicU64::new(0) })),
            _ => None,
        }),
        respond: Arc::new(respond),
        counters,
    };
    let camera = async move {
        while let Ok(Order::Wake(_, reply)) = orders.recv().await {
            wakes.fetch_add(1, Ordering::Relaxed);
            let _ = reply.try_send(Wake::Starting);
            tokio::time::sleep(WAKING).await;
            board.publish(snapshot(true));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = task::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        println!("gate at {}", listener.local_addr().unwrap());
        let executor = smol::LocalExecutor::new();
        executor.spawn(camera).detach();
        executor.run(task::run(listener, settings, seams)).await.unwrap();
    });
}

struct Bytes {
    bytes: Vec<u8>,
    revoked: AtomicBool,
}

impl SegmentBytes for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }
}

/// Revoked at the second look.
struct Revoking {
    bytes: Vec<u8>,
    asked: AtomicU64,
}

impl SegmentBytes for Revoking {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn revoked(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= 1
    }
}

fn text(status: u16, body: impl Into<Vec<u8>>) -> Response {
    Response::Full { status, headers: vec![("Content-Type", "text/plain".into())], body: body.into() }
}

fn respond(request: &Request, counters: &GateCounters, wakes: &AtomicU64) -> Response {
    let stream = |id| StreamId::parse(id).unwrap();
    match request.path.as_str() {
        "/small" => text(200, "hello"),
        "/echo" => text(200, request.body.clone()),
        "/query" => text(200, request.query.clone()),
        "/big" => text(200, vec![b'x'; BIG_LEN]),
        "/panic" => panic!("a route panics"),
        "/slow" => {
            std::thread::sleep(Duration::from_millis(500));
            text(200, "slow")
        }
        "/not-modified" => text(304, ""),
        "/eat-descriptors" => {
            let mut eaten = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                eaten.push(file);
            }
            eaten.truncate(eaten.len() - request.query.parse::<usize>().unwrap());
            std::thread::sleep(Duration::from_millis(500));
            text(200, format!("ate {}", eaten.len()))
        }
        "/wakes" => text(200, wakes.load(Ordering::Relaxed).to_string()),
        "/counters" => text(200, printed(counters)),
        "/hls/sleepy/live" => text(200, "live"),
        "/hls/sleepy/index.m3u8" if request.waited => text(200, "#EXTM3U\n"),
        "/hls/sleepy/index.m3u8" => Response::WaitFor { stream: stream("sleepy"), until: Until::Playlist },
        "/hls/dead/index.m3u8" if request.waited => text(503, "camera dead: connection refused"),
        "/hls/dead/index.m3u8" => Response::WaitFor { stream: stream("dead"), until: Until::Playlist },
        path => match path.strip_prefix("/hls/cam/") {
            Some(name) => Response::Segment {
                stream: stream("cam"),
                file_name: name.to_owned(),
                headers: vec![("Content-Type", "video/mp2t".into())],
            },
            None => text(404, "nothing here"),
        },
    }
}

/// One line for each counter: the middle of its name, and its value.
fn printed(counters: &GateCounters) -> String {
    let mut text = String::new();
    for (name, _, value) in counters.all() {
        let name = name.strip_prefix("porthole_gate_").unwrap();
        let name = if name == "connections" { "open" } else { name.trim_end_matches("_total") };
        writeln!(text, "{name} {value}").unwrap();
    }
    text
}

/// Camera `sleepy` (with a playlist or not), and `dead`, which never has one.
fn snapshot(delivers: bool) -> Snapshot {
    let camera = |id: &str, playlist: Option<Arc<str>>| {
        let state = if playlist.is_some() { CameraState::Streaming } else { CameraState::Starting };
        let hls = Some(HlsStatus { playlist, ..HlsStatus::default() });
        Arc::new(CameraStatus { hls, ..status(id, state) })
    };
    let playlist = delivers.then(|| Arc::from("#EXTM3U\n"));
    Snapshot { cameras: vec![camera("sleepy", playlist), camera("dead", None)], ..Snapshot::default() }
}

/// A camera on demand, in this state, of which nothing else is known.
pub fn status(id: &str, state: CameraState) -> CameraStatus {
    CameraStatus {
        id: StreamId::parse(id).unwrap(),
        name: id.to_owned(),
        state,
        since_seconds: 0,
        on_demand: true,
        transport: None,
        url: String::new(),
        video: None,
        audio: None,
        bitrate: 0,
        last_key_frame_age: None,
        access_units: 0,
        lost_packets: 0,
        reconnects: 0,
        last_error: None,
        last_error_age: None,
        warnings: Vec::new(),
        hls: None,
        webrtc: None,
    }
}

/// A client at [`BYSTANDER`] that asks all the time on new connections, and what it met.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Met>,
}

/// What the bystander met.
#[derive(Debug, Default)]
pub struct Met {
    pub answers: u32,
    pub failures: Vec<String>,
    pub slowest: Duration,
}

impl Bystander {
    /// Returns once it has been served.
    pub fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (served, first) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut met = Met::default();
            while !stopped.load(Ordering::Relaxed) {
                let begun = now();
                let mut stream = connect_as_bystander(address);
                let asked = stream.write_all(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                match asked.and_then(|()| read_answer(&mut stream, true)) {
                    Ok(answer) if answer.status == 200 => met.answers += 1,
                    other => met.failures.push(format!("{other:?}")),
                }
                met.slowest = met.slowest.max(now() - begun);
                let _ = served.send(());
                std::thread::sleep(Duration::from_millis(5));
            }
            met
        });
        first.recv().unwrap();
        Self { stop, thread }
    }

    pub fn stop(self) -> Met {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests measure")]
pub fn now() -> Instant {
    Instant::now()
}
