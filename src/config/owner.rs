//! `config.toml` as the owner wrote it: text in, `Config` or every problem out.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::camera::{Camera, ReadSecret, read_camera, refuse_repeats};
use super::reader::{Fields, Problem, Report, parse};
use super::webrtc::{WebRtc, read_webrtc};

/// What the owner wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[web]`.
    pub web: Web,
    /// `[hls]`.
    pub hls: Hls,
    /// `[webrtc]`.
    pub webrtc: WebRtc,
    /// `[system]`.
    pub system: System,
    /// `[[camera]]`, in the order of the file.
    pub cameras: Vec<Camera>,
}

/// `[web]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Address and port of the web port.
    pub listen: SocketAddr,
}

/// `[hls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hls {
    /// HLS output on.
    pub enabled: bool,
    /// The least duration of a segment, seconds; segments are cut at key frames.
    pub segment_duration: u32,
    /// The least number of segments in a playlist.
    pub segment_count: u32,
    /// Where segments go; must be on tmpfs.
    pub output_dir: PathBuf,
    /// Most segment files per stream in the folder.
    pub cleanup_threshold: u32,
    /// gzip playlists and JSON for clients that accept it.
    pub enable_compression: bool,
}

/// `[system]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Where what must survive a restart is kept: the WebRTC certificate, and how the last run ended.
    pub state_dir: PathBuf,
    /// The machine's watchdog, where no systemd feeds it; absent: none.
    pub watchdog: Option<PathBuf>,
    /// It resets the machine when Porthole is stuck for so long, seconds.
    pub watchdog_timeout: u32,
}

impl Config {
    /// Reads a configuration. `read_secret` returns the contents of a `password_file`, or why it cannot be read.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn parse(text: &str, read_secret: impl FnMut(&Path) -> Result<String, String>) -> Result<Self, Vec<Problem>> {
        let (config, problems) = Self::read(text, read_secret);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// As [`Config::parse`], but also returns what could be read of a wrong file, with defaults for the rest, so that
    /// whoever looks further finds further problems.
    pub fn read(text: &str, mut read_secret: impl FnMut(&Path) -> Result<String, String>) -> (Self, Vec<Problem>) {
        let mut report = Report::new(text);
        let config = read(&mut report, &mut read_secret);
        report.problems.sort_by_key(|problem| problem.line);
        (config, report.problems)
    }

    /// Every key there is, as `section.key`, for the documentation's test.
    pub fn keys() -> Vec<String> {
        let mut report = Report::new("[[camera]]\n");
        read(&mut report, &mut |_| Ok(String::new()));
        report.keys.into_iter().filter(|key| key.contains('.')).collect()
    }
}

fn read(report: &mut Report<'_>, read_secret: ReadSecret<'_>) -> Config {
    let document = parse(report);
    let empty = DeTable::new();
    let mut root = Fields::root(&document);
    let web = read_web(root.table("web", &empty, report), report);
    let hls = read_hls(root.table("hls", &empty, report), report);
    let webrtc = read_webrtc(root.table("webrtc", &empty, report), &web, &hls, report);
    let system = read_system(root.table("system", &empty, report), report);
    let sections = root.tables("camera", report);
    if sections.is_empty() && report.problems.is_empty() {
        root.missing("camera", "add at least one [[camera]] with an id and a url", report);
    }
    root.finish(report);
    let mut cameras = Vec::new();
    for section in sections {
        cameras.extend(read_camera(section, report, read_secret));
    }
    refuse_repeats(&cameras, report);
    Config { web, hls, webrtc, system, cameras: cameras.into_iter().map(|camera| camera.value).collect() }
}

fn read_web<'t>(mut fields: Fields<'_, 't>, report: &mut Report<'t>) -> Web {
    let default = SocketAddr::from(([0, 0, 0, 0], 8107));
    let listen = match fields.string("listen", report) {
        None => default,
        Some(text) => text.value.parse().unwrap_or_else(|_| {
            let sentence =
                format!("{:?} is not an address with a port; write e.g. \"0.0.0.0:8107\" or \"[::]:8107\"", text.value);
            report.add(text.offset, &fields.path_of("listen"), sentence);
            default
        }),
    };
    fields.finish(report);
    Web { listen }
}

fn read_hls<'t>(mut fields: Fields<'_, 't>, report: &mut Report<'t>) -> Hls {
    let enabled = fields.boolean("enabled", true, report);
    let segment_duration = fields.integer("segment_duration", 1, 1..=10, "seconds", report);
    let segment_count = fields.integer("segment_count", 3, 3..=20, "segments", report);
    let output_dir = read_folder(&mut fields, "output_dir", "/run/porthole/hls", " on tmpfs", report);
    let cleanup_threshold = fields.integer("cleanup_threshold", 20, 10..=64, "files", report);
    let least = 2 * segment_count + 4;
    if cleanup_threshold < least {
        let sentence = format!(
            "is {cleanup_threshold}, too few for segment_count = {segment_count}: \
             the playlist, one segment being written and those that players may still fetch need {least}"
        );
        report.add(fields.offset(), &fields.path_of("cleanup_threshold"), sentence);
    }
    let enable_compression = fields.boolean("enable_compression", false, report);
    fields.finish(report);
    Hls { enabled, segment_duration, segment_count, output_dir, cleanup_threshold, enable_compression }
}

