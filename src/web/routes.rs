//! A request and a snapshot in, a response out: the route table, who may, and what each route answers. Pure.

use super::answer::{self, Coding, Headers};
use super::http::{Method, Request, Response, Until};
use super::metrics::Sample;
use super::{api, delivery, metrics, page, whep};
use crate::control::{CameraStatus, Snapshot};
use crate::media::StreamId;

/// What the routes need to know besides the snapshot.
#[derive(Clone, Debug, Default)]
pub struct RouteSettings {
    /// `[hls] enable_compression`: gzip playlists and JSON for clients that accept it.
    pub compression: bool,
}

/// Answers `request` from `snapshot`; `gate` is what `/metrics` shows besides it.
///
/// The rules, in this order:
/// 1. The path names a route, or 404. Every method of a route that is not listed is 405 with `Allow`.
///    A HEAD gets GET's answer; the server drops the body. OPTIONS under `/hls` and `/whep` is 204, the preflight of a
///    page from elsewhere.
/// 2. `authorise` says whether this client may.
/// 3. With HLS off, everything under `/hls` and `/api/v1/hls` is 503 "HLS is not enabled".
/// 4. A stream that is not configured is 404.
/// 5. A playlist is 200 while it is live ([`CameraStatus::live_playlist`]): the camera streams, or only just failed.
/// 6. Else, the first time, the gate shall wait ([`Response::WaitFor`]) if that can help; after the wait, or when an
///    always-on camera has failed, it is 503 with `Retry-After` and the cause.
/// 7. A segment is named to the gate, which has its bytes or answers 404.
/// 8. `/whep` has rules of its own: [`whep::endpoint`], [`whep::session`].
///
/// Errors are `{"error": sentence}`, with `code` when the cause has one, and are never cached. Playlists are
/// `no-cache`, segments immutable for the length of the window, so that a cache may stand in front. Everything under
/// `/hls` and `/whep` may be used by other sites (CORS `*`), and nothing else: `/api` tells who watches, and how to end it.
pub fn respond(request: &Request, snapshot: &Snapshot, gate: &[Sample], settings: &RouteSettings) -> Response {
    let Some(route) = Route::of(&request.path) else {
        let headers = if request.path.starts_with("/whep/") { whep::headers() } else { Vec::new() };
        return answer::fault(404, "there is nothing at this path", None, headers);
    };
    if !route.methods().contains(&request.method) {
        let (mut headers, allow) = (route.headers(), route.allow());
        let sentence = format!("only {allow} can be used here");
        headers.push(("Allow", allow));
        return answer::fault(405, &sentence, None, headers);
    }
    if request.method == Method::Options {
        return if route.is_whep() { whep::preflight(route.allow()) } else { preflight() };
    }
    match authorise(&route, request) {
        Ok(()) => route.answer(request, snapshot, gate, settings),
        Err(denied) => match denied {},
    }
}

/// Why a client may not; nobody is refused until users exist.
enum Denied {}

/// Who may: everyone, until users exist. Every route passes here, so that then none is forgotten.
#[expect(clippy::unnecessary_wraps, reason = "refusals join with users")]
fn authorise(_route: &Route<'_>, _request: &Request) -> Result<(), Denied> {
    Ok(())
}

