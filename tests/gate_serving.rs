//! The gate with well-behaved clients: keep-alive, pipelining, HEAD, Range, bodies, waiting for a camera, a busy server.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod gate_common;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gate_common::*;
use porthole::control;
use porthole::web::gate::{Seams, Settings};
use porthole::web::http::Response;
use porthole::web::task;

#[test]
#[ignore = "the server of the other tests"]
fn child() {
    serve_if_child();
}

fn server(options: &str) -> Server {
    Server::start(&["child", "--exact", "--ignored", "--nocapture"], options)
}

fn ask(address: SocketAddr, request_line: &str, headers: &str) -> Answer {
    let request = format!("{request_line} HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n");
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut stream, !request_line.starts_with("HEAD")).unwrap()
}

#[test]
fn answers_keep_the_connection_and_carry_their_length() {
    let server = server("");
    let mut stream = connect(server.address);
    for (path, status, body) in
        [("/small", 200, &b"hello"[..]), ("/nothing", 404, b"nothing here"), ("/query?a=b%20c", 200, b"a=b%20c")]
    {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let answer = read_answer(&mut stream, true).unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), answer.header("connection")), (status, body, None));
    }
    stream.write_all(b"GET /not-modified HTTP/1.1\r\nHost: a\r\n\r\nGET /small HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let answer = read_answer(&mut stream, true).unwrap();
    assert_eq!((answer.status, answer.header("content-length")), (304, None));
    assert_eq!(read_answer(&mut stream, true).unwrap().body, b"hello");
}

#[test]
fn http_1_0_closes_unless_it_asks_not_to() {
    let server = server("");
    assert!(all_answers(server.address, b"GET /small HTTP/1.0\r\n\r\n").ends_with("Connection: close\r\n\r\nhello"));
    let mut stream = connect(server.address);
    stream.write_all(b"GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream, true).unwrap().header("connection"), Some("keep-alive"));
    stream.write_all(b"GET /small HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream, true).unwrap().header("connection"), Some("close"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = server("");
    let mut stream = connect(server.address);
    let mut requests = String::new();
    for number in 0..1000 {
        requests += &format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{number:04}");
    }
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(requests.as_bytes()).unwrap());
    for number in 0..1000 {
        assert_eq!(read_answer(&mut stream, true).unwrap().body, format!("{number:04}").as_bytes());
    }
    writing.join().unwrap();
}

#[test]
fn bodies_arrive_whole_also_after_100_continue() {
    let server = server("");
    for len in [0, 1, 1024, 1025, 65_536] {
        let body = vec![b'b'; len];
        let mut request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n").into_bytes();
        request.extend_from_slice(&body);
        assert_eq!(exchange(server.address, &request).unwrap().body, body, "{len}");
    }
    let mut stream = connect(server.address);
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream, true).unwrap().status, 100);
    stream.write_all(b"abc").unwrap();
    assert_eq!(read_answer(&mut stream, true).unwrap().body, b"abc");
}

#[test]
fn head_has_the_length_of_get_and_no_body() {
    let server = server("");
    for (path, len) in [("/small", "5"), ("/hls/cam/a.ts", "500000"), ("/nothing", "12"), ("/hls/cam/b.ts", "32")] {
        let said = all_answers(server.address, format!("HEAD {path} HTTP/1.0\r\n\r\n").as_bytes());
        assert!(said.contains(&format!("Content-Length: {len}\r\n")) && said.ends_with("\r\n\r\n"), "{path}: {said}");
    }
}

#[test]
fn segments_are_sent_whole_or_in_one_range() {
    let server = server("");
    let whole = segment();
    let answer = get(server.address, "/hls/cam/a.ts");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("video/mp2t")));
    assert_eq!((answer.header("accept-ranges"), answer.header("x-porthole-segment")), (Some("bytes"), None));
    assert!(answer.body == whole);

    let answer = ask(server.address, "GET /hls/cam/a.ts", "Range: bytes=100-299\r\n");
    assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 100-299/500000")));
    assert!(answer.body == whole[100..300]);
    let answer = ask(server.address, "GET /hls/cam/a.ts", "Range: bytes=-1\r\n");
    assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 499999-499999/500000")));
    let answer = ask(server.address, "GET /hls/cam/a.ts", "Range: bytes=500000-\r\n");
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */500000")));
    for whole in ["Range: bytes=0-1,5-6\r\n", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n"] {
        let answer = ask(server.address, "GET /hls/cam/a.ts", whole);
        assert_eq!((answer.status, answer.body.len()), (200, SEGMENT_LEN), "{whole}");
    }
    assert_eq!(ask(server.address, "HEAD /hls/cam/a.ts", "Range: bytes=0-1\r\n").status, 200);
    assert_eq!(get(server.address, "/hls/cam/gone.ts").status, 404);
}

