//! WHEP: requests under `/whep` in, an answer or a question to the media thread out; its reply in, the answer out. Pure.
//! draft-ietf-wish-whep-03, whose sections are named below.

use super::answer::{self, Headers};
use super::delivery;
use super::http::{Ask, Method, Request, Response, Until};
use crate::control::{
    Answer, CameraState, CameraStatus, Offer, Refused, SessionId, Snapshot, WatchRefusal, WebRtcStatus,
};
use crate::media::StreamId;

/// The media type of offers and answers.
const SDP: &str = "application/sdp";
/// Seconds after which a client may ask again, when the gateway or the camera is at a limit.
const RETRY_AFTER: u64 = 2;
/// The same while WebRTC is off: somebody must change the configuration first.
const RETRY_AFTER_OFF: u64 = 60;

/// `/whep/:id`, the endpoint: POST opens a session (section 4.2).
///
/// The rules, in this order, after those of every route:
/// 1. A POST is SDP, or 415. The media type's case and parameters do not matter.
/// 2. A camera that is not configured is 404; with WebRTC off, every camera is 503.
/// 3. GET and HEAD are 204: there is nothing to see, which is not an error (section 4.1).
/// 4. A body that is empty or no text is 400. (The draft knows no offers by the server to an empty POST any more.)
/// 5. While the camera does not stream, the gate shall wait once; then, or when an always-on camera has failed, it is 503
///    with the cause. HLS does not matter here: a camera without a playlist can be watched.
/// 6. A camera that no browser can play is 406, in JSON; never with a counter-offer, which would have a `Location`.
/// 7. Else the media thread is asked.
///
/// The draft's 409 for a stream that is not live (section 4.2.8) is 503 here, as it is for playlists.
pub(super) fn endpoint(id: &str, request: &Request, snapshot: &Snapshot) -> Response {
    let posted = request.method == Method::Post;
    if posted && !is_sdp(request.content_type.as_deref()) {
        let mut headers = headers();
        headers.push(("Accept-Post", SDP.to_owned()));
        return answer::fault(415, "send the SDP offer with Content-Type: application/sdp", None, headers);
    }
    let camera = match find(id, snapshot) {
        Ok((camera, _)) => camera,
        Err(refusal) => return refuse(&refusal.into(), headers()),
    };
    if !posted {
        return nothing_to_see();
    }
    let sdp = match offer(&request.body) {
        Ok(sdp) => sdp,
        Err(refusal) => return refuse(&refusal.into(), headers()),
    };
    if camera.state != CameraState::Streaming {
        return delivery::wait_or_refuse(camera, request, Until::Pictures, headers());
    }
    if let Some(problem) = camera.webrtc.as_ref().and_then(|webrtc| webrtc.problem.as_ref()) {
        let refusal = WatchRefusal::NotPlayable { code: problem.code, sentence: problem.sentence.clone() };
        return refuse(&refusal.into(), headers());
    }
    let sdp = sdp.to_owned();
    Response::Ask(Ask::Watch(Offer { camera: camera.id, sdp, arrived_at: request.arrived_at }))
}

/// `/whep/:id/:session`: DELETE ends a session (section 4.3), whatever `If-Match` says (section 4.4.1). GET and HEAD are 204
/// while there is one (section 4.1). PATCH is not a method of it: neither trickle ICE nor ICE restarts are needed with
/// one ICE-lite agent on fixed ports (sections 4.4 and 4.5.3: both are optional).
pub(super) fn session(id: &str, session: &str, request: &Request, snapshot: &Snapshot) -> Response {
    let (camera, webrtc) = match find(id, snapshot) {
        Ok(found) => found,
        Err(refusal) => return refuse(&refusal.into(), headers()),
    };
    let Some(session) = SessionId::parse(session) else { return no_session(headers()) };
    if request.method == Method::Delete {
        return Response::Ask(Ask::HangUp { camera: Some(camera.id), session });
    }
    let exists = webrtc.sessions.iter().any(|known| known.session == session && known.camera == camera.id);
    if exists { nothing_to_see() } else { no_session(headers()) }
}

/// `DELETE /api/v1/webrtc/sessions/:session`: whichever camera it watches.
pub(super) fn end_session(session: &str, snapshot: &Snapshot) -> Response {
    if snapshot.webrtc.is_none() {
        return off(Vec::new());
    }
    match SessionId::parse(session) {
        Some(session) => Response::Ask(Ask::HangUp { camera: None, session }),
        None => no_session(Vec::new()),
    }
}

/// The answer when `/whep` is asked from another site what it may do; section 4.3 wants `Accept-Post`.
pub(super) fn preflight(allow: String) -> Response {
    let mut headers = headers();
    headers.push(("Access-Control-Allow-Methods", "POST, DELETE, PATCH, OPTIONS".to_owned()));
    headers.push(("Access-Control-Allow-Headers", "Content-Type, Authorization, If-Match".to_owned()));
    headers.push(("Access-Control-Max-Age", "86400".to_owned()));
    headers.push(("Accept-Post", SDP.to_owned()));
    headers.push(("Allow", allow));
    Response::Full { status: 204, headers, body: Vec::new() }
}

