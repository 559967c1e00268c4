//! What a 500 KB segment costs through gate and tiny_http, beside nginx in the same run, and how soon 32 viewers get theirs.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints and may panic")]

#[path = "../tests/gate_common/mod.rs"]
mod gate_common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use gate_common::*;

const PATH: &str = "/hls/cam/a.ts";
const REQUESTS: u32 = 2000;
const ROUNDS: u32 = 7;
const VIEWERS: usize = 32;
/// The aims of the issue.
const MOST_TIMES_NGINX: f64 = 4.0;
const LATEST_FIRST_BYTE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    serve_if_child();
    let dir = PathBuf::from(format!("/dev/shm/porthole-bench-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("hls/cam")).unwrap();
    std::fs::write(dir.join(PATH.trim_start_matches('/')), segment()).unwrap();
    let code = match Nginx::start(&dir) {
        Some(nginx) => compare(&nginx),
        None => {
            eprintln!("nginx is not installed: nothing to compare with");
            ExitCode::FAILURE
        }
    };
    std::fs::remove_dir_all(&dir).unwrap();
    code
}

fn compare(nginx: &Nginx) -> ExitCode {
    let gate = Server::start(&[], "");
    let (gate_pids, nginx_pids) = ([gate.pid()], nginx.pids());
    keep_alive(gate.address, 100);
    keep_alive(nginx.address, 100);

    // In turns, and the least counts: what else the machine does only adds.
    let (mut gate_cost, mut nginx_cost) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        gate_cost = gate_cost.min(cpu_of(&gate_pids, || keep_alive(gate.address, REQUESTS)));
        nginx_cost = nginx_cost.min(cpu_of(&nginx_pids, || keep_alive(nginx.address, REQUESTS)));
    }
    let ratio = gate_cost / nginx_cost;
    let first_bytes = (0..10).map(|_| (latest_first_byte(gate.address), latest_first_byte(nginx.address)));
    let (gate_first, nginx_first) = first_bytes.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))).unwrap();

    println!("serving a {SEGMENT_LEN} byte segment, keep-alive, loopback");
    println!("{:50} {:>10} {:>10} {:>8} {:>8}", "", "porthole", "nginx", "ratio", "aim");
    println!(
        "{:50} {gate_cost:>10.0} {nginx_cost:>10.0} {ratio:>8.2} {MOST_TIMES_NGINX:>8.2}",
        "CPU us per request (least of rounds)"
    );
    println!(
        "{:50} {:>10.1} {:>10.1} {:>8} {:>8}",
        "latest first byte of 32 at once, ms (worst of 10)",
        gate_first.as_secs_f64() * 1e3,
        nginx_first.as_secs_f64() * 1e3,
        "",
        LATEST_FIRST_BYTE.as_millis()
    );
    if ratio <= MOST_TIMES_NGINX && gate_first <= LATEST_FIRST_BYTE { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `count` requests on one connection, each answer read whole.
fn keep_alive(address: SocketAddr, count: u32) {
    let mut stream = connect(address);
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut buffer = vec![0; 256 * 1024];
    for _ in 0..count {
        stream.write_all(request.as_bytes()).unwrap();
        let mut received = 0;
        let mut expected = None;
        while expected.is_none_or(|expected| received < expected) {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the server hung up");
            received += read;
            // Both servers send the head whole in the first packet.
            expected = expected.or_else(|| Some(head_len(&buffer) + SEGMENT_LEN));
        }
        assert_eq!(Some(received), expected);
    }
}

fn head_len(bytes: &[u8]) -> usize {
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
    bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4
}

/// All viewers ask in the same moment on connections that are open already; how long the last of them waits for a byte.
fn latest_first_byte(address: SocketAddr) -> Duration {
    let mut streams: Vec<TcpStream> = (0..VIEWERS).map(|_| connect(address)).collect();
    std::thread::sleep(Duration::from_millis(20));
    let begun = now();
    for stream in &mut streams {
        stream.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    }
    let viewers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                stream.read_exact(&mut [0]).unwrap();
                let first = now() - begun;
                stream.read_to_end(&mut Vec::new()).unwrap();
                first
            })
        })
        .collect();
    viewers.into_iter().map(|viewer| viewer.join().unwrap()).max().unwrap()
}

/// User and system time of `pids` for each request, us.
fn cpu_of(pids: &[u32], work: impl Fn()) -> f64 {
    let before = cpu_seconds(pids);
    work();
    (cpu_seconds(pids) - before) * 1e6 / f64::from(REQUESTS)
}

/// From /proc/PID/stat, fields 14 and 15, in ticks of 10 ms.
fn cpu_seconds(pids: &[u32]) -> f64 {
    let ticks = |pid: &u32| -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        fields.map(|field| field.parse::<f64>().unwrap()).sum()
    };
    pids.iter().map(ticks).sum::<f64>() / 100.0
}

/// nginx with one worker, sendfile on, serving a directory.
struct Nginx {
    address: SocketAddr,
    master: Child,
}

impl Nginx {
    /// `None` when it is not installed.
    fn start(dir: &Path) -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log; events {{ }}
             http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000;
                     types {{ video/mp2t ts; }} client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
                     fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
                     server {{ listen {address}; root {dir}; }} }}",
            dir = dir.display()
        );
        std::fs::write(dir.join("nginx.conf"), config).unwrap();
        // Started by root, its worker takes another user, which must be able to read the file.
        let master = Command::new("nginx")
            .args(["-p", dir.to_str().unwrap(), "-c", dir.join("nginx.conf").to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let nginx = Self { address, master };
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(nginx)
    }

    /// Master and workers.
    fn pids(&self) -> Vec<u32> {
        let master = self.master.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).chain([master]).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let _ = self.master.wait();
    }
}
