//! The `porthole` program: arguments in, exit status out. 0: done; 1: it did not work; 2: the arguments make no sense.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use porthole::cli::{self, Action};
use porthole::config::task::{Files, load};
use porthole::config::{Plan, Transport, WebRtcPlan};
use porthole::gateway::{self, Service};
use porthole::{board, ingest};

/// A probe watches for two GOPs, at least and at most this long.
const PROBE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(25));

fn main() -> ExitCode {
    let action = match cli::parse(std::env::args_os().skip(1)) {
        Ok(action) => action,
        Err(error) => {
            say(&format!("porthole: {error}\nTry `porthole --help`."));
            return ExitCode::from(2);
        }
    };
    let result = match action {
        Action::Help(text) => print(text),
        Action::Version => print(concat!("porthole ", env!("CARGO_PKG_VERSION"), "\n")),
        Action::Check { config, board } => check(&Files { config, board }),
        Action::Run { config, board, log } => run(Files { config, board }, log),
        Action::Probe { url, username, password_file, transport } => probe(&url, username, password_file, transport),
        Action::BoardRender { dir, check } => render_boards(&dir, check),
        Action::NoteEnd => note_end(),
        Action::Demo { listen, log } => demo(listen, log),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            say(&format!("porthole: {sentence}"));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    // A reader that went away (`porthole --help | head -1`) is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn check(files: &Files) -> Result<(), String> {
    let plan = load(files, gateway::machine).map_err(|error| error.to_string())?;
    print(&format!("{}: {}\n", files.config.display(), summary(&plan)))
}

fn summary(plan: &Plan) -> String {
    let worst: u64 = plan.memory.iter().map(|item| item.bytes).sum();
    let hls = plan.hls.as_ref().map_or("HLS off".to_owned(), |hls| {
        format!("HLS in {} (at most {} MiB)", hls.output_dir.display(), plan.tmpfs_limit >> 20)
    });
    format!(
        "good: {} cameras, {hls}, {}, at most {} of {} MiB memory, port {}",
        plan.cameras.len(),
        webrtc_summary(plan.webrtc.as_ref()),
        worst >> 20,
        plan.memory_limit >> 20,
        plan.web.listen
    )
}

fn webrtc_summary(webrtc: Option<&WebRtcPlan>) -> String {
    let Some(webrtc) = webrtc else { return "WebRTC off".to_owned() };
    let tcp = webrtc.tcp_port.map_or(String::new(), |port| format!(" and TCP {port}"));
    let gop_mib = webrtc.gop_bytes.div_ceil(1 << 20);
    format!(
        "WebRTC on UDP {}{tcp} (at most {} viewers, GOP cache {gop_mib} MiB per camera)",
        webrtc.udp_port, webrtc.max_viewers
    )
}

fn render_boards(dir: &Path, check: bool) -> Result<(), String> {
    if check {
        let files = board::task::check(dir).map_err(|error| error.to_string())?;
        return print(&format!("good: {files} files are what the profiles say\n"));
    }
    for path in board::task::write(dir).map_err(|error| error.to_string())? {
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

fn run(files: Files, level: Option<log::LevelFilter>) -> Result<(), String> {
    start_log(level);
    let plan = load(&files, gateway::machine).map_err(|error| error.to_string())?;
    let service = Service::begin(&plan.system);
    let before = service.before().map_or(String::new(), |end| format!("; the run before: {end}"));
    log::info!("porthole {}, board {}: {}{before}", env!("CARGO_PKG_VERSION"), plan.board, summary(&plan));
    gateway::run(plan, Some(files), service, None).map_err(|error| error.to_string())
}

fn start_log(level: Option<log::LevelFilter>) {
    let from_environment = std::env::var("PORTHOLE_LOG").ok().and_then(|level| level.parse().ok());
    let level = level.or(from_environment).unwrap_or(log::LevelFilter::Info);
    env_logger::Builder::new()
        // retina reports each oddity of a camera; what matters of it comes back as a cause.
        .filter_module("retina", level.min(log::LevelFilter::Error))
        .filter_module("tiny_http", level.min(log::LevelFilter::Warn))
        .filter_level(level)
        .format_timestamp_millis()
        .format_target(false)
        .init();
}

fn probe(
    url: &str,
    username: Option<String>,
    password_file: Option<PathBuf>,
    transport: Transport,
) -> Result<(), String> {
    let mut camera = porthole::config::Camera::for_probe(url, transport)?;
    if let Some(username) = username {
        let password = password_file.map(read_password).transpose()?.unwrap_or_default();
        camera.log_in(username, password);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let settings = gateway::ingest_settings(&camera);
    let report = runtime.block_on(ingest::probe(settings, PROBE.0, PROBE.1)).map_err(|cause| cause.to_string())?;
    print(&format!("{report}\n"))
}

fn read_password(path: PathBuf) -> Result<String, String> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(&path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| format!("--password-file {}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What systemd says of the run that ended stands in the environment: systemd.exec(5).
fn note_end() -> Result<(), String> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let state_dir = std::env::var_os("STATE_DIRECTORY").ok_or("note-end is for ExecStopPost of the systemd unit")?;
    gateway::note_end(state_dir.as_ref(), &variable("SERVICE_RESULT"), &variable("EXIT_STATUS"));
    Ok(())
}

#[cfg(feature = "demo")]
fn demo(listen: std::net::SocketAddr, level: Option<log::LevelFilter>) -> Result<(), String> {
    use porthole::config::{Board, Config};
    use porthole::demo::{Camera, Settings};

    start_log(Some(level.unwrap_or(log::LevelFilter::Warn)));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("demo camera: {error}"))?;
    listener.set_nonblocking(true).map_err(|error| format!("demo camera: {error}"))?;
    let port = listener.local_addr().map_err(|error| format!("demo camera: {error}"))?.port();
    let webrtc_port = free_port(8189);
    let text = format!(
        "[web]\nlisten = \"{listen}\"\n[webrtc]\nudp_port = {webrtc_port}\n[hls]\noutput_dir = \"/dev/shm/porthole-demo-{}\"\n\
         [[camera]]\nid = \"demo\"\nname = \"Demo camera\"\nurl = \"rtsp://127.0.0.1:{port}/demo\"\n",
        listen.port()
    );
    let problems = |problems: Vec<porthole::config::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let config = Config::parse(&text, |path| Err(path.display().to_string())).map_err(problems)?;
    let machine = gateway::machine(&config.hls.output_dir);
    let mut plan = Plan::resolve(&config, &Board::generic(&machine), &machine).map_err(problems)?;
    // A demo leaves nothing behind.
    if let Some(webrtc) = &mut plan.webrtc {
        webrtc.state_dir = None;
    }
    let camera = async move {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => Camera::new(Settings::default()).serve(listener).await,
            Err(error) => log::error!("demo camera: {error}"),
        }
    };
    print(&format!(
        "Porthole demo: open http://{listen}/ in a browser, or play http://{listen}/hls/demo/index.m3u8. Ctrl-C ends it.\n"
    ))?;
    gateway::run(plan, None, Service::default(), Some(Box::pin(camera))).map_err(|error| error.to_string())
}

/// `wanted`, or any port that UDP and TCP have free where it is taken: a gateway may run already.
#[cfg(feature = "demo")]
fn free_port(wanted: u16) -> u16 {
    let free = |port| {
        let udp = std::net::UdpSocket::bind(("0.0.0.0", port))?;
        let port = udp.local_addr()?.port();
        std::net::TcpListener::bind(("0.0.0.0", port)).map(|_| port)
    };
    free(wanted).or_else(|_| free(0)).unwrap_or(wanted)
}

#[cfg(not(feature = "demo"))]
fn demo(_: std::net::SocketAddr, _: Option<log::LevelFilter>) -> Result<(), String> {
    Err(cli::UsageError::NoDemo.to_string())
}
