//! One `[[camera]]` of `config.toml`: its table in, `Camera` or every problem out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use url::Url;

use super::reader::{Fields, Placed, Report, nearest};
use super::webrtc::MOST_VIEWERS;
use crate::media::StreamId;

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

/// Reads a `password_file`: its contents, or why it cannot be read.
pub(super) type ReadSecret<'r> = &'r mut dyn FnMut(&Path) -> Result<String, String>;

/// Reads one `[[camera]]`; `None` when it lacks an id or an address.
pub(super) fn read_camera<'t>(
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
pub(super) fn refuse_repeats(cameras: &[Placed<Camera>], report: &mut Report<'_>) {
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
    use super::super::owner::Config;
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let no_files = |_: &Path| Err("no such file".to_owned());
        Config::parse(text, no_files).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn user_information_in_the_url_becomes_credentials_and_never_shows() {
        let text = "[[camera]]\nid = \"a\"\nurl = \"rtsp://admin:p%40ss%3A@10.0.0.5/live\"\n";
        let config = Config::parse(text, |_| Err(String::new())).unwrap();
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
    fn a_camera_may_have_fewer_webrtc_viewers() {
        let camera = "[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nmax_viewers = ";
        let config = Config::parse(&format!("{camera}3\n"), |_| Err(String::new())).unwrap();
        assert_eq!(config.cameras[0].max_viewers, Some(3));
        assert_eq!(
            problems(&format!("{camera}0\n")),
            ["line 4: camera[1].max_viewers: is 0; it must be 1 to 256 viewers"]
        );
    }
}