fn read_system<'t>(mut fields: Fields<'_, 't>, report: &mut Report<'t>) -> System {
    let state_dir = read_folder(&mut fields, "state_dir", "/var/lib/porthole", "", report);
    let watchdog = fields.string("watchdog", report).and_then(|text| {
        let device = text.value.starts_with("/dev/");
        if !device {
            let sentence = format!("{:?} must be a device, e.g. \"/dev/watchdog\"; leave it out for none", text.value);
            report.add(text.offset, &fields.path_of("watchdog"), sentence);
        }
        device.then(|| PathBuf::from(text.value))
    });
    let watchdog_timeout = fields.integer("watchdog_timeout", 15, 6..=600, "seconds", report);
    fields.finish(report);
    System { state_dir, watchdog, watchdog_timeout }
}

/// An absolute folder, but not the root; `place` is for the sentence.
fn read_folder<'t>(
    fields: &mut Fields<'_, 't>,
    key: &'static str,
    default: &str,
    place: &str,
    report: &mut Report<'t>,
) -> PathBuf {
    match fields.string(key, report) {
        None => PathBuf::from(default),
        Some(text) if text.value.starts_with('/') && text.value != "/" => PathBuf::from(text.value),
        Some(text) => {
            let sentence = format!("{:?} must be an absolute folder{place}, e.g. {default:?}", text.value);
            report.add(text.offset, &fields.path_of(key), sentence);
            PathBuf::from(default)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::camera::Transport;
    use super::*;

    fn no_files(_: &Path) -> Result<String, String> {
        Err("no such file".to_owned())
    }

    fn problems(text: &str) -> Vec<String> {
        Config::parse(text, no_files).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_minimal_configuration_has_the_documented_defaults() {
        let text = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://10.0.0.5/live\"\n";
        let config = Config::parse(text, no_files).unwrap();
        assert_eq!(config.web.listen.to_string(), "0.0.0.0:8107");
        assert_eq!(
            config.hls,
            Hls {
                enabled: true,
                segment_duration: 1,
                segment_count: 3,
                output_dir: "/run/porthole/hls".into(),
                cleanup_threshold: 20,
                enable_compression: false,
            }
        );
        let camera = &config.cameras[0];
        assert_eq!((camera.name.as_str(), camera.transport, camera.audio), ("gate", Transport::Auto, true));
        assert_eq!((camera.on_demand, camera.idle_timeout), (false, Duration::from_secs(60)));
        assert_eq!((&camera.credentials, camera.max_viewers), (&None, None));
        assert_eq!(config.system.state_dir, Path::new("/var/lib/porthole"));
    }

    #[test]
    fn every_problem_is_reported_with_its_line_and_the_nearest_key() {
        let text = "[web]\nlisten = \"8107\"\n[hls]\nsegment_lenght = 2\nsegment_count = 99\n\
                    [[camera]]\nid = \"a b\"\nurl = \"http://10.0.0.5/\"\ntransport = \"tpc\"\n\
                    [[camera]]\nurl = 5\n[hsl]\n";
        assert_eq!(
            problems(text),
            [
                "line 2: web.listen: \"8107\" is not an address with a port; write e.g. \"0.0.0.0:8107\" or \"[::]:8107\"",
                "line 4: hls.segment_lenght: unknown key; did you mean `segment_count`?",
                "line 5: hls.segment_count: is 99; it must be 3 to 20 segments",
                "line 7: camera[1].id: \"a b\" has the character ' '; only letters A-Z a-z, digits, '-' and '_' are allowed",
                "line 8: camera[1].url: starts with http://; a camera's address starts with rtsp://",
                "line 9: camera[1].transport: \"tpc\" must be \"auto\", \"tcp\" or \"udp\"; did you mean \"tcp\"?",
                "line 10: camera[2].id: is missing: it names the camera in URLs, e.g. id = \"gate\"",
                "line 11: camera[2].url: must be a text in quotes, not an integer",
                "line 12: hsl: unknown key; did you mean `hls`?",
            ]
        );
    }

    #[test]
    fn an_empty_configuration_asks_for_a_camera() {
        assert_eq!(problems(""), ["line 1: camera: is missing: add at least one [[camera]] with an id and a url"]);
        assert_eq!(problems("[camera]\nid = \"a\"\n").len(), 1);
        assert!(problems("x = [\n")[0].starts_with("line 1: not valid TOML: "), "{:?}", problems("x = [\n"));
    }

    #[test]
    fn the_cleanup_threshold_must_hold_the_window() {
        let found = problems("[hls]\nsegment_count = 12\n[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("need 28"), "{found:?}");
    }

    #[test]
    fn state_goes_into_an_absolute_folder() {
        let camera = "[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\n";
        let config = Config::parse(&format!("[system]\nstate_dir = \"/data/porthole\"\n{camera}"), no_files).unwrap();
        assert_eq!(config.system.state_dir, Path::new("/data/porthole"));
        assert_eq!(
            problems(&format!("[system]\nstate_dir = \"state\"\nstate_dri = 1\n{camera}")),
            [
                "line 2: system.state_dir: \"state\" must be an absolute folder, e.g. \"/var/lib/porthole\"",
                "line 3: system.state_dri: unknown key; did you mean `state_dir`?",
            ]
        );
        assert_eq!(
            problems(&format!("[hls]\noutput_dir = \"/\"\n{camera}")),
            ["line 2: hls.output_dir: \"/\" must be an absolute folder on tmpfs, e.g. \"/run/porthole/hls\""]
        );
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic() {
        let mut rng = fastrand::Rng::with_seed(7);
        let seed = "[web]\nlisten=\"x\"\n[[camera]]\nid=\"a\"\nurl=\"rtsp://h/\"\nidle_timeout=99999999999999999999\n";
        for _ in 0..3000 {
            let mut text: Vec<char> = seed.chars().collect();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..text.len());
                text[at] = rng.char(..);
            }
            let _ = Config::parse(&text.into_iter().collect::<String>(), no_files);
        }
    }
}
