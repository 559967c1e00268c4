use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::fixture::{Parts, SESSION, camera, get, header, parts, snapshot, webrtc_off, yard};
use super::*;
use crate::control::Fault;
use crate::web::http::Method::{Delete, Get, Head, Options, Patch, Post, Put};
use crate::web::routes::{RouteSettings, respond};

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const NONE: &str = "";

/// What is expected of a request.
#[derive(Debug)]
enum Expected {
    /// This status, no body.
    Empty(u16),
    /// This status and this sentence as JSON, with this code.
    Error(u16, &'static str, Option<&'static str>),
    /// The gate waits for this camera's pictures.
    Wait(&'static str),
    /// The media thread gets the offer for this camera.
    Watch(&'static str),
    /// The media thread ends the session, if it is this camera's.
    HangUp(&'static str),
}

use Expected::{Empty, Error, HangUp, Wait, Watch};

/// The cameras of the fixture, and: `lift` streams and has no playlist, `hall` has B-frames, `dark` failed and is on demand.
fn cameras() -> Snapshot {
    let mut lift = camera("lift", CameraState::Streaming);
    lift.hls = None;
    let mut hall = yard();
    hall.id = StreamId::parse("hall").unwrap();
    let sentence = "no B-frames over WebRTC: set the camera to Main without B-frames, or use HLS".to_owned();
    hall.webrtc.as_mut().unwrap().problem = Some(Fault { code: "b_frames", sentence, args: [].into() });
    let mut dark = camera("dark", CameraState::Waiting);
    dark.on_demand = true;
    let mut snapshot = snapshot();
    snapshot.cameras.extend([lift, hall, dark].map(Arc::new));
    snapshot
}

fn ask(method: Method, path: &str, content_type: &str, body: &[u8], snapshot: &Snapshot, waited: bool) -> Response {
    let request = Request {
        method,
        content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
        body: body.to_vec(),
        arrived_at: Some(HERE),
        waited,
        ..get(path)
    };
    respond(&request, snapshot, &[], &RouteSettings::default())
}

fn check(what: &str, response: Response, expected: &Expected) {
    let id = |id: &str| StreamId::parse(id).unwrap();
    match expected {
        Wait(camera) => {
            assert_eq!(response, Response::WaitFor { stream: id(camera), until: Until::Pictures }, "{what}")
        }
        Watch(camera) => {
            let offer = Offer { camera: id(camera), sdp: OFFER.to_owned(), arrived_at: Some(HERE) };
            assert_eq!(response, Response::Ask(Ask::Watch(offer)), "{what}");
        }
        HangUp(camera) => {
            let ask = Ask::HangUp { camera: Some(id(camera)), session: SessionId::parse(SESSION).unwrap() };
            assert_eq!(response, Response::Ask(ask), "{what}");
        }
        Empty(status) => {
            let (found, headers, body) = shared(what, response);
            assert_eq!((found, body.len(), header(&headers, "content-type")), (*status, 0, None), "{what}");
        }
        Error(status, sentence, code) => error(what, response, *status, sentence, *code),
    }
}

/// Every answer under `/whep` may be read by other sites, with its headers.
fn shared(what: &str, response: Response) -> Parts {
    let (status, headers, body) = parts(response);
    assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"), "{what}");
    let exposed = header(&headers, "access-control-expose-headers");
    assert_eq!(exposed, Some("Location, ETag, Link, Retry-After"), "{what}");
    (status, headers, body)
}

fn error(what: &str, response: Response, status: u16, sentence: &str, code: Option<&str>) {
    let (found, headers, body) = shared(what, response);
    let mut expected = json!({ "error": sentence });
    if let Some(code) = code {
        expected["code"] = json!(code);
    }
    assert_eq!((found, serde_json::from_slice(&body).ok()), (status, Some(expected)), "{what}");
    assert_eq!(header(&headers, "content-type"), Some("application/json"), "{what}");
    assert_eq!(header(&headers, "cache-control"), Some("no-store"), "{what}");
    assert_eq!(header(&headers, "retry-after").is_some(), status == 503, "{what}");
    assert_eq!(header(&headers, "allow").is_some(), status == 405, "{what}");
    assert_eq!(header(&headers, "accept-post").is_some(), status == 415, "{what}");
    assert_eq!(header(&headers, "location"), None, "{what}: a 406 with a Location would be a counter-offer");
}

#[test]
fn the_conformance_table() {
    const TYPE: &str = "send the SDP offer with Content-Type: application/sdp";
    const UNKNOWN: &str = "there is no stream with this id";
    const NO_SESSION: &str = "there is no session with this id";
    const NOTHING: &str = "there is nothing at this path";
    const ENDPOINT: &str = "only GET, HEAD, POST, OPTIONS can be used here";
    const ON_SESSION: &str = "only GET, HEAD, DELETE, OPTIONS can be used here";
    let session = |camera: &str| format!("/whep/{camera}/{SESSION}");
    let (mine, others, unheard) = (session("yard"), session("lift"), "/whep/yard/0123456789abcdef00000000000000ff");
    let nobodys = session("nobody");
    let table: Vec<(Method, &str, &str, &str, Expected)> = vec![
        // Opening a session, sections 4.2.1 and 4.2.4.
        (Post, "/whep/yard", "application/sdp", OFFER, Watch("yard")),
        (Post, "/whep/yard", "Application/SDP; charset=utf-8", OFFER, Watch("yard")),
        (Post, "/whep/yard", " application/sdp ;v=\"a;b\"", OFFER, Watch("yard")),
        (Post, "/whep/yard", NONE, OFFER, Error(415, TYPE, None)),
        (Post, "/whep/yard", "application/json", OFFER, Error(415, TYPE, None)),
        (Post, "/whep/yard", "application/sdpx", OFFER, Error(415, TYPE, None)),
        (Post, "/whep/yard", "text/plain; application/sdp", OFFER, Error(415, TYPE, None)),
        (Post, "/whep/nobody", "application/json", OFFER, Error(415, TYPE, None)),
        (Post, "/whep/nobody", "application/sdp", OFFER, Error(404, UNKNOWN, None)),
        (Post, "/whep/nobody", "application/sdp", NONE, Error(404, UNKNOWN, None)),
        (Post, "/whep/YARD", "application/sdp", OFFER, Error(404, UNKNOWN, None)),
        (Post, "/whep/", "application/sdp", OFFER, Error(404, UNKNOWN, None)),
        (
            Post,
            "/whep/yard",
            "application/sdp",
            NONE,
            Error(400, "the SDP offer cannot be used: the body is empty", Some("bad_offer")),
        ),
        // Cameras that do not deliver: waited for, except one that failed and is tried again by itself.
        (Post, "/whep/roof", "application/sdp", OFFER, Wait("roof")),
        (Post, "/whep/dock", "application/sdp", OFFER, Wait("dock")),
        (Post, "/whep/dark", "application/sdp", OFFER, Wait("dark")),
        (
            Post,
            "/whep/gate",
            "application/sdp",
            OFFER,
            Error(503, "camera gate: password refused by 10.0.0.5", Some("password_refused")),
        ),
        // No offer, nobody to wake a camera for.
        (
            Post,
            "/whep/roof",
            "application/sdp",
            NONE,
            Error(400, "the SDP offer cannot be used: the body is empty", Some("bad_offer")),
        ),
        (Post, "/whep/lift", "application/sdp", OFFER, Watch("lift")),
        (
            Post,
            "/whep/hall",
            "application/sdp",
            OFFER,
            Error(
                406,
                "no B-frames over WebRTC: set the camera to Main without B-frames, or use HLS",
                Some("b_frames"),
            ),
        ),
        // The endpoint's other methods, section 4.1.
        (Get, "/whep/yard", NONE, NONE, Empty(204)),
        (Head, "/whep/roof", NONE, NONE, Empty(204)),
        (Get, "/whep/nobody", NONE, NONE, Error(404, UNKNOWN, None)),
        (Put, "/whep/yard", "application/sdp", OFFER, Error(405, ENDPOINT, None)),
        (Patch, "/whep/yard", "application/sdp", OFFER, Error(405, ENDPOINT, None)),
        (Delete, "/whep/yard", NONE, NONE, Error(405, ENDPOINT, None)),
        (Options, "/whep/yard", NONE, NONE, Empty(204)),
        (Options, "/whep/nobody", NONE, NONE, Empty(204)),
        // The session, sections 4.1, 4.3 and 4.4.1.
        (Delete, &mine, NONE, NONE, HangUp("yard")),
        // Whether a session is this camera's is for the media thread to say: the snapshot may be older than the session.
        (Delete, &others, NONE, NONE, HangUp("lift")),
        (Delete, &nobodys, NONE, NONE, Error(404, UNKNOWN, None)),
        (Delete, "/whep/yard/", NONE, NONE, Error(404, NO_SESSION, None)),
        (Delete, "/whep/yard/42", NONE, NONE, Error(404, NO_SESSION, None)),
        (Delete, "/whep/yard/0123456789ABCDEF0123456789ABCDEF", NONE, NONE, Error(404, NO_SESSION, None)),
        (Delete, "/whep/yard/0123456789abcdef0123456789abcdef/", NONE, NONE, Error(404, NOTHING, None)),
        (Get, &mine, NONE, NONE, Empty(204)),
        (Head, &mine, NONE, NONE, Empty(204)),
        (Get, &others, NONE, NONE, Error(404, NO_SESSION, None)),
        (Get, unheard, NONE, NONE, Error(404, NO_SESSION, None)),
        (Patch, &mine, "application/trickle-ice-sdpfrag", "a=end-of-candidates\r\n", Error(405, ON_SESSION, None)),
        (Patch, unheard, "application/trickle-ice-sdpfrag", NONE, Error(405, ON_SESSION, None)),
        (Post, &mine, "application/sdp", OFFER, Error(405, ON_SESSION, None)),
        (Put, &mine, "application/sdp", OFFER, Error(405, ON_SESSION, None)),
        (Options, &mine, NONE, NONE, Empty(204)),
        (Options, unheard, NONE, NONE, Empty(204)),
    ];
    for (method, path, content_type, body, expected) in &table {
        let what = format!("{method:?} {path} {content_type:?}");
        check(&what, ask(*method, path, content_type, body.as_bytes(), &cameras(), false), expected);
        // HLS is another output: it may be off.
        let hls_off = Snapshot { hls_enabled: false, ..cameras() };
        check(&what, ask(*method, path, content_type, body.as_bytes(), &hls_off, false), expected);
    }
}

#[test]
fn after_the_wait_the_cause_is_named() {
    let sentences = [
        ("roof", "camera roof: it sleeps and has not been woken yet"),
        ("dock", "camera dock: it is still starting"),
        ("dark", "camera dark: it does not deliver; the next attempt follows"),
    ];
    for (id, sentence) in sentences {
        let answer = ask(Post, &format!("/whep/{id}"), "application/sdp", OFFER.as_bytes(), &cameras(), true);
        error(id, answer, 503, sentence, None);
    }
    let answer = ask(Post, "/whep/yard", "application/sdp", OFFER.as_bytes(), &cameras(), true);
    check("it came", answer, &Watch("yard"));
}

#[test]
fn a_camera_that_starts_is_not_blamed_for_what_only_hls_has() {
    let mut dock = camera("dock", CameraState::Starting);
    let full = Fault { code: "files", sentence: "the tmpfs is full".to_owned(), args: [].into() };
    dock.hls.as_mut().unwrap().last_error = Some(full);
    // From its last time awake.
    dock.last_key_frame_age = Some(7200.0);
    let snapshot = super::super::fixture::only(dock.clone());
    let answer = ask(Post, "/whep/dock", "application/sdp", OFFER.as_bytes(), &snapshot, true);
    error("dock", answer, 503, "camera dock: it is still starting", None);

    let sentence = "no key frame within 10 s: set the key frame interval to 1 or 2 s in the camera";
    dock.warnings.push(Fault { code: "no_key_frame", sentence: sentence.to_owned(), args: [].into() });
    let snapshot = super::super::fixture::only(dock);
    let answer = ask(Post, "/whep/dock", "application/sdp", OFFER.as_bytes(), &snapshot, true);
    error("dock", answer, 503, &format!("camera dock: {sentence}"), Some("no_key_frame"));
}

#[test]
fn with_webrtc_off_every_path_of_it_says_so() {
    const OFF: &str = "WebRTC is not enabled";
    let session = format!("/whep/yard/{SESSION}");
    for (method, path) in
        [(Post, "/whep/yard"), (Post, "/whep/roof"), (Get, "/whep/yard"), (Delete, session.as_str()), (Get, &session)]
    {
        let answer = ask(method, path, "application/sdp", OFFER.as_bytes(), &webrtc_off(), false);
        error(path, answer, 503, OFF, Some("webrtc_off"));
    }
    for (method, path) in
        [(Get, "/api/v1/webrtc/sessions".to_owned()), (Delete, format!("/api/v1/webrtc/sessions/{SESSION}"))]
    {
        let (status, headers, body) = parts(ask(method, &path, NONE, b"", &webrtc_off(), false));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, body), (503, json!({ "error": OFF, "code": "webrtc_off" })));
        assert_eq!(
            (header(&headers, "retry-after"), header(&headers, "access-control-allow-origin")),
            (Some("60"), None)
        );
    }
}

#[test]
fn a_preflight_says_what_players_need() {
    for (path, allow) in [("/whep/yard", "GET, HEAD, POST, OPTIONS"), ("/whep/yard/1", "GET, HEAD, DELETE, OPTIONS")] {
        let (status, headers, body) = shared(path, ask(Options, path, NONE, b"", &cameras(), false));
        assert_eq!((status, body.len()), (204, 0));
        assert_eq!(header(&headers, "access-control-allow-methods"), Some("POST, DELETE, PATCH, OPTIONS"));
        assert_eq!(header(&headers, "access-control-allow-headers"), Some("Content-Type, Authorization, If-Match"));
        assert_eq!(header(&headers, "accept-post"), Some("application/sdp"));
        assert_eq!(header(&headers, "allow"), Some(allow));
    }
}

#[test]
fn hostile_offers_are_refused_or_passed_on_as_they_are() {
    let offer = |body: &[u8]| ask(Post, "/whep/yard", "application/sdp", body, &cameras(), false);
    for bytes in [b"v=0\r\n\xff".as_slice(), b"\xc3", b"\xed\xa0\x80"] {
        let sentence = "the SDP offer cannot be used: it is not UTF-8 text";
        error("bytes", offer(bytes), 400, sentence, Some("bad_offer"));
    }
    for text in ["\0", "\r\n", "{}", "v=0\r\nX-Porthole-Segment: a b", &"m=video 9\r\n".repeat(5900)] {
        let Response::Ask(Ask::Watch(offer)) = offer(text.as_bytes()) else { panic!("{text:?}") };
        assert_eq!(offer.sdp, text);
    }
}

#[test]
fn the_answer_is_201_with_the_sessions_path_and_tag() {
    let yard = StreamId::parse("yard").unwrap();
    let answer = Answer { session: SessionId::parse(SESSION).unwrap(), sdp: "v=0\r\n".to_owned() };
    let (status, headers, body) = shared("201", conclude_watch(yard, Ok(Ok(answer)), &cameras()));
    assert_eq!((status, body.as_slice()), (201, b"v=0\r\n".as_slice()));
    for (name, value) in [
        ("location", "/whep/yard/0123456789abcdef0123456789abcdef"),
        ("etag", "\"0123456789abcdef0123456789abcdef\""),
        ("content-type", "application/sdp"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(header(&headers, name), Some(value), "{name}");
    }
}

#[test]
fn every_refusal_has_its_status_sentence_and_code() {
    let yard = StreamId::parse("yard").unwrap();
    let h265 = "camera sends H.265, this browser accepts H.264, VP8: use HLS".to_owned();
    let cases = [
        (WatchRefusal::Off, 503, "WebRTC is not enabled", Some("webrtc_off")),
        (
            WatchRefusal::Failed("UDP port 8189 is taken".to_owned()),
            503,
            "UDP port 8189 is taken",
            Some("webrtc_failed"),
        ),
        (WatchRefusal::UnknownCamera, 404, "there is no stream with this id", None),
        (
            WatchRefusal::BadOffer("line 3 is no attribute".to_owned()),
            400,
            "the SDP offer cannot be used: line 3 is no attribute",
            Some("bad_offer"),
        ),
        (
            WatchRefusal::NotPlayable { code: "no_shared_codec", sentence: h265 },
            406,
            "camera sends H.265, this browser accepts H.264, VP8: use HLS",
            Some("no_shared_codec"),
        ),
        (
            WatchRefusal::Full { camera: None, limit: 16 },
            503,
            "the gateway has 16 WebRTC viewers already: use HLS, or try again later",
            Some("webrtc_full"),
        ),
        (
            WatchRefusal::Full { camera: Some(yard), limit: 4 },
            503,
            "camera yard has 4 WebRTC viewers already: use HLS, or try again later",
            Some("webrtc_full"),
        ),
    ];
    for (refusal, status, sentence, code) in cases {
        error(sentence, conclude_watch(yard, Ok(Err(refusal)), &cameras()), status, sentence, code);
    }
    for (refused, status, sentence) in refused() {
        error(sentence, conclude_watch(yard, Err(refused), &cameras()), status, sentence, None);
        error(sentence, conclude_hang_up(Some(yard), Err(refused)), status, sentence, None);
    }
}

fn refused() -> [(Refused, u16, &'static str); 3] {
    [
        (Refused::Busy, 503, "the gateway is busy; try again"),
        (Refused::Stopping, 503, "the gateway is stopping"),
        (Refused::TimedOut(Duration::from_secs(2)), 504, "the gateway did not answer within 2000 ms"),
    ]
}

#[test]
fn a_camera_that_stopped_delivering_meanwhile_is_named_with_its_cause() {
    let conclude =
        |id: &str| conclude_watch(StreamId::parse(id).unwrap(), Ok(Err(WatchRefusal::NotDelivering)), &cameras());
    error("gate", conclude("gate"), 503, "camera gate: password refused by 10.0.0.5", Some("password_refused"));
    error("lift", conclude("lift"), 503, "camera lift: its first key frame has not arrived yet", None);
    error("gone", conclude("gone"), 404, "there is no stream with this id", None);
}

#[test]
fn ending_a_session_is_200_or_404() {
    let yard = StreamId::parse("yard").unwrap();
    let (status, headers, body) = shared("200", conclude_hang_up(Some(yard), Ok(true)));
    assert_eq!((status, body.as_slice()), (200, br#"{"ended":true}"#.as_slice()));
    assert_eq!(header(&headers, "content-type"), Some("application/json"));
    error("404", conclude_hang_up(Some(yard), Ok(false)), 404, "there is no session with this id", None);
}

#[test]
fn the_api_lists_sessions_and_ends_them_whatever_they_watch() {
    let (status, _, body) = parts(ask(Get, "/api/v1/webrtc/sessions", NONE, b"", &cameras(), false));
    let expected = json!({ "sessions": [
        { "session": SESSION, "camera": "yard", "since_seconds": 61, "remote": "10.0.0.7:50312", "transport": "udp",
          "ice_state": "completed", "rtt_ms": 1.5, "loss": 0.25, "packets": 3000, "bytes": 3_000_000, "nacks": 4,
          "plis": 3, "skips": 2, "codec": "H.264", "sound": "PCMA" },
        { "session": "0000000000000000000000000000002a", "camera": "yard", "since_seconds": 0, "remote": null,
          "transport": null, "ice_state": "new", "rtt_ms": null, "loss": null, "packets": 0, "bytes": 0, "nacks": 0,
          "plis": 0, "skips": 0, "codec": "H.264", "sound": null },
    ]});
    assert_eq!((status, serde_json::from_slice::<Value>(&body).unwrap()), (200, expected));

    let end = |session: &str| ask(Delete, &format!("/api/v1/webrtc/sessions/{session}"), NONE, b"", &cameras(), false);
    let session = SessionId::parse(SESSION).unwrap();
    assert_eq!(end(SESSION), Response::Ask(Ask::HangUp { camera: None, session }));
    for (answer, status, sentence) in
        [(end("x"), 404, "there is no session with this id"), (end(""), 404, "there is no session with this id")]
            .into_iter()
            .chain(
                refused().map(|(refused, status, sentence)| (conclude_hang_up(None, Err(refused)), status, sentence)),
            )
    {
        let (found, headers, body) = parts(answer);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((found, body), (status, json!({ "error": sentence })));
        assert_eq!(header(&headers, "access-control-allow-origin"), None, "other sites must not end sessions");
    }
    let (status, headers, body) = parts(conclude_hang_up(None, Ok(true)));
    assert_eq!((status, body.as_slice()), (200, br#"{"ended":true}"#.as_slice()));
    assert_eq!(header(&headers, "access-control-allow-origin"), None);
}
