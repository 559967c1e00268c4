//! A snapshot and the gate's counters in, Prometheus text out. Text exposition format 0.0.4; base units; names never change.

use std::fmt::{self, Write as _};

use Kind::{Counter, Gauge};

use super::answer::{self, Coding};
use super::http::Response;
use crate::control::{CameraState, CameraStatus, CameraWebRtcStatus, HlsStatus, Snapshot, WebRtcStatus};

/// One number of somebody else (the gate) on the metrics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The metric's name, with unit; counters end in `_total`. Samples of one name stand together.
    pub name: &'static str,
    /// What it counts, one sentence.
    pub help: &'static str,
    /// Whether it only ever grows.
    pub kind: Kind,
    /// A label that tells samples of one name apart, e.g. `("rule", "too_slow")`.
    pub label: Option<(&'static str, &'static str)>,
    /// The value now.
    pub value: u64,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows, from 0 at start.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// `GET /metrics`
pub(super) fn document(snapshot: &Snapshot, gate: &[Sample], coding: Coding) -> Response {
    let headers = vec![("Cache-Control", "no-store".to_owned())];
    let body = render(snapshot, gate).into_bytes();
    answer::text(200, "text/plain; version=0.0.4; charset=utf-8", body, headers, coding)
}

fn render(snapshot: &Snapshot, gate: &[Sample]) -> String {
    let mut text = Text(String::with_capacity(6144 + 3584 * snapshot.cameras.len()));
    text.family("porthole_build_info", Gauge, "Always 1; the labels say what runs here.");
    text.sample("porthole_build_info", &[("version", snapshot.version), ("board", &snapshot.board)], 1.0);
    for (name, help, value) in GATEWAY {
        text.family(name, Gauge, help);
        text.sample(name, &[], float(value(snapshot)));
    }
    text.family("porthole_camera_info", Gauge, "Always 1; the labels say which camera this is.");
    for camera in &snapshot.cameras {
        text.sample("porthole_camera_info", &[("camera", camera.id.as_str()), ("name", &camera.name)], 1.0);
    }
    text.family("porthole_camera_state", Gauge, "1 for the state the camera is in, 0 for the others.");
    for camera in &snapshot.cameras {
        for (state, word) in STATES {
            let labels = [("camera", camera.id.as_str()), ("state", word)];
            text.sample("porthole_camera_state", &labels, f64::from(u8::from(camera.state == state)));
        }
    }
    for (name, kind, help, value) in CAMERA {
        text.family(name, kind, help);
        for camera in &snapshot.cameras {
            if let Some(value) = value(camera).filter(|value| value.is_finite()) {
                text.sample(name, &[("camera", camera.id.as_str())], value);
            }
        }
    }
    for (name, kind, help, value) in HLS {
        text.family(name, kind, help);
        for camera in &snapshot.cameras {
            if let Some(hls) = &camera.hls {
                text.sample(name, &[("camera", camera.id.as_str())], float(value(hls)));
            }
        }
    }
    // While it is off there are not even the names.
    if let Some(webrtc) = &snapshot.webrtc {
        for (name, kind, help, value) in WEBRTC {
            text.family(name, kind, help);
            text.sample(name, &[], float(value(webrtc)));
        }
        for (name, kind, help, value) in CAMERA_WEBRTC {
            text.family(name, kind, help);
            for camera in &snapshot.cameras {
                if let Some(webrtc) = &camera.webrtc {
                    text.sample(name, &[("camera", camera.id.as_str())], float(value(webrtc)));
                }
            }
        }
    }
    let mut family = "";
    for sample in gate {
        if sample.name != family {
            family = sample.name;
            text.family(family, sample.kind, sample.help);
        }
        text.sample(family, sample.label.as_slice(), float(sample.value));
    }
    text.0
}

const STATES: [(CameraState, &str); 4] = [
    (CameraState::Sleeping, "sleeping"),
    (CameraState::Starting, "starting"),
    (CameraState::Streaming, "streaming"),
    (CameraState::Waiting, "waiting"),
];

type OfGateway = (&'static str, &'static str, fn(&Snapshot) -> u64);
const GATEWAY: [OfGateway; 6] = [
    ("porthole_uptime_seconds", "Seconds since the start of the process.", |gateway| gateway.uptime_seconds),
    ("porthole_threads", "Operating system threads of the process.", |gateway| gateway.threads),
    ("porthole_memory_resident_bytes", "Private and file-backed resident memory.", |gateway| {
        gateway.memory.resident.used
    }),
    ("porthole_memory_resident_limit_bytes", "The plan's limit for resident memory.", |gateway| {
        gateway.memory.resident.limit
    }),
    ("porthole_tmpfs_bytes", "Bytes of all segment files on tmpfs.", |gateway| gateway.memory.tmpfs.used),
    ("porthole_tmpfs_limit_bytes", "The plan's limit for segment files on tmpfs.", |gateway| {
        gateway.memory.tmpfs.limit
    }),
];