/// The headers of every answer under `/whep`, also of errors: without the last one, players on other sites could not read
/// the `Location` and never end their session.
pub(super) fn headers() -> Headers {
    vec![
        ("Access-Control-Allow-Origin", "*".to_owned()),
        ("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After".to_owned()),
    ]
}

/// 503 while WebRTC is off.
pub(super) fn off(headers: Headers) -> Response {
    refuse(&WatchRefusal::Off.into(), headers)
}

/// What an offer for `camera` leads to: 201 with the answer and the session's path (section 4.2.1), or the refusal.
/// `snapshot` is as of the reply.
pub(super) fn conclude_watch(
    camera: StreamId,
    reply: Result<Result<Answer, WatchRefusal>, Refused>,
    snapshot: &Snapshot,
) -> Response {
    let answer = match reply {
        Ok(Ok(answer)) => answer,
        Ok(Err(WatchRefusal::NotDelivering)) => {
            return match snapshot.camera(camera.as_str()) {
                Some(camera) => delivery::refuse(camera, Until::Pictures, headers()),
                None => refuse(&WatchRefusal::UnknownCamera.into(), headers()),
            };
        }
        Ok(Err(refusal)) => return refuse(&refusal.into(), headers()),
        Err(refused) => return refuse(&refused.into(), headers()),
    };
    let mut headers = headers();
    headers.push(("Location", format!("/whep/{camera}/{}", answer.session)));
    // Section 4.4.1: a strong tag of the ICE session, of which a session has one only.
    headers.push(("ETag", format!("\"{}\"", answer.session)));
    headers.push(("Cache-Control", "no-store".to_owned()));
    headers.push(("Content-Type", SDP.to_owned()));
    headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
    Response::Full { status: 201, headers, body: answer.sdp.into_bytes() }
}

/// What ending a session leads to: 200, or 404 when there was none. With a `camera` it was asked for under `/whep`.
pub(super) fn conclude_hang_up(camera: Option<StreamId>, reply: Result<bool, Refused>) -> Response {
    let mut headers = if camera.is_some() { headers() } else { Vec::new() };
    match reply {
        Ok(true) => {
            headers.push(("Cache-Control", "no-store".to_owned()));
            headers.push(("Content-Type", "application/json".to_owned()));
            Response::Full { status: 200, headers, body: br#"{"ended":true}"#.to_vec() }
        }
        Ok(false) => no_session(headers),
        Err(refused) => refuse(&refused.into(), headers),
    }
}

fn find<'a>(id: &str, snapshot: &'a Snapshot) -> Result<(&'a CameraStatus, &'a WebRtcStatus), WatchRefusal> {
    let camera = snapshot.camera(id).ok_or(WatchRefusal::UnknownCamera)?;
    let webrtc = snapshot.webrtc.as_ref().ok_or(WatchRefusal::Off)?;
    Ok((camera, webrtc))
}

/// RFC 9110 section 8.3.1.
fn is_sdp(content_type: Option<&str>) -> bool {
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(SDP)
}

fn offer(body: &[u8]) -> Result<&str, WatchRefusal> {
    match std::str::from_utf8(body) {
        Ok("") => Err(WatchRefusal::BadOffer("the body is empty".to_owned())),
        Ok(sdp) => Ok(sdp),
        Err(_) => Err(WatchRefusal::BadOffer("it is not UTF-8 text".to_owned())),
    }
}

fn nothing_to_see() -> Response {
    let mut headers = headers();
    headers.push(("Cache-Control", "no-store".to_owned()));
    Response::Full { status: 204, headers, body: Vec::new() }
}

fn no_session(headers: Headers) -> Response {
    answer::fault(404, "there is no session with this id", None, headers)
}

/// Why a question led to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The media thread refused.
    #[error(transparent)]
    Watch(#[from] WatchRefusal),
    /// It was not reached, or did not answer.
    #[error(transparent)]
    Control(#[from] Refused),
}

impl Failure {
    /// HTTP status, the error's stable code, and the seconds after which asking again makes sense.
    fn parts(&self) -> (u16, Option<&'static str>, Option<u64>) {
        match self {
            Self::Watch(WatchRefusal::Off) => (503, Some("webrtc_off"), Some(RETRY_AFTER_OFF)),
            Self::Watch(WatchRefusal::Failed(_)) => (503, Some("webrtc_failed"), Some(RETRY_AFTER)),
            Self::Watch(WatchRefusal::UnknownCamera) => (404, None, None),
            Self::Watch(WatchRefusal::BadOffer(_)) => (400, Some("bad_offer"), None),
            Self::Watch(WatchRefusal::NotPlayable { code, .. }) => (406, Some(code), None),
            Self::Watch(WatchRefusal::Full { .. }) => (503, Some("webrtc_full"), Some(RETRY_AFTER)),
            Self::Watch(WatchRefusal::NotDelivering) => (503, None, Some(RETRY_AFTER)),
            Self::Control(Refused::Busy | Refused::Stopping) => (503, None, Some(RETRY_AFTER)),
            Self::Control(Refused::TimedOut(_)) => (504, None, None),
        }
    }
}

fn refuse(failure: &Failure, mut headers: Headers) -> Response {
    let (status, code, retry_after) = failure.parts();
    headers.extend(retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
    answer::fault(status, &failure.to_string(), code, headers)
}

#[cfg(test)]
mod tests;
