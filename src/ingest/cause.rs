//! Why a camera does not deliver: what retina reports in, a sentence for a technician out. No credentials in any.

use std::fmt;

use nix::errno::Errno;

use super::settings::{Settings, Transport};

/// The step of the conversation with a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connecting and asking what the camera sends.
    Describe,
    /// Setting a stream up.
    Setup,
    /// Starting the streams.
    Play,
    /// Receiving.
    Stream,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Describe => "DESCRIBE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Stream => "streaming",
        })
    }
}

/// Why a camera does not deliver. Displays as one sentence; `code` and `args` are the same for translations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The address does not start with `rtsp://`.
    #[error("{scheme}:// addresses are not supported: use the camera's rtsp:// address")]
    SchemeUnsupported {
        /// What it starts with.
        scheme: String,
    },
    /// DNS knows no such name.
    #[error("the name {host} does not resolve: check it, or use the camera's IP address")]
    NameUnknown {
        /// The name.
        host: String,
    },
    /// EHOSTUNREACH, ENETUNREACH.
    #[error("no route to {host}: check the address, the cable and the network")]
    NoRoute {
        /// The camera.
        host: String,
    },
    /// Nothing answers the TCP connection.
    #[error("{host} does not answer on port {port}: check that the camera is on, and its address")]
    NoAnswer {
        /// The camera.
        host: String,
        /// The RTSP port.
        port: u16,
    },
    /// The port is closed.
    #[error("connection refused by {host} on port {port}: check the RTSP port, and that RTSP is enabled in the camera")]
    ConnectionRefused {
        /// The camera.
        host: String,
        /// The RTSP port.
        port: u16,
    },
    /// Connecting failed in a way that has no sentence of its own.
    #[error("connecting to {host} failed: {detail}")]
    ConnectFailed {
        /// The camera.
        host: String,
        /// The operating system's words.
        detail: String,
    },
    /// Connected, but what answers does not speak RTSP (a web server, TLS).
    #[error("port {port} of {host} does not speak RTSP: check the port (usually 554)")]
    NotRtsp {
        /// The camera.
        host: String,
        /// The port.
        port: u16,
    },
    /// Connected, but a request stays without an answer.
    #[error("{host} does not answer {step}: restart the camera if this stays")]
    NoReply {
        /// The camera.
        host: String,
        /// The request.
        step: Step,
    },
    /// The camera ended the connection.
    #[error("{host} closed the connection during {step}")]
    ConnectionClosed {
        /// The camera.
        host: String,
        /// When.
        step: Step,
    },
    /// 401, and no password is configured.
    #[error("{host} asks for a user name and a password: enter them in the configuration")]
    PasswordNeeded {
        /// The camera.
        host: String,
    },
    /// 401 with credentials.
    #[error("password refused by {host}{}", more_tries(*tries_left))]
    PasswordRefused {
        /// The camera.
        host: String,
        /// Attempts before it is only one every 5 minutes; absent where none follows.
        tries_left: Option<u32>,
    },
    /// The camera wants a way to log in that is neither Digest nor Basic.
    #[error("{host} asks for a login that is not supported: allow Digest or Basic authentication in the camera")]
    LoginUnsupported {
        /// The camera.
        host: String,
    },
    /// 403.
    #[error("{host} forbids this stream (403): check the user's rights in the camera")]
    Forbidden {
        /// The camera.
        host: String,
    },
    /// 404.
    #[error("path {path} not found on the camera (404)")]
    PathNotFound {
        /// The path asked for.
        path: String,
    },
    /// 453, 503.
    #[error("{host} has no session left ({status}): close other viewers of this stream, or use its second stream")]
    SessionLimit {
        /// The camera.
        host: String,
        /// RTSP status.
        status: u16,
    },
    /// 461.
    #[error("{host} does not send by {}: choose another transport for this camera", transport.name().to_uppercase())]
    TransportRefused {
        /// The camera.
        host: String,
        /// What it refused.
        transport: Transport,
    },
    /// Any other RTSP status.
    #[error("{host} answers {step} with status {status}")]
    Status {
        /// The camera.
        host: String,
        /// The request.
        step: Step,
        /// RTSP status.
        status: u16,
    },
    /// An answer that makes no sense.
    #[error("{host} answers {step} in a way that cannot be understood: {detail}")]
    BadAnswer {
        /// The camera.
        host: String,
        /// The request.
        step: Step,
        /// What is wrong with it.
        detail: String,
    },
    /// The description names no video.
    #[error("{host} offers no video on this path")]
    NoVideo {
        /// The camera.
        host: String,
    },
    /// Video of a codec that is not carried.
    #[error("sends {codec}: H.264 or H.265 is needed, choose it in the camera")]
    VideoUnsupported {
        /// The camera's name for the codec.
        codec: String,
    },
    /// Connected and started, but nothing to see.
    #[error("connected but no picture in {seconds} s")]
    NoPicture {
        /// The time limit.
        seconds: u64,
    },
    /// Connected and started by UDP, but nothing arrives at all.
    #[error("no packets arrived by UDP in {seconds} s: is a firewall between?")]
    NoUdpPackets {
        /// The time limit.
        seconds: u64,
    },
    /// Pictures stopped.
    #[error("silent for {seconds} s")]
    Silent {
        /// The time limit.
        seconds: u64,
    },
    /// What arrives contradicts the protocol.
    #[error("{host} sends a broken stream: {detail}")]
    BrokenStream {
        /// The camera.
        host: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Cause {
    /// Stable identifier, for translations.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SchemeUnsupported { .. } => "scheme_unsupported",
            Self::NameUnknown { .. } => "name_unknown",
            Self::NoRoute { .. } => "no_route",
            Self::NoAnswer { .. } => "no_answer",
            Self::ConnectionRefused { .. } => "connection_refused",
            Self::ConnectFailed { .. } => "connect_failed",
            Self::NotRtsp { .. } => "not_rtsp",
            Self::NoReply { .. } => "no_reply",
            Self::ConnectionClosed { .. } => "connection_closed",
            Self::PasswordNeeded { .. } => "password_needed",
            Self::PasswordRefused { .. } => "password_refused",
            Self::LoginUnsupported { .. } => "login_unsupported",
            Self::Forbidden { .. } => "forbidden",
            Self::PathNotFound { .. } => "path_not_found",
            Self::SessionLimit { .. } => "session_limit",
            Self::TransportRefused { .. } => "transport_refused",
            Self::Status { .. } => "status",
            Self::BadAnswer { .. } => "bad_answer",
            Self::NoVideo { .. } => "no_video",
            Self::VideoUnsupported { .. } => "video_unsupported",
            Self::NoPicture { .. } => "no_picture",
            Self::NoUdpPackets { .. } => "no_udp_packets",
            Self::Silent { .. } => "silent",
            Self::BrokenStream { .. } => "broken_stream",
        }
    }

    /// The values in the sentence, by name.
    pub fn args(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::SchemeUnsupported { scheme } => vec![("scheme", scheme.clone())],
            Self::NameUnknown { host }
            | Self::NoRoute { host }
            | Self::PasswordNeeded { host }
            | Self::LoginUnsupported { host }
            | Self::Forbidden { host }
            | Self::NoVideo { host } => vec![("host", host.clone())],
            Self::NoAnswer { host, port } | Self::ConnectionRefused { host, port } | Self::NotRtsp { host, port } => {
                vec![("host", host.clone()), ("port", port.to_string())]
            }
            Self::ConnectFailed { host, detail } | Self::BrokenStream { host, detail } => {
                vec![("host", host.clone()), ("detail", detail.clone())]
            }
            Self::NoReply { host, step } | Self::ConnectionClosed { host, step } => {
                vec![("host", host.clone()), ("step", step.to_string())]
            }
            Self::PasswordRefused { host, tries_left } => {
                let left = tries_left.map(|left| ("tries_left", left.to_string()));
                [("host", host.clone())].into_iter().chain(left).collect()
            }
            Self::PathNotFound { path } => vec![("path", path.clone())],
            Self::SessionLimit { host, status } => vec![("host", host.clone()), ("status", status.to_string())],
            Self::TransportRefused { host, transport } => {
                vec![("host", host.clone()), ("transport", transport.name().to_owned())]
            }
            Self::Status { host, step, status } => {
                vec![("host", host.clone()), ("step", step.to_string()), ("status", status.to_string())]
            }
            Self::BadAnswer { host, step, detail } => {
                vec![("host", host.clone()), ("step", step.to_string()), ("detail", detail.clone())]
            }
            Self::VideoUnsupported { codec } => vec![("codec", codec.clone())],
            Self::NoPicture { seconds } | Self::NoUdpPackets { seconds } | Self::Silent { seconds } => {
                vec![("seconds", seconds.to_string())]
            }
        }
    }

    /// The cause behind an error of retina: its status if it has one, else its text, since its kinds are private
    /// (`retina::Error` of 0.4.21; each phrase is quoted from its source or from the standard library's).
    pub(super) fn of(settings: &Settings, step: Step, transport: Transport, status: Option<u16>, text: &str) -> Self {
        let (host, port) = (settings.host(), settings.port());
        match status {
            Some(401) if settings.credentials.is_none() => Self::PasswordNeeded { host },
            Some(401) if text.contains("Can't understand WWW-Authenticate") => Self::LoginUnsupported { host },
            Some(401) if text.contains("without WWW-Authenticate") => Self::LoginUnsupported { host },
            // Past DESCRIBE the password was right: a 401 is a camera that changed its nonce. Counted as a failure,
            // not as a refusal.
            Some(401) if step == Step::Describe => Self::PasswordRefused { host, tries_left: None },
            Some(403) => Self::Forbidden { host },
            Some(404) => Self::PathNotFound { path: settings.shown_path() },
            Some(status @ (453 | 503)) => Self::SessionLimit { host, status },
            Some(461) => Self::TransportRefused { host, transport },
            Some(status) if !(200..300).contains(&status) => Self::Status { host, step, status },
            Some(_) => Self::BadAnswer { host, step, detail: detail(text) },
            None if text.contains("Unable to connect to RTSP server") => Self::of_connect(settings, text),
            None if has_errno(text, Errno::ECONNRESET)
                || has_errno(text, Errno::EPIPE)
                || text.contains("EOF while expecting response") =>
            {
                Self::ConnectionClosed { host, step }
            }
            None if text.contains("RTSP framing error") && step == Step::Describe => Self::NotRtsp { host, port },
            None if step == Step::Stream => Self::BrokenStream { host, detail: detail(text) },
            None => Self::BadAnswer { host, step, detail: detail(text) },
        }
    }

    fn of_connect(settings: &Settings, text: &str) -> Self {
        let (host, port) = (settings.host(), settings.port());
        if text.contains("failed to lookup address information") || text.contains("could not resolve to any address") {
            Self::NameUnknown { host }
        } else if has_errno(text, Errno::ECONNREFUSED) {
            Self::ConnectionRefused { host, port }
        } else if has_errno(text, Errno::EHOSTUNREACH) || has_errno(text, Errno::ENETUNREACH) {
            Self::NoRoute { host }
        } else if has_errno(text, Errno::ETIMEDOUT) {
            Self::NoAnswer { host, port }
        } else {
            Self::ConnectFailed { host, detail: detail(text.trim_start_matches("Unable to connect to RTSP server: ")) }
        }
    }

    /// What is wrong with the camera's G.711, if that ended the session: retina takes no packet without samples, which some
    /// devices send to keep a connection open.
    pub(super) fn broken_g711(&self) -> Option<&str> {
        match self {
            Self::BrokenStream { detail, .. } if detail.contains("payload of 8-bit audio samples") => Some(detail),
            _ => None,
        }
    }

    /// True for the answers that count towards locking an account.
    pub(super) const fn is_refused_login(&self) -> bool {
        matches!(self, Self::PasswordRefused { .. } | Self::PasswordNeeded { .. } | Self::LoginUnsupported { .. })
    }
}

