//! WHEP through the real gate and the real routes, with a media thread that only pretends: what a browser gets, and when.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod gate_common;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_lite::future::or;
use gate_common::*;
use porthole::control::{self, CameraState, Command, Commands, SessionId, Snapshot, StatusBoard, Wake, WebRtcStatus};
use porthole::web::ask;
use porthole::web::gate::{Seams, Settings};
use porthole::web::http::{Request, Response};
use porthole::web::routes::RouteSettings;
use porthole::web::task;

const OFFER: &[u8] = b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n";
/// The workers' patience with the media thread.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the gate waits for a camera.
const CAMERA_DEADLINE: Duration = Duration::from_millis(2500);

/// The pretended media thread.
struct Media {
    commands: Commands,
    board: Arc<StatusBoard>,
}

/// `yard` and `mute` stream; `roof` sleeps until it is woken, and never has a playlist; `dark` sleeps for good.
fn snapshot(roof: CameraState) -> Snapshot {
    let streaming = CameraState::Streaming;
    let cameras = [("yard", streaming), ("mute", streaming), ("roof", roof), ("dark", CameraState::Sleeping)];
    Snapshot {
        webrtc: Some(Arc::new(WebRtcStatus::default())),
        cameras: cameras.map(|(id, state)| Arc::new(status(id, state))).to_vec(),
        ..Snapshot::default()
    }
}

impl Media {
    /// Obeys until dropped: opens sessions whose answer says what was asked, and never answers for `mute`.
    async fn obey(self) {
        let (mut sessions, mut unanswered) = (Vec::new(), Vec::new());
        while let Ok(command) = self.commands.recv().await {
            match command {
                Command::Wake(camera, reply) => {
                    let _ = reply.try_send(Wake::Starting);
                    tokio::time::sleep(WAKING).await;
                    if camera.as_str() == "roof" {
                        self.board.publish(snapshot(CameraState::Streaming));
                    }
                }
                Command::Watch(offer, reply) if offer.camera.as_str() == "mute" => unanswered.push(reply),
                Command::Watch(offer, reply) => {
                    let session = SessionId::new(0x2a + u128::try_from(sessions.len()).unwrap());
                    sessions.push((offer.camera, session));
                    let arrived = offer.arrived_at.map_or("nowhere".to_owned(), |address| address.to_string());
                    let sdp = format!("{} bytes for {} at {arrived}", offer.sdp.len(), offer.camera);
                    reply.try_send(Ok(control::Answer { session, sdp })).unwrap();
                }
                Command::Hangup(camera, session, reply) => {
                    let before = sessions.len();
                    sessions.retain(|(watched, known)| {
                        *known != session || camera.is_some_and(|camera| camera != *watched)
                    });
                    reply.try_send(sessions.len() < before).unwrap();
                }
            }
        }
    }
}

/// Runs `client` against a gate at `listen`, whose commands (at most `depth` wait) go to `media`.
fn with_gate<M: Future<Output = ()>>(
    (listen, depth): (&str, usize),
    media: impl FnOnce(Media) -> M,
    client: impl FnOnce(SocketAddr) + Send + 'static,
) {
    static GATES: AtomicU32 = AtomicU32::new(0);
    let number = GATES.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("porthole-whep-{}-{number}", std::process::id()));
    let listener = task::bind(listen.parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (control, commands) = control::channel(depth);
    let board = Arc::new(StatusBoard::new());
    board.publish(snapshot(CameraState::Sleeping));
    let respond = {
        let (board, control) = (Arc::clone(&board), control.clone());
        move |request: &Request| match request.path.as_str() {
            "/small" => Response::Full { status: 200, headers: Vec::new(), body: b"hello".to_vec() },
            _ => ask::answer(request, &board, &control, &[], &RouteSettings::default()),
        }
    };
    let seams = Seams {
        control,
        board: Arc::clone(&board),
        segments: Rc::new(|_, _| None),
        respond: Arc::new(respond),
        counters: Arc::default(),
    };
    let settings = Settings { camera_deadline: CAMERA_DEADLINE, ..Settings::new(dir.clone()) };
    let (running, ended) = smol::channel::bounded::<()>(1);
    let client = std::thread::spawn(move || {
        // Dropped at the end, also by a panic.
        let _running = running;
        client(address);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let port = async { task::run(listener, settings, seams).await.unwrap() };
        let media = async {
            media(Media { commands, board }).await;
            std::future::pending().await
        };
        let end = async {
            let _ = ended.recv().await;
        };
        or(or(port, media), end).await;
    });
    let _ = std::fs::remove_dir_all(dir);
    if let Err(panic) = client.join() {
        resume_unwind(panic);
    }
}

