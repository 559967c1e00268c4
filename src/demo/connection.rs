//! One RTSP connection: requests in, answers and the state of its one session out. RFC 2326 section 10.

use super::auth::Verdict;
use super::camera::{Event, OpenSession};
use super::request::{Request, Transport, transports};
use super::stream::{Packet, Stream};
use super::{Camera, Fault, Method, sdp};

/// Seconds without a word of the client after which its session ends.
pub(super) const SESSION_TIMEOUT: u64 = 60;

/// What follows an answered request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Send these bytes and go on.
    Send(Vec<u8>),
    /// Say nothing, now or ever.
    Hang,
}

/// Opens sockets for a track to the client's ports and returns the camera's own.
pub(super) type OpenUdp<'a> = &'a mut dyn FnMut(usize, [u16; 2]) -> Option<[u16; 2]>;

#[derive(Debug)]
pub(super) struct Connection {
    camera: Camera,
    nonce: String,
    stale_told: bool,
    session: Option<Session>,
}

#[derive(Debug)]
struct Session {
    id: String,
    stream: Stream,
    routes: [Option<Route>; 2],
    playing: bool,
    _place: OpenSession,
}

/// Where a track's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Channels of RTP and RTCP on the RTSP connection.
    Interleaved([u8; 2]),
    /// The UDP sockets opened for the track.
    Udp,
}

impl Connection {
    pub(super) fn new(camera: &Camera) -> Self {
        Self { camera: camera.clone(), nonce: random_hex(), stale_told: false, session: None }
    }

    /// The stream, while it plays.
    pub(super) fn playing(&mut self) -> Option<&mut Stream> {
        self.session.as_mut().filter(|session| session.playing).map(|session| &mut session.stream)
    }

    pub(super) fn route(&self, packet: &Packet) -> Option<Route> {
        *self.session.as_ref()?.routes.get(packet.track)?
    }

    pub(super) fn handle_request(&mut self, request: &Request<'_>, open_udp: OpenUdp<'_>) -> Answer {
        let faults = self.camera.faults();
        let reply = match self.reply(request, &faults, open_udp) {
            Ok(reply) => reply,
            Err(Refusal::Hang) => return Answer::Hang,
            Err(Refusal::Status(code)) => Reply { code, ..Reply::default() },
            Err(Refusal::Challenge { stale }) => {
                let challenge = self.camera.settings.auth.challenge(&self.nonce, stale);
                Reply { code: 401, headers: format!("WWW-Authenticate: {challenge}\r\n"), body: String::new() }
            }
        };
        Answer::Send(reply.to_bytes(request.header("CSeq")))
    }

    fn reply(&mut self, request: &Request<'_>, faults: &[Fault], open_udp: OpenUdp<'_>) -> Result<Reply, Refusal> {
        let method = request.method.ok_or(Refusal::Status(501))?;
        if method == Method::Describe {
            self.camera.count(Event::Describe);
        }
        self.fail(method, faults)?;
        if method == Method::Options {
            let methods = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN";
            return Ok(Reply::headers(format!("Public: {methods}\r\n")));
        }
        self.authorise(request, method, faults)?;
        match method {
            Method::Options | Method::GetParameter | Method::SetParameter => Ok(Reply::headers(self.session_header())),
            Method::Describe => self.describe(request, faults),
            Method::Setup => self.set_up(request, faults, open_udp),
            Method::Play => {
                let base = self.presentation(request);
                let session = self.named_session(request)?;
                session.playing = true;
                let mut headers = format!("Session: {}\r\nRange: npt=now-\r\n", session.id);
                if !faults.iter().any(|fault| matches!(fault, Fault::NoRtpInfo)) {
                    let tracks = session.stream.next_packets().map(|(track, sequence, timestamp)| {
                        format!("url={base}/trackID={track};seq={sequence};rtptime={timestamp}")
                    });
                    let tracks: Vec<String> = tracks.collect();
                    headers += &format!("RTP-Info: {}\r\n", tracks.join(","));
                }
                Ok(Reply::headers(headers))
            }
            Method::Pause => {
                self.named_session(request)?.playing = false;
                Ok(Reply::headers(self.session_header()))
            }
            Method::Teardown => {
                self.named_session(request)?;
                self.session = None;
                self.camera.count(Event::Teardown);
                Ok(Reply::default())
            }
        }
    }