type OfCamera = (&'static str, Kind, &'static str, fn(&CameraStatus) -> Option<f64>);
const CAMERA: [OfCamera; 8] = [
    ("porthole_camera_state_seconds", Gauge, "Seconds in the present state.", |camera| {
        Some(float(camera.since_seconds))
    }),
    ("porthole_camera_receive_bytes_per_second", Gauge, "Video and sound received, over the last seconds.", |camera| {
        Some(float(camera.bitrate) / 8.0)
    }),
    ("porthole_camera_frames_per_second", Gauge, "Pictures per second, measured.", |camera| camera.video.as_ref()?.fps),
    ("porthole_camera_key_frame_interval_seconds", Gauge, "Seconds between key frames, measured.", |camera| {
        camera.video.as_ref()?.gop_seconds
    }),
    ("porthole_camera_last_key_frame_age_seconds", Gauge, "Seconds since the last key frame.", |camera| {
        camera.last_key_frame_age
    }),
    ("porthole_camera_access_units_total", Counter, "Access units received, video and audio.", |camera| {
        Some(float(camera.access_units))
    }),
    ("porthole_camera_lost_packets_total", Counter, "RTP packets known to be lost.", |camera| {
        Some(float(camera.lost_packets))
    }),
    ("porthole_camera_reconnects_total", Counter, "RTSP sessions begun after the first one.", |camera| {
        Some(float(camera.reconnects))
    }),
];

type OfHls = (&'static str, Kind, &'static str, fn(&HlsStatus) -> u64);
const HLS: [OfHls; 6] = [
    ("porthole_hls_access_units_total", Counter, "Access units handed to HLS, video and audio.", |hls| {
        hls.packets_received
    }),
    ("porthole_hls_written_bytes_total", Counter, "Transport stream bytes written.", |hls| hls.bytes_written),
    ("porthole_hls_segments_total", Counter, "Segments completed.", |hls| hls.segments_created),
    ("porthole_hls_errors_total", Counter, "Errors while writing HLS.", |hls| hls.errors),
    ("porthole_hls_playlist_segments", Gauge, "Segments in the playlist.", |hls| count(hls.segments)),
    ("porthole_hls_tmpfs_bytes", Gauge, "Bytes of the camera's segment files on tmpfs.", |hls| hls.tmpfs_bytes),
];

type OfWebRtc = (&'static str, Kind, &'static str, fn(&WebRtcStatus) -> u64);
const WEBRTC: [OfWebRtc; 12] = [
    ("porthole_webrtc_sessions", Gauge, "WebRTC sessions now.", |webrtc| count(webrtc.sessions.len())),
    ("porthole_webrtc_sessions_limit", Gauge, "Most WebRTC sessions at once.", |webrtc| count(webrtc.max_viewers)),
    ("porthole_webrtc_sessions_total", Counter, "WebRTC sessions opened.", |webrtc| webrtc.counters.sessions),
    ("porthole_webrtc_refused_total", Counter, "WebRTC offers refused.", |webrtc| webrtc.counters.refused),
    ("porthole_webrtc_vanished_total", Counter, "WebRTC sessions whose browser was not heard any more.", |webrtc| {
        webrtc.counters.vanished
    }),
    ("porthole_webrtc_sent_packets_total", Counter, "RTP packets sent, repeated ones included.", |webrtc| {
        webrtc.counters.packets
    }),
    ("porthole_webrtc_sent_bytes_total", Counter, "Bytes of RTP packets sent.", |webrtc| webrtc.counters.bytes),
    ("porthole_webrtc_nacks_total", Counter, "Requests for lost packets received (NACK).", |webrtc| {
        webrtc.counters.nacks
    }),
    ("porthole_webrtc_key_frame_requests_total", Counter, "Requests for a key frame received (PLI, FIR).", |webrtc| {
        webrtc.counters.plis
    }),
    ("porthole_webrtc_skips_total", Counter, "Times a viewer was too slow and skipped to a key frame.", |webrtc| {
        webrtc.counters.skips
    }),
    ("porthole_webrtc_stray_datagrams_total", Counter, "Datagrams dropped that belong to no session.", |webrtc| {
        webrtc.counters.stray
    }),
    ("porthole_webrtc_unsent_datagrams_total", Counter, "Datagrams dropped that the system did not take.", |webrtc| {
        webrtc.counters.unsent
    }),
];

type OfCameraWebRtc = (&'static str, Kind, &'static str, fn(&CameraWebRtcStatus) -> u64);
const CAMERA_WEBRTC: [OfCameraWebRtc; 4] = [
    ("porthole_webrtc_viewers", Gauge, "WebRTC sessions of the camera now.", |webrtc| count(webrtc.viewers)),
    ("porthole_webrtc_viewers_limit", Gauge, "Most WebRTC sessions of the camera at once.", |webrtc| {
        count(webrtc.max_viewers)
    }),
    ("porthole_webrtc_gop_bytes", Gauge, "Bytes kept since the last key frame, for the first picture.", |webrtc| {
        webrtc.gop_bytes
    }),
    ("porthole_webrtc_gop_overflows_total", Counter, "Groups of pictures that were too large to be kept.", |webrtc| {
        webrtc.gop_overflows
    }),
];

/// The exposition text under construction.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Counter => "counter",
            Gauge => "gauge",
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.push(format_args!("{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, Escaped(text)));
        }
        self.push(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a String succeeds");
    }
}

/// A label value: backslash, double quote and line feed are escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

fn count(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus keeps doubles: exact up to 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
