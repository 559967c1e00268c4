//! A snapshot made by hand and requests to it, for the tests of the routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::http::{Method, Request, Response};
use crate::control::{
    AudioStatus, CameraState, CameraStatus, CameraWebRtcStatus, Fault, HlsStatus, ItemStatus, MemoryStatus, SessionId,
    SessionStatus, Snapshot, VideoStatus, WebRtcCounters, WebRtcStatus,
};
use crate::media::StreamId;

pub(super) const PLAYLIST: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
                                   #EXTINF:2.000,\nk3x9_main_seg7.ts\n#EXTINF:2.000,\nk3x9_main_seg8.ts\n\
                                   #EXTINF:2.000,\nk3x9_main_seg9.ts\n";

/// Four cameras: `yard` streams to two browsers, `gate` is refused, `roof` sleeps, `dock` starts.
pub(crate) fn snapshot() -> Snapshot {
    let (mut gate, mut roof) = (camera("gate", CameraState::Waiting), camera("roof", CameraState::Sleeping));
    gate.name = "Gate \"A\"\\north".to_owned();
    gate.since_seconds = 61;
    gate.last_error = Some(Fault {
        code: "password_refused",
        sentence: "password refused by 10.0.0.5".to_owned(),
        args: BTreeMap::from([("host", "10.0.0.5".to_owned())]),
    });
    gate.last_error_age = Some(61);
    roof.on_demand = true;
    // From its last time awake: no reason for anything now.
    roof.last_error = Some(Fault { code: "silent", sentence: "silent for 10 s".to_owned(), args: BTreeMap::new() });
    roof.last_error_age = Some(7200);
    let cameras = [yard(), gate, roof, camera("dock", CameraState::Starting)];
    Snapshot {
        version: "0.1.0",
        board: "generic".to_owned(),
        uptime_seconds: 3600,
        last_end: Some("it was stopped by SIGTERM".into()),
        threads: 11,
        memory: MemoryStatus {
            resident: ItemStatus { used: 12_000_000, limit: 16_000_000 },
            tmpfs: ItemStatus { used: 5_000_000, limit: 40_000_000 },
        },
        hls_enabled: true,
        webrtc: Some(Arc::new(webrtc())),
        cameras: cameras.into_iter().map(Arc::new).collect(),
    }
}

/// The snapshot of a gateway with `[webrtc] enabled = false`.
pub(super) fn webrtc_off() -> Snapshot {
    let mut off = snapshot();
    off.webrtc = None;
    off.cameras.iter_mut().for_each(|camera| Arc::make_mut(camera).webrtc = None);
    off
}

/// The session of `yard` that plays; the other one has no path yet.
pub(super) const SESSION: &str = "0123456789abcdef0123456789abcdef";

fn webrtc() -> WebRtcStatus {
    let playing = SessionStatus {
        session: SessionId::parse(SESSION).unwrap(),
        camera: StreamId::parse("yard").unwrap(),
        since_seconds: 61,
        remote: Some("10.0.0.7:50312".to_owned()),
        transport: Some("udp"),
        ice_state: "completed",
        rtt_ms: Some(1.5),
        loss: Some(0.25),
        packets: 3000,
        bytes: 3_000_000,
        nacks: 4,
        plis: 3,
        skips: 2,
        codec: "H.264",
        sound: Some("PCMA"),
    };
    let new = SessionStatus {
        session: SessionId::new(42),
        since_seconds: 0,
        remote: None,
        transport: None,
        ice_state: "new",
        rtt_ms: None,
        loss: None,
        packets: 0,
        bytes: 0,
        nacks: 0,
        plis: 0,
        skips: 0,
        sound: None,
        ..playing.clone()
    };
    WebRtcStatus {
        problem: None,
        udp_port: 8189,
        tcp_port: Some(8189),
        max_viewers: 16,
        sessions: vec![playing, new],
        counters: WebRtcCounters {
            sessions: 41,
            refused: 42,
            vanished: 43,
            packets: 44,
            bytes: 45,
            nacks: 46,
            plis: 47,
            skips: 48,
            stray: 49,
            unsent: 50,
        },
    }
}

