//! `config.toml` as the owner wrote it: text in, `Config` or every problem out.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;
use url::Url;

use super::reader::{Fields, Placed, Problem, Report, nearest, parse};
use super::webrtc::{MOST_VIEWERS, WebRtc, read_webrtc};
use crate::media::StreamId;

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
    /// Where what must survive a restart is kept: the WebRTC certificate.
    pub state_dir: PathBuf,
}

/// A text that never appears in logs or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a camera asks for before it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// How RTP travels from a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP first, UDP when the camera refuses TCP (RTSP status 461).
    Auto,
    /// Interleaved in the RTSP connection.
    Tcp,
    /// UDP only.
    Udp,
}

/// One `[[camera]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Stream id.
    pub id: StreamId,
    /// The name to show; the id when the owner gave none.
    pub name: String,
    /// `rtsp://HOST[:PORT]/PATH`, without user information.
    pub url: Url,
    /// User name and password, if any.
    pub credentials: Option<Credentials>,
    /// How RTP travels.
    pub transport: Transport,
    /// Connect with the first viewer only.
    pub on_demand: bool,
    /// How long an on-demand camera stays connected after the last request.
    pub idle_timeout: Duration,
    /// Carry the camera's sound.
    pub audio: bool,
    /// Most WebRTC viewers of this camera at once; absent: as many as the gateway has.
    pub max_viewers: Option<u32>,
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

impl Camera {
    /// A camera for one probe, from its address alone (user information in it becomes the credentials).
    ///
    /// # Errors
    /// When `url` is not a camera's address, in a sentence.
    pub fn for_probe(url: &str, transport: Transport) -> Result<Self, String> {
        let (url, user) = read_url(url)?;
        let id = StreamId::parse("probe").expect("\"probe\" is an id");
        let credentials = user.map(|(username, password)| Credentials { username, password: Secret::new(password) });
        let idle_timeout = Duration::ZERO;
        let name = id.to_string();
        let (on_demand, audio, max_viewers) = (false, true, None);
        Ok(Self { id, name, url, credentials, transport, on_demand, idle_timeout, audio, max_viewers })
    }

    /// Replaces the credentials.
    pub fn log_in(&mut self, username: String, password: String) {
        self.credentials = Some(Credentials { username, password: Secret::new(password) });
    }
}

type ReadSecret<'r> = &'r mut dyn FnMut(&Path) -> Result<String, String>;

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
    fields.finish(report);
    System { state_dir }
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

fn read_camera<'t>(
    mut fields: Fields<'_, 't>,
    report: &mut Report<'t>,
    read_secret: ReadSecret<'_>,
) -> Option<Placed<Camera>> {
    let offset = fields.offset();
    let id = match fields.string("id", report) {
        None => {
            fields.missing("id", "it names the camera in URLs, e.g. id = \"gate\"", report);
            None
        }
        Some(text) => StreamId::parse(&text.value)
            .map_err(|error| report.add(text.offset, &fields.path_of("id"), format!("{:?} {error}", text.value)))
            .ok(),
    };
    let name = fields.string("name", report);
    if let Some(text) = name.as_ref().filter(|text| text.value.chars().count() > 64) {
        report.add(text.offset, &fields.path_of("name"), "is longer than 64 characters");
    }
    let url = match fields.string("url", report) {
        None => {
            fields.missing("url", "write the camera's address, e.g. url = \"rtsp://10.0.0.5/stream1\"", report);
            None
        }
        Some(text) => {
            read_url(&text.value).map_err(|sentence| report.add(text.offset, &fields.path_of("url"), sentence)).ok()
        }
    };
    let username = fields.string("username", report);
    let password = fields.string("password", report);
    let password_file = fields.string("password_file", report);
    let credentials = read_credentials(&fields, url.as_ref(), username, password, password_file, report, read_secret);
    let transport = read_transport(&mut fields, report);
    let on_demand = fields.boolean("on_demand", false, report);
    let idle_timeout = fields.integer("idle_timeout", 60, 5..=86_400, "seconds", report);
    let audio = fields.boolean("audio", true, report);
    let max_viewers = fields.optional_integer("max_viewers", 1..=MOST_VIEWERS, "viewers", report);
    fields.finish(report);
    let (id, url) = (id?, url?.0);
    let name = name.map_or_else(|| id.to_string(), |text| text.value);
    let idle_timeout = Duration::from_secs(idle_timeout.into());
    let camera = Camera { id, name, url, credentials, transport, on_demand, idle_timeout, audio, max_viewers };
    Some(Placed { value: camera, offset })
}

fn read_transport<'t>(fields: &mut Fields<'_, 't>, report: &mut Report<'t>) -> Transport {
    let Some(text) = fields.string("transport", report) else { return Transport::Auto };
    match text.value.as_str() {
        "auto" => Transport::Auto,
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        other => {
            let hint = nearest(other, &["auto", "tcp", "udp"]).map(|near| format!("; did you mean \"{near}\"?"));
            let sentence = format!("{other:?} must be \"auto\", \"tcp\" or \"udp\"{}", hint.unwrap_or_default());
            report.add(text.offset, &fields.path_of("transport"), sentence);
            Transport::Auto
        }
    }
}

/// The URL without its user information, and the user information.
type SplitUrl = (Url, Option<(String, String)>);

