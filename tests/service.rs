//! The program as a service, against a supervisor's real socket: ready, alive, stopping, and what it knows of the run before.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::disallowed_methods, reason = "tests measure")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One service in a folder of its own, and the socket of whoever supervises it.
struct Service {
    folder: PathBuf,
    port: u16,
    supervisor: UnixDatagram,
    process: Option<Child>,
}

impl Service {
    fn new(name: &str) -> Self {
        let folder = Path::new("/dev/shm").join(format!("porthole-service-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let supervisor = UnixDatagram::bind(folder.join("notify")).unwrap();
        supervisor.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "[web]\nlisten = \"127.0.0.1:{port}\"\n[hls]\noutput_dir = \"{dir}/hls\"\n[webrtc]\nenabled = false\n\
             [system]\nstate_dir = \"{dir}/state\"\n[[camera]]\nid = \"gate\"\nurl = \"rtsp://127.0.0.1:9/\"\non_demand = true\n",
            dir = folder.display()
        );
        std::fs::write(folder.join("porthole.toml"), config).unwrap();
        Self { folder, port, supervisor, process: None }
    }

    fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_porthole"))
            .args(["run", "--config"])
            .arg(self.folder.join("porthole.toml"))
            .env("NOTIFY_SOCKET", self.folder.join("notify"))
            .env("WATCHDOG_USEC", "1000000")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// The next words of the service.
    fn said(&self) -> String {
        let mut bytes = [0; 1000];
        let length = self.supervisor.recv(&mut bytes).expect("the service says something within 10 s");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Until it says `words`, among the next few.
    fn wait_for(&self, words: &str) {
        let said: Vec<_> = (0..10).map(|_| self.said()).take_while(|said| said != words).collect();
        assert!(said.len() < 10, "not {words:?}, but {said:?}");
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().unwrap().id();
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    fn end(&mut self) {
        self.process.take().unwrap().wait().unwrap();
        // What was said before the end.
        self.supervisor.set_nonblocking(true).unwrap();
        while self.supervisor.recv(&mut [0; 1000]).is_ok() {}
        self.supervisor.set_nonblocking(false).unwrap();
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// `last_end` of the status, once it is ready.
    fn last_end(&self) -> Option<String> {
        self.wait_for("READY=1\n");
        let answer = self.get("/api/v1/status");
        let (_, after) = answer.split_once("\"last_end\":")?;
        Some(after.strip_prefix('"')?.split('"').next()?.to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn it_is_ready_when_the_web_port_answers_and_alive_while_the_media_thread_turns() {
    let mut service = Service::new("alive");
    service.start();
    assert_eq!(service.said(), "READY=1\n");
    assert!(service.get("/healthz").starts_with("HTTP/1.1 200 "));
    // Asked for every second, it says so every half.
    let begun = Instant::now();
    for _ in 0..6 {
        assert_eq!(service.said(), "WATCHDOG=1\n");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "six signs of life in {took:?}");

    // A media thread that does not turn says nothing.
    service.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(200));
    service.supervisor.set_nonblocking(true).unwrap();
    while service.supervisor.recv(&mut [0; 1000]).is_ok() {}
    std::thread::sleep(Duration::from_millis(1500));
    assert!(service.supervisor.recv(&mut [0; 1000]).is_err());
    service.supervisor.set_nonblocking(false).unwrap();
    service.signal(Signal::SIGCONT);
    assert_eq!(service.said(), "WATCHDOG=1\n");

    service.signal(Signal::SIGTERM);
    service.wait_for("STOPPING=1\nSTATUS=SIGTERM\n");
    service.end();
}

#[test]
fn how_a_run_ended_is_told_by_the_next_one() {
    let mut service = Service::new("ends");
    service.start();
    assert_eq!(service.last_end(), None);
    service.signal(Signal::SIGTERM);
    service.end();

    service.start();
    assert_eq!(service.last_end().as_deref(), Some("it was stopped by SIGTERM"));
    service.signal(Signal::SIGKILL);
    service.end();

    service.start();
    assert_eq!(service.last_end().as_deref(), Some("it was killed (kill -9, or memory ran out)"));
    // systemd's own watchdog: it knows more than the service could say.
    service.signal(Signal::SIGABRT);
    service.end();
    let noted = Command::new(env!("CARGO_BIN_EXE_porthole"))
        .arg("note-end")
        .env("STATE_DIRECTORY", service.folder.join("state"))
        .env("SERVICE_RESULT", "watchdog")
        .env("EXIT_STATUS", "ABRT")
        .status()
        .unwrap();
    assert!(noted.success());
    service.start();
    let sentence = service.last_end().unwrap();
    assert!(sentence.starts_with("systemd's watchdog ended it"), "{sentence}");
    let log = std::fs::read_to_string(service.folder.join("log")).unwrap();
    let first_lines: Vec<_> =
        log.lines().filter(|line| line.contains("porthole ") && line.contains("board ")).collect();
    assert_eq!(first_lines.len(), 4, "{log}");
    assert!(first_lines[1].ends_with("the run before: it was stopped by SIGTERM"), "{}", first_lines[1]);
}