fn with_cameras(client: impl FnOnce(SocketAddr) + Send + 'static) {
    with_gate(("127.0.0.1:0", 5), Media::obey, client);
}

fn ask(address: SocketAddr, request_line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut request = format!("{request_line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}").into_bytes();
    if !body.is_empty() {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    let mut stream = connect(address);
    // A refusal may come before the body is sent.
    let _ = stream.write_all(&request);
    let answer = read_answer(&mut stream, true).unwrap();
    if request_line.contains(" /whep") {
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{request_line}");
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(["Location", "ETag", "Link"].iter().all(|name| exposed.contains(name)), "{request_line}: {exposed}");
    }
    answer
}

fn watch(address: SocketAddr, camera: &str) -> Answer {
    ask(address, &format!("POST /whep/{camera}"), "Content-Type: application/sdp\r\n", OFFER)
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn a_session_is_opened_and_ends_at_its_location() {
    with_cameras(|address| {
        let answer = watch(address, "yard");
        assert_eq!((answer.status, text(&answer)), (201, "31 bytes for yard at 127.0.0.1"));
        assert_eq!(answer.header("content-type"), Some("application/sdp"));
        assert_eq!(answer.header("etag"), Some("\"0000000000000000000000000000002a\""));
        assert_eq!(answer.header("location"), Some("/whep/yard/0000000000000000000000000000002a"));
        let location = answer.header("location").unwrap();

        let others = location.replace("yard", "mute");
        assert_eq!(
            ask(address, &format!("DELETE {others}"), "", b"").status,
            404,
            "it is not a session of that camera"
        );
        let trickle = "If-Match: \"x\"\r\nContent-Type: application/trickle-ice-sdpfrag\r\n";
        let answer = ask(address, &format!("PATCH {location}"), trickle, b"a=end-of-candidates\r\n");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, DELETE, OPTIONS")));
        // Section 4.4.1: an entity tag means nothing here.
        let answer = ask(address, &format!("DELETE {location}"), "If-Match: \"other\"\r\n", b"");
        assert_eq!((answer.status, text(&answer)), (200, "{\"ended\":true}"));
        assert_eq!(ask(address, &format!("DELETE {location}"), "", b"").status, 404);
    });
}

#[test]
fn the_api_ends_a_session_of_any_camera() {
    with_cameras(|address| {
        assert_eq!(watch(address, "yard").status, 201);
        let session = "/api/v1/webrtc/sessions/0000000000000000000000000000002a";
        let answer = ask(address, &format!("DELETE {session}"), "", b"");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
        assert_eq!(ask(address, &format!("DELETE {session}"), "", b"").status, 404);
        assert_eq!(ask(address, &format!("OPTIONS {session}"), "Origin: http://evil\r\n", b"").status, 405);
    });
}

#[test]
fn the_offer_carries_the_address_on_which_the_client_came() {
    let arrived = |address: SocketAddr, forged: &str| {
        let answer = ask(address, "POST /whep/yard", &format!("Content-Type: application/sdp\r\n{forged}"), OFFER);
        text(&answer).rsplit(' ').next().unwrap().to_owned()
    };
    // One socket for IPv4 and IPv6: an IPv4 client arrives at ::ffff:127.0.0.5.
    with_gate(("[::]:0", 5), Media::obey, move |address| {
        let to = |ip: IpAddr| SocketAddr::new(ip, address.port());
        assert_eq!(arrived(to(Ipv4Addr::new(127, 0, 0, 5).into()), ""), "127.0.0.5");
        assert_eq!(arrived(to(Ipv4Addr::LOCALHOST.into()), "X-Porthole-Arrived: 9.9.9.9\r\n"), "127.0.0.1");
        // Some containers have no IPv6 loopback.
        if TcpListener::bind("[::1]:0").is_ok() {
            assert_eq!(arrived(to("::1".parse().unwrap()), ""), "::1");
        }
    });
}

#[test]
fn a_sleeping_camera_is_waited_for_until_it_streams_whether_or_not_there_is_a_playlist() {
    with_cameras(|address| {
        let begun = now();
        let viewers: Vec<_> = (0..8).map(|_| std::thread::spawn(move || watch(address, "roof").status)).collect();
        let bystander = Bystander::start(address);
        let statuses: Vec<u16> = viewers.into_iter().map(|viewer| viewer.join().unwrap()).collect();
        assert_eq!(statuses, [201; 8]);
        let waited = now() - begun;
        assert!((WAKING..CAMERA_DEADLINE).contains(&waited), "{waited:?}");
        let met = bystander.stop();
        assert!(met.failures.is_empty() && met.slowest < PROMPT_ENOUGH, "{met:?}");
    });
}

#[test]
fn a_camera_that_does_not_come_is_503_at_the_deadline() {
    with_cameras(|address| {
        let begun = now();
        let answer = watch(address, "dark");
        assert!(now() - begun >= CAMERA_DEADLINE - Duration::from_millis(10));
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
        assert_eq!(text(&answer), "{\"error\":\"camera dark: it sleeps and has not been woken yet\"}");
    });
}

#[test]
fn a_media_thread_that_does_not_answer_is_504_after_two_seconds_and_delays_nobody_else() {
    with_cameras(|address| {
        let begun = now();
        let viewers: Vec<_> = (0..3).map(|_| std::thread::spawn(move || watch(address, "mute"))).collect();
        let bystander = Bystander::start(address);
        for viewer in viewers {
            let answer = viewer.join().unwrap();
            assert_eq!((answer.status, answer.header("retry-after")), (504, None));
            assert_eq!(text(&answer), "{\"error\":\"the gateway did not answer within 2000 ms\"}");
        }
        let waited = now() - begun;
        assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&waited), "{waited:?}");
        let met = bystander.stop();
        assert!(met.failures.is_empty() && met.answers > 50, "{met:?}");
        assert!(met.slowest < PROMPT_ENOUGH, "{met:?}");
        assert_eq!(watch(address, "yard").status, 201);
    });
}

