use std::io::Read as _;

use serde_json::{Value, json};

use super::super::fixture::{PLAYLIST, SESSION, camera, get, header, only, parts, snapshot, yard};
use super::*;
use crate::control::{CameraState, Fault, HlsStatus};

const PLAIN: RouteSettings = RouteSettings { compression: false };

fn ask(path: &str) -> Response {
    respond(&get(path), &snapshot(), &[], &PLAIN)
}

fn document(response: Response) -> (u16, Value) {
    let (status, headers, body) = parts(response);
    assert_eq!(header(&headers, "content-type"), Some("application/json"));
    assert_eq!(header(&headers, "cache-control"), Some("no-store"));
    (status, serde_json::from_slice(&body).unwrap())
}

fn error(status: u16, sentence: &str) -> (u16, Value) {
    (status, json!({ "error": sentence }))
}

#[test]
fn the_stream_list_names_every_camera_with_its_state_url_and_cause() {
    let expected = json!({ "streams": [
        { "stream_id": "yard", "name": "The yard", "state": "streaming", "since_seconds": 5, "on_demand": false,
          "url": "/hls/yard/index.m3u8", "error": null },
        { "stream_id": "gate", "name": "Gate \"A\"\\north", "state": "waiting", "since_seconds": 61, "on_demand": false,
          "url": "/hls/gate/index.m3u8", "error": "password refused by 10.0.0.5" },
        { "stream_id": "roof", "name": "The roof", "state": "sleeping", "since_seconds": 5, "on_demand": true,
          "url": "/hls/roof/index.m3u8", "error": null },
        { "stream_id": "dock", "name": "The dock", "state": "starting", "since_seconds": 5, "on_demand": false,
          "url": "/hls/dock/index.m3u8", "error": null },
    ]});
    assert_eq!(document(ask("/api/v1/hls/streams")), (200, expected));
}

#[test]
fn a_stream_is_described() {
    let expected = json!({
        "stream_id": "yard", "name": "The yard", "state": "streaming", "since_seconds": 5, "on_demand": false,
        "url": "/hls/yard/index.m3u8", "error": null,
        "video": { "codec": "H.264", "rfc6381": "avc1.64001F", "width": 1280, "height": 720, "fps": 25.0,
                   "gop_seconds": 2.0, "b_frames": false },
        "audio": { "codec": "AAC", "sample_rate": 48000, "carried": true, "reason": null },
        "bitrate": 4_000_000, "last_key_frame_age": 0.5, "segments": 3, "target_duration": 2, "window_seconds": 8,
        "warnings": [],
    });
    assert_eq!(document(ask("/api/v1/hls/streams/yard")), (200, expected));
}

#[test]
fn stats_have_exactly_the_fixed_fields() {
    let (status, _, body) = parts(ask("/api/v1/hls/streams/yard/stats"));
    let expected = r#"{"stream_id":"yard","packets_received":700,"bytes_written":1500000,"segments_created":5,"current_bitrate":4100000,"errors":2}"#;
    assert_eq!((status, std::str::from_utf8(&body)), (200, Ok(expected)));
}

#[test]
fn the_status_is_the_whole_snapshot_without_playlists_and_sessions() {
    let expected = json!({
        "version": "0.1.0", "board": "generic", "uptime_seconds": 3600, "threads": 11,
        "memory": { "resident": { "used": 12_000_000, "limit": 16_000_000 },
                    "tmpfs": { "used": 5_000_000, "limit": 40_000_000 } },
        "hls_enabled": true,
            "last_end": "it was stopped by SIGTERM",
        "webrtc": { "udp_port": 8189, "tcp_port": 8189, "max_viewers": 16, "problem": null,
                    "counters": { "sessions": 41, "refused": 42, "vanished": 43, "packets": 44, "bytes": 45,
                                  "nacks": 46, "plis": 47, "skips": 48, "stray": 49, "unsent": 50 } },
        "cameras": [{
            "id": "yard", "name": "The yard", "state": "streaming", "since_seconds": 5, "on_demand": false,
            "transport": "tcp", "url": "rtsp://10.0.0.5/live",
            "video": { "codec": "H.264", "rfc6381": "avc1.64001F", "width": 1280, "height": 720, "fps": 25.0,
                       "gop_seconds": 2.0, "b_frames": false },
            "audio": { "codec": "AAC", "sample_rate": 48000, "carried": true, "reason": null },
            "bitrate": 4_000_000, "last_key_frame_age": 0.5, "access_units": 720, "lost_packets": 3, "reconnects": 1,
            "last_error": null, "last_error_age": null, "warnings": [],
            "hls": { "url": "/hls/yard/index.m3u8", "segments": 3, "target_duration": 2, "window_seconds": 8,
                     "packets_received": 700, "bytes_written": 1_500_000, "segments_created": 5,
                     "current_bitrate": 4_100_000, "errors": 2, "last_error": null, "tmpfs_bytes": 5_000_000 },
            "webrtc": { "url": "/whep/yard", "viewers": 2, "max_viewers": 8, "problem": null,
                        "sound_problem": { "code": "sound_not_carried", "args": {},
                                           "sentence": "the camera sends AAC: set it to G.711 to hear it by WebRTC" },
                        "gop_bytes": 1_000_000, "gop_overflows": 1 },
        }],
    });
    assert_eq!(document(respond(&get("/api/v1/status"), &only(yard()), &[], &PLAIN)), (200, expected));
}