#[test]
fn a_revoked_segment_ends_the_answer_not_the_gate() {
    let server = server("");
    let mut stream = connect(server.address);
    stream.write_all(b"GET /hls/cam/revoked.ts HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(said.len() < SEGMENT_LEN, "{} bytes", said.len());
    assert_eq!(server.counters()["revoked"], 1);
}

#[test]
fn a_route_that_panics_costs_one_answer() {
    let server = server("");
    for _ in 0..8 {
        assert_eq!(get(server.address, "/panic").status, 500);
    }
    assert_eq!(get(server.address, "/small").status, 200);
}

#[test]
fn twenty_first_requests_wait_for_one_start_and_delay_nobody() {
    let server = server("");
    let address = server.address;
    let begun = now();
    let waiting: Vec<_> = (0..20).map(|_| std::thread::spawn(move || get(address, "/hls/sleepy/index.m3u8"))).collect();
    let bystander = Bystander::start(address);
    for waiting in waiting {
        let answer = waiting.join().unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"#EXTM3U\n"[..]));
    }
    let waited = now() - begun;
    assert!((WAKING..Duration::from_secs(3)).contains(&waited), "{waited:?}");
    let met = bystander.stop();
    assert!(met.failures.is_empty() && met.slowest < PROMPT_ENOUGH, "{met:?}");
    assert_eq!(get(address, "/wakes").body, b"1");
}

#[test]
fn a_camera_that_does_not_come_is_answered_at_the_deadline_with_the_cause() {
    let server = server("camera=400");
    let begun = now();
    let answer = get(server.address, "/hls/dead/index.m3u8");
    let waited = now() - begun;
    assert_eq!((answer.status, answer.body.as_slice()), (503, &b"camera dead: connection refused"[..]));
    assert!((Duration::from_millis(390)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
}

#[test]
fn a_watched_camera_hears_of_it_at_most_once_a_second() {
    let server = server("");
    assert_eq!(get(server.address, "/hls/sleepy/index.m3u8").status, 200);
    let begun = now();
    let mut stream = BufReader::new(connect(server.address));
    while now() - begun < Duration::from_millis(1500) {
        stream.get_mut().write_all(b"GET /hls/sleepy/live HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut stream, true).unwrap().status, 200);
        std::thread::sleep(Duration::from_millis(20));
    }
    let wakes: u64 = String::from_utf8(get(server.address, "/wakes").body).unwrap().parse().unwrap();
    assert!((2..=3).contains(&wakes), "{wakes}");
}

#[test]
fn more_requests_than_may_wait_are_told_to_come_back() {
    let server = server("waiting=4");
    let mut streams: Vec<TcpStream> = (0..12).map(|_| connect(server.address)).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    let answers: Vec<Answer> = streams.iter_mut().map(|stream| read_answer(stream, true).unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 8);
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!(refused.len(), 4);
    assert_eq!(refused[0].header("retry-after"), Some("1"));
    assert_eq!(refused[0].body, b"{\"error\":\"the server is busy; try again\"}");
    streams[11].write_all(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut streams[11], true).unwrap().status, 200);
}

#[test]
fn a_worker_that_takes_too_long_is_answered_for() {
    let server = server("answer=50");
    let answer = get(server.address, "/slow");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (504, &b"{\"error\":\"the server did not answer in time\"}"[..])
    );
}

#[test]
fn dropping_the_port_closes_it_and_leaves_nothing_behind() {
    let dir = std::env::temp_dir().join(format!("porthole-gate-drop-{}", std::process::id()));
    let socket = dir.join("http.sock");
    let listener = task::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (control, _commands) = control::channel(1);
    let seams = Seams {
        control,
        board: Arc::default(),
        segments: Rc::new(|_, _| None),
        respond: Arc::new(|_| Response::Full { status: 200, headers: Vec::new(), body: b"here".to_vec() }),
        counters: Arc::default(),
    };
    let client = std::thread::spawn(move || {
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut stream, true).unwrap().body, b"here");
        // Idle now; the port is dropped, and the connection ends.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let modes = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let port = task::run(listener, Settings::new(dir.clone()), seams);
        let moment = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!((modes(&dir), modes(&socket)), (0o700, 0o600));
            let workers = || threads().filter(|name| name.starts_with("http-")).collect::<Vec<String>>();
            let begun = now();
            while workers().len() < 4 && now() - begun < Duration::from_secs(5) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let threads = workers();
            for worker in ["http-0", "http-1", "http-2", "http-3"] {
                assert_eq!(threads.iter().filter(|name| *name == worker).count(), 1, "{threads:?}");
            }
            Ok(())
        };
        futures_lite::future::or(port, moment).await.unwrap();
    });
    client.join().unwrap();
    assert!(!socket.exists());
    // A joined thread may be listed for a moment longer.
    let begun = now();
    while threads().any(|name| name == "http-0") {
        assert!(now() - begun < Duration::from_secs(5), "a worker is left");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(TcpStream::connect(address).is_err());
    std::fs::remove_dir_all(dir).unwrap();
}

fn threads() -> impl Iterator<Item = String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).map(|name| name.trim().into())
}

#[test]
fn an_address_that_cannot_be_used_is_named_with_what_to_do() {
    let taken = task::bind("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap();
    let _held = std::net::TcpListener::bind(taken).unwrap();
    assert_eq!(
        task::bind(taken).unwrap_err().to_string(),
        format!(
            "cannot listen on {taken}: Address already in use (os error 98); another program has this port: stop it, or \
             change [web] listen"
        )
    );
    let elsewhere = task::bind("192.0.2.1:8107".parse().unwrap()).unwrap_err().to_string();
    assert!(elsewhere.ends_with("this machine does not have that address: change [web] listen"), "{elsewhere}");
}