#[test]
fn a_full_channel_and_a_stopped_media_thread_are_503() {
    let never = |media: Media| async move {
        let _held = media.commands;
        std::future::pending().await
    };
    with_gate(("127.0.0.1:0", 1), never, |address| {
        let first = std::thread::spawn(move || watch(address, "yard").status);
        std::thread::sleep(Duration::from_millis(300));
        let answer = watch(address, "yard");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
        assert_eq!(text(&answer), "{\"error\":\"the gateway is busy; try again\"}");
        assert_eq!(first.join().unwrap(), 504);
    });
    let stopping = |address| {
        let answer = watch(address, "yard");
        assert_eq!((answer.status, text(&answer)), (503, "{\"error\":\"the gateway is stopping\"}"));
    };
    with_gate(("127.0.0.1:0", 1), |media| async move { drop(media) }, stopping);
    // It stops while it carries out the command.
    with_gate(("127.0.0.1:0", 1), |media| async move { drop(media.commands.recv().await) }, stopping);
}

#[test]
fn offers_are_bounded_and_hostile_ones_cost_one_answer() {
    const SDP: &str = "Content-Type: application/sdp\r\n";
    with_cameras(|address| {
        let largest = vec![b'a'; 64 * 1024];
        let answer = ask(address, "POST /whep/yard", SDP, &largest);
        assert_eq!((answer.status, text(&answer)), (201, "65536 bytes for yard at 127.0.0.1"));
        assert_eq!(ask(address, "POST /whep/yard", SDP, &vec![b'a'; 64 * 1024 + 1]).status, 413);
        for length in ["9000000000000000000", "18446744073709551615"] {
            let headers = format!("{SDP}Content-Length: {length}\r\n");
            assert_eq!(ask(address, "POST /whep/yard", &headers, b"").status, 413);
        }
        assert_eq!(ask(address, "POST /whep/yard", SDP, b"").status, 400);
        assert_eq!(ask(address, "POST /whep/yard", SDP, b"v=0\r\n\xff\xfe").status, 400);
        assert_eq!(ask(address, "POST /whep/yard", "", OFFER).status, 415);
        assert_eq!(ask(address, "POST /whep/nobody", SDP, OFFER).status, 404);
        let chunked = format!("{SDP}Transfer-Encoding: chunked\r\n");
        assert_eq!(ask(address, "POST /whep/yard", &chunked, b"").status, 411);
        assert_eq!(ask(address, "GET /whep/yard/a/b", "", b"").status, 404);
        assert_eq!(watch(address, "yard").status, 201);
    });
}

#[test]
fn methods_without_a_body_keep_the_connection() {
    with_cameras(|address| {
        let mut stream = connect(address);
        for (request, status) in
            [("OPTIONS /whep/yard", 204), ("GET /whep/yard", 204), ("HEAD /whep/yard", 204), ("PUT /whep/yard", 405)]
        {
            stream.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
            let answer = read_answer(&mut stream, true).unwrap();
            assert_eq!((answer.status, answer.header("connection")), (status, None), "{request}");
            assert_eq!(answer.header("content-length").is_none(), status == 204, "{request}");
        }
    });
}