    fn fail(&self, method: Method, faults: &[Fault]) -> Result<(), Refusal> {
        for fault in faults {
            match fault {
                Fault::Hang(at) if *at == method => return Err(Refusal::Hang),
                Fault::Status(at, 401) if *at == method => return Err(Refusal::Challenge { stale: false }),
                Fault::Status(at, code) if *at == method => return Err(Refusal::Status(*code)),
                _ => {}
            }
        }
        Ok(())
    }

    fn authorise(&mut self, request: &Request<'_>, method: Method, faults: &[Fault]) -> Result<(), Refusal> {
        let stale = faults.iter().any(|fault| matches!(fault, Fault::StaleNonce));
        if method == Method::Play && stale && !self.stale_told {
            self.stale_told = true;
            self.nonce = random_hex();
        }
        let verdict =
            self.camera.settings.auth.check(request.header("Authorization"), request.method_name, &self.nonce);
        match verdict {
            Verdict::Passed => Ok(()),
            Verdict::Missing => Err(Refusal::Challenge { stale: false }),
            Verdict::Stale => Err(Refusal::Challenge { stale: true }),
            Verdict::Wrong => {
                self.camera.count(Event::WrongCredentials);
                Err(Refusal::Challenge { stale: false })
            }
        }
    }

    fn describe(&self, request: &Request<'_>, faults: &[Fault]) -> Result<Reply, Refusal> {
        if request.path().trim_end_matches('/') != self.path() {
            return Err(Refusal::Status(404));
        }
        let base = self.presentation(request);
        let jpeg = faults.iter().any(|fault| matches!(fault, Fault::JpegInSdp));
        let sets = !faults.iter().any(|fault| matches!(fault, Fault::NoParameterSetsInSdp));
        let body = sdp::describe(&self.camera.settings.clip, &base, jpeg, sets);
        let headers = format!("Content-Base: {base}/\r\nContent-Type: application/sdp\r\n");
        Ok(Reply { code: 200, headers, body })
    }

    fn set_up(&mut self, request: &Request<'_>, faults: &[Fault], open_udp: OpenUdp<'_>) -> Result<Reply, Refusal> {
        let track = match request.path().strip_prefix(self.path()) {
            Some("/trackID=0") => 0,
            Some("/trackID=1") if self.camera.settings.clip.audio.is_some() => 1,
            _ => return Err(Refusal::Status(404)),
        };
        if self.playing().is_some() {
            return Err(Refusal::Status(455));
        }
        if self.session.is_some() && request.header("Session").is_some() {
            self.named_session(request)?;
        }
        let (tcp, udp) = (self.camera.settings.tcp, self.camera.settings.udp);
        let header = request.header("Transport").ok_or(Refusal::Status(400))?;
        let allowed = |transport: &Transport| if matches!(transport, Transport::Tcp(_)) { tcp } else { udp };
        let transport = transports(header).find(allowed).ok_or(Refusal::Status(461))?;
        let (route, transport) = match transport {
            Transport::Tcp(channels) => {
                let channels = channels.unwrap_or(if track == 0 { [0, 1] } else { [2, 3] });
                let text = format!("RTP/AVP/TCP;unicast;interleaved={}-{}", channels[0], channels[1]);
                (Route::Interleaved(channels), text)
            }
            Transport::Udp(client) => {
                let server = open_udp(track, client).ok_or(Refusal::Status(500))?;
                let ports = format!("client_port={}-{};server_port={}-{}", client[0], client[1], server[0], server[1]);
                (Route::Udp, format!("RTP/AVP;unicast;{ports}"))
            }
        };
        if self.session.is_none() {
            let place = self.camera.try_open_session().ok_or(Refusal::Status(453))?;
            let stream = Stream::new(&self.camera.settings.clip);
            self.session =
                Some(Session { id: random_hex(), stream, routes: [None, None], playing: false, _place: place });
        }
        let session = self.session.as_mut().ok_or(Refusal::Status(500))?;
        let jpeg = faults.iter().any(|fault| matches!(fault, Fault::JpegInSdp));
        let ssrc = session.stream.set_up(track, fastrand::u64(..), jpeg).ok_or(Refusal::Status(404))?;
        session.routes[track] = Some(route);
        let header = self.session_header();
        Ok(Reply::headers(format!("Transport: {transport};ssrc={ssrc:08X}\r\n{header}")))
    }

    fn path(&self) -> &str {
        self.camera.settings.path.trim_end_matches('/')
    }

    /// The presentation's URL as this client writes it, without a slash at its end.
    fn presentation(&self, request: &Request<'_>) -> String {
        let origin = request.url.strip_suffix(request.path()).unwrap_or(request.url);
        format!("{origin}{}", self.path())
    }

