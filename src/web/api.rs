//! A snapshot in, the JSON documents under `/api/v1` out. `docs/api.md` describes every field.

use serde::Serialize;

use super::answer::{self, Coding};
use super::http::Response;
use super::whep;
use crate::control::{AudioStatus, CameraState, CameraStatus, Fault, HlsStatus, SessionStatus, Snapshot, VideoStatus};
use crate::media::StreamId;

/// `GET /api/v1/status`: everything that is known.
pub(super) fn status(snapshot: &Snapshot, coding: Coding) -> Response {
    answer::json(snapshot, coding)
}

/// `GET /api/v1/hls/streams`: what can be watched, and where.
pub(super) fn streams(snapshot: &Snapshot, coding: Coding) -> Response {
    #[derive(Serialize)]
    struct Streams<'a> {
        streams: Vec<Stream<'a>>,
    }
    answer::json(&Streams { streams: snapshot.cameras.iter().map(|camera| Stream::of(camera)).collect() }, coding)
}

/// `GET /api/v1/hls/streams/:id`: one stream, and what is in it.
pub(super) fn stream(camera: &CameraStatus, coding: Coding) -> Response {
    #[derive(Serialize)]
    struct Details<'a> {
        #[serde(flatten)]
        stream: Stream<'a>,
        video: Option<&'a VideoStatus>,
        audio: Option<&'a AudioStatus>,
        bitrate: u64,
        last_key_frame_age: Option<f64>,
        segments: usize,
        target_duration: Option<u64>,
        window_seconds: u64,
        warnings: &'a [Fault],
    }
    let nothing = HlsStatus::default();
    let hls = camera.hls.as_ref().unwrap_or(&nothing);
    let details = Details {
        stream: Stream::of(camera),
        video: camera.video.as_ref(),
        audio: camera.audio.as_ref(),
        bitrate: camera.bitrate,
        last_key_frame_age: camera.last_key_frame_age,
        segments: hls.segments,
        target_duration: hls.target_duration,
        window_seconds: hls.window_seconds,
        warnings: &camera.warnings,
    };
    answer::json(&details, coding)
}

/// `GET /api/v1/hls/streams/:id/stats`: the counters of one stream.
pub(super) fn stats(camera: &CameraStatus, coding: Coding) -> Response {
    #[derive(Serialize)]
    struct Stats {
        stream_id: StreamId,
        packets_received: u64,
        bytes_written: u64,
        segments_created: u64,
        current_bitrate: u64,
        errors: u64,
    }
    let nothing = HlsStatus::default();
    let hls = camera.hls.as_ref().unwrap_or(&nothing);
    let stats = Stats {
        stream_id: camera.id,
        packets_received: hls.packets_received,
        bytes_written: hls.bytes_written,
        segments_created: hls.segments_created,
        current_bitrate: hls.current_bitrate,
        errors: hls.errors,
    };
    answer::json(&stats, coding)
}

/// `GET /api/v1/webrtc/sessions`: who watches by WebRTC.
pub(super) fn sessions(snapshot: &Snapshot, coding: Coding) -> Response {
    #[derive(Serialize)]
    struct Sessions<'a> {
        sessions: &'a [SessionStatus],
    }
    match &snapshot.webrtc {
        Some(webrtc) => answer::json(&Sessions { sessions: &webrtc.sessions }, coding),
        None => whep::off(Vec::new()),
    }
}

/// A stream in a list.
#[derive(Serialize)]
struct Stream<'a> {
    stream_id: StreamId,
    name: &'a str,
    state: CameraState,
    since_seconds: u64,
    on_demand: bool,
    url: &'a str,
    error: Option<&'a str>,
}

impl<'a> Stream<'a> {
    fn of(camera: &'a CameraStatus) -> Self {
        Self {
            stream_id: camera.id,
            name: &camera.name,
            state: camera.state,
            since_seconds: camera.since_seconds,
            on_demand: camera.on_demand,
            url: camera.hls.as_ref().map_or("", |hls| &hls.url),
            error: camera.cause().map(|fault| fault.sentence.as_str()),
        }
    }
}