fn more_tries(left: Option<u32>) -> String {
    match left {
        None => String::new(),
        Some(0) => "; trying every 5 minutes, because cameras lock accounts".to_owned(),
        Some(left) => format!("; tries left: {left}"),
    }
}

/// `std::io::Error` prints every operating system error with its number.
fn has_errno(text: &str, errno: Errno) -> bool {
    text.contains(&format!("(os error {})", errno as i32))
}

/// The first line of a foreign text: printable, and at most 160 characters.
pub(super) fn detail(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{Credentials, Timeouts, TransportChoice};
    use crate::media::StreamId;

    fn settings() -> Settings {
        Settings {
            id: StreamId::parse("cam").unwrap(),
            url: "rtsp://10.0.0.5/live2?password=s3cret".parse().unwrap(),
            credentials: Some(Credentials { username: "admin".into(), password: "s3cret".into() }),
            transport: TransportChoice::Auto,
            audio: true,
            timeouts: Timeouts::default(),
            seed: 0,
        }
    }

    fn of(step: Step, status: Option<u16>, text: &str) -> Cause {
        Cause::of(&settings(), step, Transport::Tcp, status, text)
    }

    #[test]
    fn statuses_are_told_apart() {
        let code = |step, status| of(step, Some(status), "").code();
        assert_eq!(code(Step::Describe, 401), "password_refused");
        assert_eq!(code(Step::Play, 401), "status", "a stale nonce locks no account");
        assert_eq!(code(Step::Describe, 403), "forbidden");
        assert_eq!(of(Step::Describe, Some(404), "").to_string(), "path /live2 not found on the camera (404)");
        assert_eq!(code(Step::Setup, 453), "session_limit");
        assert_eq!(code(Step::Setup, 461), "transport_refused");
        assert_eq!(code(Step::Setup, 503), "session_limit");
        assert_eq!(code(Step::Play, 500), "status");
        assert_eq!(code(Step::Describe, 200), "bad_answer");
        let login = "401 Unauthorized response to DESCRIBE CSeq=1: Can't understand WWW-Authenticate header: no";
        assert_eq!(of(Step::Describe, Some(401), login).code(), "login_unsupported");
        let open = Settings { credentials: None, ..settings() };
        assert_eq!(Cause::of(&open, Step::Describe, Transport::Tcp, Some(401), "").code(), "password_needed");
    }

    #[test]
    fn texts_of_retina_and_of_the_system_are_told_apart() {
        let connect =
            |text: &str| of(Step::Describe, None, &format!("Unable to connect to RTSP server: {text}")).code();
        assert_eq!(connect("Connection refused (os error 111)"), "connection_refused");
        assert_eq!(connect("No route to host (os error 113)"), "no_route");
        assert_eq!(connect("Network is unreachable (os error 101)"), "no_route");
        assert_eq!(connect("Connection timed out (os error 110)"), "no_answer");
        assert_eq!(connect("failed to lookup address information: Name or service not known"), "name_unknown");
        assert_eq!(connect("Too many open files (os error 24)"), "connect_failed");
        let reset = "Error reading from RTSP peer: Connection reset by peer (os error 104)\n\nconn: x";
        assert_eq!(of(Step::Stream, None, reset).code(), "connection_closed");
        let framing = "RTSP framing error: Invalid RTSP message: x; buffered:\nHTTP/1.1 400";
        assert_eq!(of(Step::Describe, None, framing).code(), "not_rtsp");
        assert_eq!(
            of(Step::Stream, None, "wrong ssrc after 5 RTP pkts\n\nconn: 1.2.3.4").to_string(),
            "10.0.0.5 sends a broken stream: wrong ssrc after 5 RTP pkts"
        );
    }

    #[test]
    fn a_packet_of_g711_without_samples_is_told_from_other_breaks() {
        let empty = of(Step::Stream, None, "invalid length 0 for payload of 8-bit audio samples\n\nconn: 1.2.3.4");
        assert_eq!(empty.broken_g711(), Some("invalid length 0 for payload of 8-bit audio samples"));
        assert_eq!(of(Step::Stream, None, "wrong ssrc after 5 RTP pkts").broken_g711(), None);
    }

    #[test]
    fn foreign_text_is_cut_to_one_printable_line() {
        assert_eq!(detail("a\u{1b}[31mb\rc\nd"), "a[31mbc");
        assert_eq!(detail(&"x".repeat(1000)).len(), 160);
        assert_eq!(detail(""), "");
    }
}