/// Every path there is.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    /// `/hls/:id/index.m3u8`
    Playlist(&'a str),
    /// `/hls/:id/<prefix>_main_seg<N>.ts`
    Segment(&'a str, &'a str),
    /// `/api/v1/hls/streams`
    Streams,
    /// `/api/v1/hls/streams/:id`
    Stream(&'a str),
    /// `/api/v1/hls/streams/:id/stats`
    Stats(&'a str),
    /// `/whep/:id`
    Whep(&'a str),
    /// `/whep/:id/:session`
    WhepSession(&'a str, &'a str),
    /// `/api/v1/webrtc/sessions`
    Sessions,
    /// `/api/v1/webrtc/sessions/:session`
    Session(&'a str),
    /// `/api/v1/status`
    Status,
    /// `/metrics`
    Metrics,
    /// `/healthz`
    Health,
    /// `/`
    Page,
    /// `/assets/<revision>/<name>`
    Asset(&'static page::File),
    /// `/favicon.ico`, `/favicon.svg`
    Favicon,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let mut parts = [""; 6];
        let mut count = 0;
        for part in path.split('/') {
            *parts.get_mut(count)? = part;
            count += 1;
        }
        match parts.get(..count)? {
            [""] => Some(Self::Page),
            ["hls", id, "index.m3u8"] => Some(Self::Playlist(id)),
            ["hls", id, file] if is_segment_name(file) => Some(Self::Segment(id, file)),
            ["api", "v1", "hls", "streams"] => Some(Self::Streams),
            ["api", "v1", "hls", "streams", id] => Some(Self::Stream(id)),
            ["api", "v1", "hls", "streams", id, "stats"] => Some(Self::Stats(id)),
            ["whep", id] => Some(Self::Whep(id)),
            ["whep", id, session] => Some(Self::WhepSession(id, session)),
            ["api", "v1", "webrtc", "sessions"] => Some(Self::Sessions),
            ["api", "v1", "webrtc", "sessions", session] => Some(Self::Session(session)),
            ["api", "v1", "status"] => Some(Self::Status),
            ["metrics"] => Some(Self::Metrics),
            ["healthz"] => Some(Self::Health),
            ["assets", revision, name] => page::asset(revision, name).map(Self::Asset),
            ["favicon.ico" | "favicon.svg"] => Some(Self::Favicon),
            _ => None,
        }
    }

    const fn is_hls(&self) -> bool {
        matches!(self, Self::Playlist(_) | Self::Segment(..))
    }

    const fn is_whep(&self) -> bool {
        matches!(self, Self::Whep(_) | Self::WhepSession(..))
    }

    const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Playlist(_) | Self::Segment(..) => &[Method::Get, Method::Head, Method::Options],
            Self::Whep(_) => &[Method::Get, Method::Head, Method::Post, Method::Options],
            Self::WhepSession(..) => &[Method::Get, Method::Head, Method::Delete, Method::Options],
            Self::Session(_) => &[Method::Delete],
            _ => &[Method::Get, Method::Head],
        }
    }

    fn allow(&self) -> String {
        let names: Vec<_> = self.methods().iter().map(|method| method.name()).collect();
        names.join(", ")
    }

    /// Headers that every answer of this route carries, also an error.
    fn headers(&self) -> Headers {
        match self {
            _ if self.is_hls() => cors(),
            _ if self.is_whep() => whep::headers(),
            _ => Vec::new(),
        }
    }

    fn answer(&self, request: &Request, snapshot: &Snapshot, gate: &[Sample], settings: &RouteSettings) -> Response {
        let coding = Coding::of(request, settings.compression);
        let stream = |id: &str, respond: &dyn Fn(&CameraStatus) -> Response| match find(snapshot, id) {
            Ok(camera) => respond(camera),
            Err(refusal) => answer::fault(refusal.status(), refusal.sentence(), None, self.headers()),
        };
        match self {
            Self::Playlist(id) => stream(id, &|camera| playlist(camera, request, coding)),
            Self::Segment(id, file) => stream(id, &|camera| segment(camera, file)),
            Self::Streams if snapshot.hls_enabled => api::streams(snapshot, coding),
            Self::Streams => answer::fault(Refusal::Off.status(), Refusal::Off.sentence(), None, Vec::new()),
            Self::Stream(id) => stream(id, &|camera| api::stream(camera, coding)),
            Self::Stats(id) => stream(id, &|camera| api::stats(camera, coding)),
            Self::Whep(id) => whep::endpoint(id, request, snapshot),
            Self::WhepSession(id, session) => whep::session(id, session, request, snapshot),
            Self::Sessions => api::sessions(snapshot, coding),
            Self::Session(session) => whep::end_session(session, snapshot),
            Self::Status => api::status(snapshot, coding),
            Self::Metrics => metrics::document(snapshot, gate, coding),
            Self::Health => answer::json(&serde_json::json!({ "status": "ok" }), coding),
            Self::Page => page::index(request),
            Self::Asset(file) => page::answer_asset(file, request),
            Self::Favicon => page::icon(request),
        }
    }
}

/// `<prefix>_main_seg<N>.ts`, in the alphabet and length the segment writer uses.
fn is_segment_name(name: &str) -> bool {
    let Some((prefix, number)) = name.strip_suffix(".ts").and_then(|stem| stem.split_once("_main_seg")) else {
        return false;
    };
    let all = |text: &str, test: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(test);
    name.len() <= 64 && all(prefix, u8::is_ascii_alphanumeric) && all(number, u8::is_ascii_digit)
}

/// Why there is no stream to answer from.
#[derive(Clone, Copy)]
enum Refusal {
    Off,
    Unknown,
}

impl Refusal {
    const fn status(self) -> u16 {
        match self {
            Self::Off => 503,
            Self::Unknown => 404,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Off => "HLS is not enabled",
            Self::Unknown => "there is no stream with this id",
        }
    }
}

fn find<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a CameraStatus, Refusal> {
    if !snapshot.hls_enabled {
        return Err(Refusal::Off);
    }
    snapshot.camera(id).map(AsRef::as_ref).ok_or(Refusal::Unknown)
}

fn playlist(camera: &CameraStatus, request: &Request, coding: Coding) -> Response {
    if let Some(playlist) = camera.live_playlist() {
        let mut headers = cors();
        headers.push(("Cache-Control", "no-cache".to_owned()));
        return answer::text(200, "application/vnd.apple.mpegurl", playlist.as_bytes().to_vec(), headers, coding);
    }
    delivery::wait_or_refuse(camera, request, Until::Playlist, cors())
}

fn segment(camera: &CameraStatus, file: &str) -> Response {
    let window = camera.hls.as_ref().map_or(0, |hls| hls.window_seconds).max(1);
    let mut headers = cors();
    headers.push(("Cache-Control", format!("public, max-age={window}, immutable")));
    headers.push(("Content-Type", "video/mp2t".to_owned()));
    headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
    let stream: StreamId = camera.id;
    Response::Segment { stream, file_name: file.to_owned(), headers }
}

fn preflight() -> Response {
    let mut headers = cors();
    headers.push(("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS".to_owned()));
    headers.push(("Access-Control-Allow-Headers", "Range, If-None-Match".to_owned()));
    headers.push(("Access-Control-Max-Age", "86400".to_owned()));
    Response::Full { status: 204, headers, body: Vec::new() }
}

fn cors() -> Headers {
    vec![
        ("Access-Control-Allow-Origin", "*".to_owned()),
        ("Access-Control-Expose-Headers", "Content-Length, Content-Range, Retry-After".to_owned()),
    ]
}

#[cfg(test)]
mod tests;