#[test]
fn health_is_ok() {
    assert_eq!(document(ask("/healthz")), (200, json!({ "status": "ok" })));
}

#[test]
fn a_playlist_is_served_as_it_stands() {
    let (status, headers, body) = parts(ask("/hls/yard/index.m3u8"));
    assert_eq!((status, std::str::from_utf8(&body)), (200, Ok(PLAYLIST)));
    assert_eq!(header(&headers, "content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(header(&headers, "cache-control"), Some("no-cache"));
    assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&headers, "vary"), None);
}

#[test]
fn a_segment_is_named_to_the_gate_and_immutable_for_the_window() {
    let Response::Segment { stream, file_name, headers } = ask("/hls/yard/k3x9_main_seg812.ts") else { panic!() };
    assert_eq!((stream.as_str(), file_name.as_str()), ("yard", "k3x9_main_seg812.ts"));
    assert_eq!(header(&headers, "cache-control"), Some("public, max-age=8, immutable"));
    assert_eq!(header(&headers, "content-type"), Some("video/mp2t"));
    assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"));
}

#[test]
fn every_route_answers_every_method_by_its_rule() {
    let asset = format!("/assets/{}/style.css", page::revision());
    let session = format!("/whep/yard/{SESSION}");
    let cases = [
        ("/hls/yard/index.m3u8", "GET, HEAD, OPTIONS"),
        ("/hls/yard/k3x9_main_seg9.ts", "GET, HEAD, OPTIONS"),
        ("/api/v1/hls/streams", "GET, HEAD"),
        ("/api/v1/hls/streams/yard", "GET, HEAD"),
        ("/api/v1/hls/streams/yard/stats", "GET, HEAD"),
        ("/api/v1/status", "GET, HEAD"),
        ("/whep/yard", "GET, HEAD, POST, OPTIONS"),
        (&session, "GET, HEAD, DELETE, OPTIONS"),
        ("/api/v1/webrtc/sessions", "GET, HEAD"),
        ("/api/v1/webrtc/sessions/0123456789abcdef0123456789abcdef", "DELETE"),
        ("/metrics", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/", "GET, HEAD"),
        (&asset, "GET, HEAD"),
        ("/favicon.ico", "GET, HEAD"),
        ("/favicon.svg", "GET, HEAD"),
    ];
    for (path, allow) in cases {
        let answer = |method| respond(&Request { method, ..get(path) }, &snapshot(), &[], &PLAIN);
        assert_eq!(answer(Method::Head), answer(Method::Get), "HEAD {path} is GET's answer");
        for method in Method::ALL {
            let status = match answer(method) {
                Response::Segment { .. } | Response::Ask(_) => 200,
                response => {
                    let (status, headers, _) = parts(response);
                    if status == 405 {
                        assert_eq!(header(&headers, "allow"), Some(allow), "{method:?} {path}");
                    }
                    status
                }
            };
            let expected = match method {
                _ if !allow.split(", ").any(|name| name == method.name()) => 405,
                Method::Options => 204,
                Method::Get | Method::Head if path.starts_with("/whep/") => 204,
                Method::Post => 415,
                _ => 200,
            };
            assert_eq!(status, expected, "{method:?} {path}");
        }
    }
}

#[test]
fn a_wrong_method_says_which_are_right() {
    let request = Request { method: Method::Delete, ..get("/hls/yard/index.m3u8") };
    let answer = respond(&request, &snapshot(), &[], &PLAIN);
    assert_eq!(document(answer), error(405, "only GET, HEAD, OPTIONS can be used here"));
}

#[test]
fn a_preflight_from_another_site_is_answered() {
    let request = Request { method: Method::Options, ..get("/hls/yard/index.m3u8") };
    let (status, headers, body) = parts(respond(&request, &snapshot(), &[], &PLAIN));
    assert_eq!((status, body.len()), (204, 0));
    assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&headers, "access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(header(&headers, "access-control-allow-headers"), Some("Range, If-None-Match"));
}

#[test]
fn with_hls_off_every_hls_path_says_so() {
    let off = Snapshot { hls_enabled: false, ..snapshot() };
    for path in [
        "/hls/yard/index.m3u8",
        "/hls/nobody/index.m3u8",
        "/hls/yard/k3x9_main_seg9.ts",
        "/api/v1/hls/streams",
        "/api/v1/hls/streams/yard",
        "/api/v1/hls/streams/yard/stats",
    ] {
        assert_eq!(document(respond(&get(path), &off, &[], &PLAIN)), error(503, "HLS is not enabled"), "{path}");
    }
    assert_eq!(document(respond(&get("/api/v1/status"), &off, &[], &PLAIN)).0, 200);
}

#[test]
fn an_unknown_stream_is_404_on_every_stream_path() {
    for path in [
        "/hls/nobody/index.m3u8",
        "/hls/nobody/k3x9_main_seg9.ts",
        "/api/v1/hls/streams/nobody",
        "/api/v1/hls/streams/nobody/stats",
        "/api/v1/hls/streams/",
        "/hls//index.m3u8",
        "/hls/YARD/index.m3u8",
    ] {
        assert_eq!(document(ask(path)), error(404, "there is no stream with this id"), "{path}");
    }
}

#[test]
fn hostile_paths_are_404_and_never_reach_a_file() {
    let long = format!("/{}", "a".repeat(8000));
    let deep = "/a".repeat(4000);
    for path in [
        "",
        "*",
        "//",
        "/hls/../../etc/passwd",
        "/hls/yard/../../../etc/passwd",
        "/hls/%2e%2e/%2e%2e/etc/passwd",
        "/hls/yard/..",
        "/hls/yard/",
        "/hls/yard",
        "/hls/yard/index.m3u8/",
        "/whep",
        "/whep/yard/0123456789abcdef0123456789abcdef/",
        "/whep/../../etc/passwd",
        "/api/v1/webrtc",
        "/api/v1/webrtc/sessions/0123456789abcdef0123456789abcdef/",
        "/hls/yard/index.m3u8\0",
        "/hls/yard/index.M3U8",
        "/hls/yard/\0_main_seg1.ts",
        "/hls/yard/_main_seg1.ts",
        "/hls/yard/a_main_seg.ts",
        "/hls/yard/a_main_seg1_main_seg2.ts",
        "/hls/yard/a_main_seg-1.ts",
        "/hls/yard/a_main_segx1.ts",
        "/hls/yard/a_main_seg١.ts",
        "/hls/yard/é_main_seg1.ts",
        "/hls/yard/a_main_seg1.ts ",
        "/hls/yard/a_main_seg1.mp4",
        "/hls/yard/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_main_seg1.ts",
        "/api/v1/hls/streams/yard/stats/",
        "/api/v1/hls/streams/yard/other",
        "/api/v2/status",
        "/api/v1/status/",
        "/assets",
        "/assets/",
        "/assets/0000000000000000/app.js",
        "/assets/../src/main.rs",
        "/index.html",
        "/카메라",
        "/favicon",
        &long,
        &deep,
    ] {
        assert_eq!(document(ask(path)), error(404, "there is nothing at this path"), "{path:?}");
    }
    for path in ["/hls/\u{202e}/index.m3u8", "/hls/\0/index.m3u8", "/hls/../index.m3u8"] {
        assert_eq!(document(ask(path)), error(404, "there is no stream with this id"), "{path:?}");
    }
}

#[test]
fn a_failed_camera_answers_at_once_with_the_cause_and_when_to_ask_again() {
    let (status, headers, body) = parts(ask("/hls/gate/index.m3u8"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let expected = json!({ "error": "camera gate: password refused by 10.0.0.5", "code": "password_refused" });
    assert_eq!((status, body), (503, expected));
    assert_eq!(header(&headers, "retry-after"), Some("2"));
    assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&headers, "cache-control"), Some("no-store"));
}

#[test]
fn a_camera_that_may_deliver_soon_is_waited_for_once() {
    let mut failed_on_demand = camera("lift", CameraState::Waiting);
    failed_on_demand.on_demand = true;
    for (camera, sentence) in [
        (camera("roof", CameraState::Sleeping), "camera roof: it sleeps and has not been woken yet"),
        (camera("dock", CameraState::Starting), "camera dock: it is still starting"),
        (camera("hall", CameraState::Streaming), "camera hall: its first segment is not complete yet"),
        (failed_on_demand, "camera lift: it does not deliver; the next attempt follows"),
    ] {
        let (stream, snapshot) = (camera.id, only(camera));
        let request = get(&format!("/hls/{stream}/index.m3u8"));
        assert_eq!(respond(&request, &snapshot, &[], &PLAIN), Response::WaitFor { stream, until: Until::Playlist });
        let waited = Request { waited: true, ..request };
        assert_eq!(document(respond(&waited, &snapshot, &[], &PLAIN)), error(503, sentence));
    }
}

#[test]
fn a_long_gop_is_named_as_the_cause_after_the_wait() {
    let ask = |camera| {
        let request = Request { waited: true, ..get("/hls/yard/index.m3u8") };
        document(respond(&request, &only(camera), &[], &PLAIN))
    };
    let mut slow = yard();
    slow.hls = Some(HlsStatus::default());
    slow.video.as_mut().unwrap().gop_seconds = Some(10.0);
    let sentence = "camera yard: key frame only every 10 s: set it to 1 or 2 s in the camera";
    assert_eq!(ask(slow.clone()), (503, json!({ "error": sentence, "code": "long_gop" })));

    slow.video.as_mut().unwrap().gop_seconds = None;
    slow.last_key_frame_age = Some(7.2);
    let sentence = "camera yard: no key frame for 7 s: set it to 1 or 2 s in the camera";
    assert_eq!(ask(slow.clone()), (503, json!({ "error": sentence, "code": "long_gop" })));

    let sentence = "key frame only every 12 s: set it to 1 or 2 s in the camera";
    slow.warnings.push(Fault { code: "long_gop", sentence: sentence.to_owned(), args: [].into() });
    assert_eq!(ask(slow), (503, json!({ "error": "camera yard: ".to_owned() + sentence, "code": "long_gop" })));
}

#[test]
fn a_short_break_keeps_the_playlist_and_a_long_one_ends_it() {
    let status = |state, age| {
        let mut camera = yard();
        camera.state = state;
        camera.last_key_frame_age = age;
        match respond(&get("/hls/yard/index.m3u8"), &only(camera), &[], &PLAIN) {
            Response::WaitFor { .. } => 0,
            response => parts(response).0,
        }
    };
    assert_eq!(status(CameraState::Waiting, Some(3.0)), 200);
    assert_eq!(status(CameraState::Starting, Some(9.9)), 200);
    assert_eq!(status(CameraState::Waiting, Some(10.0)), 503);
    assert_eq!(status(CameraState::Starting, Some(10.0)), 0);
    assert_eq!(status(CameraState::Waiting, None), 503);
    assert_eq!(status(CameraState::Waiting, Some(f64::NAN)), 503);
    assert_eq!(status(CameraState::Sleeping, Some(0.0)), 0);
    assert_eq!(status(CameraState::Streaming, Some(40.0)), 200);
}

#[test]
fn an_old_error_does_not_explain_why_a_camera_is_not_there_now() {
    let sentence = |state, age| {
        let mut camera = camera("lift", state);
        camera.on_demand = true;
        camera.last_error = Some(Fault { code: "silent", sentence: "silent for 10 s".to_owned(), args: [].into() });
        camera.last_error_age = Some(age);
        let request = Request { waited: true, ..get("/hls/lift/index.m3u8") };
        document(respond(&request, &only(camera), &[], &PLAIN)).1["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(sentence(CameraState::Waiting, 9999), "camera lift: silent for 10 s");
    assert_eq!(sentence(CameraState::Starting, 300), "camera lift: silent for 10 s");
    assert_eq!(sentence(CameraState::Starting, 9999), "camera lift: it is still starting");
    assert_eq!(sentence(CameraState::Sleeping, 1), "camera lift: it sleeps and has not been woken yet");
}

#[test]
fn gzip_is_used_when_allowed_accepted_and_smaller() {
    let long = RouteSettings { compression: true };
    for path in ["/hls/yard/index.m3u8", "/api/v1/status", "/metrics"] {
        let plain = Request { accepts_gzip: false, ..get(path) };
        let accepts = Request { accepts_gzip: true, ..get(path) };
        let identity = parts(respond(&plain, &snapshot(), &[], &long));
        assert_eq!(
            (header(&identity.1, "content-encoding"), header(&identity.1, "vary")),
            (None, Some("Accept-Encoding"))
        );

        let (_, headers, packed) = parts(respond(&accepts, &snapshot(), &[], &long));
        assert_eq!(
            (header(&headers, "content-encoding"), header(&headers, "vary")),
            (Some("gzip"), Some("Accept-Encoding"))
        );
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, identity.2, "{path}");
        assert!(packed.len() < unpacked.len());

        let (_, headers, body) = parts(respond(&accepts, &snapshot(), &[], &PLAIN));
        assert_eq!((header(&headers, "content-encoding"), header(&headers, "vary")), (None, None));
        assert_eq!(body, identity.2, "{path}");
    }
    let tiny = Request { accepts_gzip: true, ..get("/healthz") };
    let (_, headers, body) = parts(respond(&tiny, &snapshot(), &[], &long));
    assert_eq!((header(&headers, "content-encoding"), body.as_slice()), (None, br#"{"status":"ok"}"#.as_slice()));
}