/// A camera that streams H.264 with AAC.
pub(super) fn yard() -> CameraStatus {
    let mut yard = camera("yard", CameraState::Streaming);
    yard.transport = Some("tcp");
    yard.video = Some(VideoStatus {
        codec: "H.264",
        rfc6381: "avc1.64001F".to_owned(),
        width: 1280,
        height: 720,
        fps: Some(25.0),
        gop_seconds: Some(2.0),
        b_frames: false,
    });
    yard.audio = Some(AudioStatus { codec: "AAC".to_owned(), sample_rate: 48_000, carried: true, reason: None });
    yard.bitrate = 4_000_000;
    yard.last_key_frame_age = Some(0.5);
    yard.access_units = 720;
    yard.lost_packets = 3;
    yard.reconnects = 1;
    yard.hls = Some(HlsStatus {
        playlist: Some(Arc::from(PLAYLIST)),
        segments: 3,
        target_duration: Some(2),
        window_seconds: 8,
        packets_received: 700,
        bytes_written: 1_500_000,
        segments_created: 5,
        current_bitrate: 4_100_000,
        errors: 2,
        tmpfs_bytes: 5_000_000,
        ..hls("yard")
    });
    let sentence = "the camera sends AAC: set it to G.711 to hear it by WebRTC".to_owned();
    yard.webrtc = Some(CameraWebRtcStatus {
        viewers: 2,
        sound_problem: Some(Fault { code: "sound_not_carried", sentence, args: BTreeMap::new() }),
        gop_bytes: 1_000_000,
        gop_overflows: 1,
        ..webrtc_of("yard")
    });
    yard
}

pub(super) fn camera(id: &str, state: CameraState) -> CameraStatus {
    CameraStatus {
        id: StreamId::parse(id).unwrap(),
        name: format!("The {id}"),
        state,
        since_seconds: 5,
        on_demand: false,
        transport: None,
        url: "rtsp://10.0.0.5/live".to_owned(),
        video: None,
        audio: None,
        bitrate: 0,
        last_key_frame_age: None,
        access_units: 0,
        lost_packets: 0,
        reconnects: 0,
        last_error: None,
        last_error_age: None,
        warnings: Vec::new(),
        hls: Some(hls(id)),
        webrtc: Some(webrtc_of(id)),
    }
}

/// The snapshot with `camera` alone.
pub(super) fn only(camera: CameraStatus) -> Snapshot {
    Snapshot { cameras: vec![Arc::new(camera)], ..snapshot() }
}

fn hls(id: &str) -> HlsStatus {
    HlsStatus { url: format!("/hls/{id}/index.m3u8"), window_seconds: 8, ..HlsStatus::default() }
}

fn webrtc_of(id: &str) -> CameraWebRtcStatus {
    CameraWebRtcStatus {
        url: format!("/whep/{id}"),
        viewers: 0,
        max_viewers: 8,
        problem: None,
        sound_problem: None,
        gop_bytes: 0,
        gop_overflows: 0,
    }
}

pub(super) fn get(path: &str) -> Request {
    Request {
        method: Method::Get,
        path: path.to_owned(),
        query: String::new(),
        accepts_gzip: false,
        if_none_match: None,
        content_type: None,
        body: Vec::new(),
        arrived_at: None,
        waited: false,
        id: 1,
    }
}

/// An answer's status, headers and body.
pub(super) type Parts = (u16, Vec<(&'static str, String)>, Vec<u8>);

pub(super) fn parts(response: Response) -> Parts {
    match response {
        Response::Full { status, headers, body } => (status, headers, body),
        other => panic!("not a full answer: {other:?}"),
    }
}

pub(super) fn header<'a>(headers: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    let mut found = headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
    let value = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} is sent twice");
    value
}