fn read_url(text: &str) -> Result<SplitUrl, String> {
    let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let special = "if the password has special characters, use the keys username and password instead";
    let mut url = Url::parse(text).map_err(|error| {
        let hint = if text.contains('@') { format!("; {special}") } else { String::new() };
        format!("...{shown:?} is not a URL ({error}){hint}")
    })?;
    match url.scheme() {
        "rtsp" => {}
        "rtsps" => return Err("rtsps:// (RTSP over TLS) is not supported; use rtsp://".to_owned()),
        other => return Err(format!("starts with {other}://; a camera's address starts with rtsp://")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host; write e.g. rtsp://10.0.0.5/stream1".to_owned());
    }
    if url.fragment().is_some() {
        return Err(format!("has a '#'; {special}"));
    }
    let decode = |text: &str| percent_decode(text);
    let user = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decode(url.username()), decode(url.password().unwrap_or(""))));
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| "has no host; write e.g. rtsp://10.0.0.5/stream1".to_owned())?;
    Ok((url, user))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read_credentials<'t>(
    fields: &Fields<'_, 't>,
    url: Option<&SplitUrl>,
    username: Option<Placed<String>>,
    password: Option<Placed<String>>,
    password_file: Option<Placed<String>>,
    report: &mut Report<'t>,
    read_secret: ReadSecret<'_>,
) -> Option<Credentials> {
    let in_url = url.and_then(|(_, user)| user.clone());
    if let (Some(_), Some(text)) = (&in_url, &username) {
        let sentence = "is given here and in the url; keep one of them";
        report.add(text.offset, &fields.path_of("username"), sentence);
    }
    if let (Some(_), Some(file)) = (&password, &password_file) {
        let sentence = "is given beside password; keep one of them";
        report.add(file.offset, &fields.path_of("password_file"), sentence);
    }
    let from_file = password_file.and_then(|file| match read_secret(Path::new(&file.value)) {
        Ok(text) => Some(Placed { value: text.trim_end_matches(['\r', '\n']).to_owned(), offset: file.offset }),
        Err(why) => {
            report.add(file.offset, &fields.path_of("password_file"), format!("cannot read {:?}: {why}", file.value));
            None
        }
    });
    let password = password.or(from_file);
    match (username, password, in_url) {
        (Some(username), Some(password), _) => {
            Some(Credentials { username: username.value, password: Secret::new(password.value) })
        }
        (Some(username), None, _) => Some(Credentials { username: username.value, password: Secret::new("") }),
        (None, Some(password), None) => {
            report.add(password.offset, &fields.path_of("username"), "is missing beside the password");
            None
        }
        (None, password, Some((username, in_url))) => {
            let password = password.map_or(in_url, |password| password.value);
            Some(Credentials { username, password: Secret::new(password) })
        }
        (None, None, None) => None,
    }
}

/// Ids must be unique; and a camera profile gets one session, never two.
fn refuse_repeats(cameras: &[Placed<Camera>], report: &mut Report<'_>) {
    let mut ids = BTreeMap::new();
    let mut urls = BTreeMap::new();
    for (index, camera) in cameras.iter().enumerate() {
        let field = |key: &str| format!("camera[{}].{key}", index + 1);
        if ids.insert(camera.value.id, ()).is_some() {
            let sentence = format!("{:?} is used by two cameras; every id must be unique", camera.value.id.as_str());
            report.add(camera.offset, &field("id"), sentence);
        }
        if let Some(other) = urls.insert(camera.value.url.as_str().to_owned(), camera.value.id) {
            let sentence =
                format!("is the same as that of camera {other}; one camera entry serves any number of viewers");
            report.add(camera.offset, &field("url"), sentence);
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn user_information_in_the_url_becomes_credentials_and_never_shows() {
        let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://admin:p%40ss%3A@10.0.0.5/live\"\n";
        let config = Config::parse(text, no_files).unwrap();
        let credentials = config.cameras[0].credentials.clone().unwrap();
        assert_eq!((credentials.username.as_str(), credentials.password.reveal()), ("admin", "p@ss:"));
        assert_eq!(config.cameras[0].url.as_str(), "rtsp://10.0.0.5/live");
        assert!(!format!("{config:?}").contains("p@ss"));
        let bad = problems("[[camera]]\nid = \"a\"\nurl = \"rtsp://admin:p#ss@10.0.0.5:port/live\"\n");
        assert!(bad[0].contains("use the keys username and password"), "{bad:?}");
        assert!(!bad[0].contains("p#ss"), "{bad:?}");
    }

    #[test]
    fn passwords_come_from_files_and_double_ones_are_refused() {
        let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nusername = \"u\"\npassword_file = \"/etc/secret\"\n";
        let config = Config::parse(text, |path| {
            assert_eq!(path, Path::new("/etc/secret"));
            Ok("p\u{f6} w\n".to_owned())
        });
        assert_eq!(config.unwrap().cameras[0].credentials.as_ref().unwrap().password.reveal(), "p\u{f6} w");
        assert_eq!(problems(text), ["line 5: camera[1].password_file: cannot read \"/etc/secret\": no such file"]);
        assert_eq!(
            problems("[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\npassword = \"x\"\n"),
            ["line 4: camera[1].username: is missing beside the password"]
        );
    }

    #[test]
    fn two_cameras_share_neither_id_nor_url() {
        let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\n[[camera]]\nid = \"a\"\nurl = \"rtsp://u:p@h/1\"\n";
        let found = problems(text);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("every id must be unique") && found[1].contains("same as that of camera a"));
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
    fn a_camera_may_have_fewer_webrtc_viewers() {
        let camera = "[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nmax_viewers = ";
        let config = Config::parse(&format!("{camera}3\n"), no_files).unwrap();
        assert_eq!(config.cameras[0].max_viewers, Some(3));
        assert_eq!(
            problems(&format!("{camera}0\n")),
            ["line 4: camera[1].max_viewers: is 0; it must be 1 to 256 viewers"]
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
