//! A camera that does not deliver in, what its viewer gets out: the gate shall wait for it, or 503 with the cause.

use std::borrow::Cow;

use super::answer::{self, Headers};
use super::http::{Request, Response, Until};
use crate::control::{CameraState, CameraStatus};

/// Seconds after which a client may ask again for a camera that does not deliver.
const RETRY_AFTER: u64 = 2;
/// A key frame interval from which it is named as the cause of a missing playlist, seconds.
const LONG_GOP: f64 = 4.0;

/// The gate shall wait, the first time and if that can help: the camera sleeps, starts, streams without what is wanted, or
/// is on demand (so that asking counts as demand). After the wait, or when an always-on camera has failed, see [`refuse`].
pub(super) fn wait_or_refuse(camera: &CameraStatus, request: &Request, until: Until, headers: Headers) -> Response {
    let failed = camera.state == CameraState::Waiting && !camera.on_demand;
    if !request.waited && !failed {
        return Response::WaitFor { stream: camera.id, until };
    }
    refuse(camera, until, headers)
}

/// 503 with `Retry-After`, the cause and its code.
pub(super) fn refuse(camera: &CameraStatus, until: Until, mut headers: Headers) -> Response {
    let (cause, code) = cause(camera, until);
    headers.push(("Retry-After", RETRY_AFTER.to_string()));
    answer::fault(503, &format!("camera {}: {cause}", camera.id), code, headers)
}

/// Why a camera has no playlist or no pictures, and the fault's code.
fn cause(camera: &CameraStatus, until: Until) -> (Cow<'_, str>, Option<&'static str>) {
    let hls_error = camera.hls.as_ref().and_then(|hls| hls.last_error.as_ref());
    let hls_error = hls_error.filter(|_| until == Until::Playlist);
    let far_apart = camera.warnings.iter().find(|warning| matches!(warning.code, "long_gop" | "no_key_frame"));
    if let Some(fault) = camera.cause().or(far_apart).or(hls_error) {
        return (Cow::Borrowed(&fault.sentence), Some(fault.code));
    }
    let interval = camera.video.as_ref().and_then(|video| video.gop_seconds);
    // While it starts, the last key frame is one of its last time awake.
    let age = camera.last_key_frame_age.filter(|_| camera.state == CameraState::Streaming);
    if let Some(seconds) = interval.or(age).filter(|seconds| *seconds >= LONG_GOP) {
        let only = if interval.is_some() { "key frame only every" } else { "no key frame for" };
        return (format!("{only} {seconds:.0} s: set it to 1 or 2 s in the camera").into(), Some("long_gop"));
    }
    let sentence = match (camera.state, until) {
        (CameraState::Sleeping, _) => "it sleeps and has not been woken yet",
        (CameraState::Starting, _) => "it is still starting",
        (CameraState::Streaming, Until::Playlist) => "its first segment is not complete yet",
        (CameraState::Streaming, Until::Pictures) => "its first key frame has not arrived yet",
        (CameraState::Waiting, _) => "it does not deliver; the next attempt follows",
    };
    (sentence.into(), None)
}
