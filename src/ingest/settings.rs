//! What one camera's task is told: address, credentials, transport, time limits.

use std::fmt;
use std::time::Duration;

use url::Url;

use crate::media::StreamId;

/// One camera, by value.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The camera's id, for log lines.
    pub id: StreamId,
    /// `rtsp://host[:port]/path`, without user name and password.
    pub url: Url,
    /// User name and password, if the camera wants them.
    pub credentials: Option<Credentials>,
    /// How the camera shall send.
    pub transport: TransportChoice,
    /// Take the camera's sound along, if it is AAC or G.711.
    pub audio: bool,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Seeds the jitter between attempts; different cameras want different seeds.
    pub seed: u64,
}

impl Settings {
    /// The camera's host as the user wrote it, for sentences.
    pub(super) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    /// The RTSP port.
    pub(super) fn port(&self) -> u16 {
        self.url.port().unwrap_or(554)
    }

    /// The path as it may be shown: without a query, and with passwords masked that some cameras want inside it.
    pub(super) fn shown_path(&self) -> String {
        masked(self.url.path())
    }
}

/// A camera's address as it may be shown and logged: without user, query, and passwords inside the path.
pub fn shown_url(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), masked(url.path()))
}

/// `user=admin_password=secret_channel=1` is a path of some cameras: shows no more than the name of such a value.
fn masked(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    let start =
        ["password=", "passwd=", "pass=", "pwd="].iter().filter_map(|key| Some(lower.find(key)? + key.len())).min();
    let Some(start) = start else { return path.to_owned() };
    let (kept, secret) = path.split_at(start);
    let end = secret.find(['&', '_', '/', ';']).unwrap_or(secret.len());
    format!("{kept}***{}", masked(&secret[end..]))
}

/// User name and password. Its `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password, any characters.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// How the camera shall send its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// TCP; UDP when the camera refuses TCP (RTSP 461).
    #[default]
    Auto,
    /// Inside the RTSP connection.
    Tcp,
    /// UDP, without retransmission.
    Udp,
}

/// How the camera sends its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Inside the RTSP connection.
    Tcp,
    /// UDP, without retransmission.
    Udp,
}

impl Transport {
    /// `tcp` or `udp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Time limits of one camera's conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the TCP connection stands.
    pub connect: Duration,
    /// Until each answer: DESCRIBE, SETUP, PLAY.
    pub answer: Duration,
    /// From PLAY to the first picture.
    pub first_picture: Duration,
    /// Without a picture afterwards.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            first_picture: Duration::from_secs(5),
            silence: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_addresses_keep_no_secret() {
        let url = |text| shown_url(&Url::parse(text).unwrap());
        assert_eq!(url("rtsp://admin:s3cret@10.0.0.5:8554/live?pwd=s3cret"), "rtsp://10.0.0.5:8554/live");
        assert_eq!(
            url("rtsp://10.0.0.5/user=admin_password=s3cret_channel=1_stream=0.sdp"),
            "rtsp://10.0.0.5/user=admin_password=***_channel=1_stream=0.sdp"
        );
        assert_eq!(url("rtsp://[fe80::1]/Pass=a/pwd=b"), "rtsp://[fe80::1]/Pass=***/pwd=***");
        assert_eq!(url("rtsp://10.0.0.5/cam/realmonitor"), "rtsp://10.0.0.5/cam/realmonitor");
    }

    #[test]
    fn debug_prints_no_credentials() {
        let credentials = Credentials { username: "admin".into(), password: "s3cret".into() };
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }
}