    fn named_session(&mut self, request: &Request<'_>) -> Result<&mut Session, Refusal> {
        let named = request.header("Session").map(|value| value.split(';').next().unwrap_or(value).trim());
        self.session.as_mut().filter(|session| named == Some(&session.id)).ok_or(Refusal::Status(454))
    }

    fn session_header(&self) -> String {
        self.session
            .as_ref()
            .map_or(String::new(), |session| format!("Session: {};timeout={SESSION_TIMEOUT}\r\n", session.id))
    }
}

enum Refusal {
    Status(u16),
    Challenge { stale: bool },
    Hang,
}

struct Reply {
    code: u16,
    /// Whole lines.
    headers: String,
    body: String,
}

impl Default for Reply {
    fn default() -> Self {
        Self { code: 200, headers: String::new(), body: String::new() }
    }
}

impl Reply {
    fn headers(headers: String) -> Self {
        Self { headers, ..Self::default() }
    }

    fn to_bytes(&self, cseq: Option<&str>) -> Vec<u8> {
        let reason = match self.code {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            453 => "Not Enough Bandwidth",
            454 => "Session Not Found",
            455 => "Method Not Valid in This State",
            461 => "Unsupported Transport",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            _ => "Refused",
        };
        let mut text = format!("RTSP/1.0 {} {reason}\r\n", self.code);
        text += &cseq.map_or(String::new(), |cseq| format!("CSeq: {cseq}\r\n"));
        text += &self.headers;
        if !self.body.is_empty() {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        text += &self.body;
        text.into_bytes()
    }
}

/// The answer to what is not RTSP.
pub(super) fn bad_request() -> Vec<u8> {
    Reply { code: 400, ..Reply::default() }.to_bytes(None)
}

/// Names a session, or a nonce: enough for a camera that shows a test clip, not a secret.
fn random_hex() -> String {
    format!("{:016X}", fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::request::{Input, parse};
    use crate::demo::{Auth, Settings};

    fn camera(settings: Settings) -> (Camera, Connection) {
        let camera = Camera::new(settings);
        let connection = Connection::new(&camera);
        (camera, connection)
    }

    /// The answer to a request with these header lines.
    fn ask(connection: &mut Connection, line: &str, headers: &str) -> String {
        let text = format!("{line} RTSP/1.0\r\nCSeq: 7\r\n{headers}\r\n");
        let Input::Request { request, .. } = parse(text.as_bytes()) else { panic!("{text}") };
        match connection.handle_request(&request, &mut |_, _| Some([6000, 6001])) {
            Answer::Send(bytes) => String::from_utf8(bytes).unwrap(),
            Answer::Hang => "hang".to_owned(),
        }
    }

    fn session(answer: &str) -> String {
        let (_, id) = answer.split_once("Session: ").unwrap();
        format!("Session: {}\r\n", id.split(';').next().unwrap())
    }

    #[test]
    fn a_client_sets_up_plays_pauses_and_tears_down() {
        let (camera, mut c) = camera(Settings { path: "/cam?channel=1".to_owned(), ..Settings::default() });
        assert!(ask(&mut c, "OPTIONS *", "").starts_with("RTSP/1.0 200 OK\r\nCSeq: 7\r\nPublic: OPTIONS, DESCRIBE, "));
        let described = ask(&mut c, "DESCRIBE rtsp://h:1/cam?channel=1", "");
        assert!(described.contains("a=control:rtsp://h:1/cam?channel=1/trackID=1\r\n"), "{described}");
        let tcp = "Transport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n";
        let set_up = ask(&mut c, "SETUP rtsp://h:1/cam?channel=1/trackID=0", tcp);
        assert!(set_up.contains("\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5;ssrc="), "{set_up}");
        assert!(set_up.contains(";timeout=60\r\n"));
        let id = session(&set_up);
        let udp = format!("{id}Transport: RTP/AVP;unicast;client_port=5000-5001\r\n");
        let set_up = ask(&mut c, "SETUP rtsp://h:1/cam?channel=1/trackID=1", &udp);
        assert!(set_up.contains("Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc="));
        assert!(ask(&mut c, "PLAY rtsp://h:1/cam?channel=1", "Session: other\r\n").starts_with("RTSP/1.0 454 "));
        assert!(c.playing().is_none());
        let play = ask(&mut c, "PLAY rtsp://h:1/cam?channel=1", &id);
        assert!(play.contains("\r\nRTP-Info: url=rtsp://h:1/cam?channel=1/trackID=0;seq="), "{play}");
        assert!(play.contains(",url=rtsp://h:1/cam?channel=1/trackID=1;seq=") && c.playing().is_some());
        assert!(ask(&mut c, "SETUP rtsp://h:1/cam?channel=1/trackID=0", tcp).starts_with("RTSP/1.0 455 "));
        ask(&mut c, "PAUSE rtsp://h:1/cam?channel=1", &id);
        assert!(c.playing().is_none());
        assert_eq!((camera.counters().open_sessions, camera.counters().sessions), (1, 1));
        assert_eq!(ask(&mut c, "TEARDOWN rtsp://h:1/cam?channel=1", &id), "RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\n");
        assert!(ask(&mut c, "TEARDOWN rtsp://h:1/cam?channel=1", &id).starts_with("RTSP/1.0 454 "));
        let after = camera.counters();
        assert_eq!((after.open_sessions, after.most_sessions, after.teardowns, after.describes), (0, 1, 1, 1));
    }

    #[test]
    fn what_is_refused_says_why() {
        let (camera, mut c) = camera(Settings { tcp: false, max_sessions: 1, ..Settings::default() });
        let mut starts = |line: &str, headers: &str, with: &str| {
            let answer = ask(&mut c, line, headers);
            assert!(answer.starts_with(with), "{line}: {answer}");
        };
        starts("DESCRIBE rtsp://h/live", "", "RTSP/1.0 404 Not Found\r\nCSeq: 7\r\n\r\n");
        starts("SETUP rtsp://h/demo/trackID=2", "", "RTSP/1.0 404 ");
        starts("SETUP rtsp://h/demo/trackID=0", "", "RTSP/1.0 400 ");
        starts("SETUP rtsp://h/demo/trackID=0", "Transport: RTP/AVP/TCP\r\n", "RTSP/1.0 461 Unsupported Transport");
        starts("RECORD rtsp://h/demo", "", "RTSP/1.0 501 ");
        let udp = "Transport: RTP/AVP;client_port=5000-5001\r\n";
        starts("SETUP rtsp://h/demo/trackID=0", udp, "RTSP/1.0 200 ");
        let mut second = Connection::new(&camera);
        assert!(ask(&mut second, "SETUP rtsp://h/demo/trackID=0", udp).starts_with("RTSP/1.0 453 "));
        drop(c);
        assert!(ask(&mut second, "SETUP rtsp://h/demo/trackID=0", udp).starts_with("RTSP/1.0 200 "));
        assert_eq!((camera.counters().sessions, camera.counters().most_sessions), (2, 1));
    }

    #[test]
    fn faults_answer_in_place_of_the_camera() {
        let (camera, mut c) = camera(Settings::default());
        camera.set_faults([Fault::Status(Method::Describe, 503), Fault::Hang(Method::Play)]);
        assert!(ask(&mut c, "DESCRIBE rtsp://h/demo", "").starts_with("RTSP/1.0 503 Service Unavailable\r\n"));
        assert_eq!(ask(&mut c, "PLAY rtsp://h/demo", ""), "hang");
        camera.set_faults([Fault::Status(Method::Describe, 401)]);
        assert!(ask(&mut c, "DESCRIBE rtsp://h/demo", "").contains("\r\nWWW-Authenticate: Digest realm="));
        camera.set_faults([Fault::NoRtpInfo]);
        let set_up = ask(&mut c, "SETUP rtsp://h/demo/trackID=0", "Transport: RTP/AVP/TCP\r\n");
        assert!(!ask(&mut c, "PLAY rtsp://h/demo", &session(&set_up)).contains("RTP-Info"));
    }

    #[test]
    fn without_the_password_nothing_but_options_is_answered() {
        let auth = Auth::Basic { user: "a".to_owned(), password: "b".to_owned() };
        let (camera, mut c) = camera(Settings { auth, ..Settings::default() });
        assert!(ask(&mut c, "OPTIONS *", "").starts_with("RTSP/1.0 200 "));
        assert!(ask(&mut c, "DESCRIBE rtsp://h/demo", "").starts_with("RTSP/1.0 401 Unauthorized\r\n"));
        assert!(ask(&mut c, "DESCRIBE rtsp://h/demo", "Authorization: Basic YTpi\r\n").starts_with("RTSP/1.0 200 "));
        assert!(
            ask(&mut c, "SETUP rtsp://h/demo/trackID=0", "Authorization: Basic YTpj\r\n").starts_with("RTSP/1.0 401")
        );
        assert_eq!(camera.counters().wrong_credentials, 1);
    }
}
