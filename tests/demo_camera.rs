//! The demo camera against real clients: ffprobe and ffmpeg (skipped with a note where not installed), and retina.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, clippy::print_stderr, clippy::disallowed_methods, reason = "a test may")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::StreamExt as _;
use porthole::demo::{Audio, Auth, Camera, Clip, Fault, Settings};
use porthole::media::VideoCodec;
use retina::client::{
    Credentials, Demuxed, InitialTimestampPolicy, PlayOptions, Session, SessionGroup, SessionOptions, SetupOptions,
    TcpTransportOptions, Transport,
};
use retina::codec::{CodecItem, ParametersRef, VideoFrame};

/// Runs `clients` beside a camera that is served on a thread of its own until they are done.
fn beside(settings: Settings, clients: impl FnOnce(&Camera, u16)) {
    let camera = Camera::new(settings);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    let server = camera.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let serve = server.serve(tokio::net::TcpListener::from_std(listener).unwrap());
            futures_lite::future::or(serve, async {
                stopped.recv().await.unwrap_err();
            })
            .await;
        });
    });
    clients(&camera, port);
    drop(stop);
    thread.join().unwrap();
    assert_eq!(camera.counters().open_sessions, 0, "a session outlived its camera");
}

/// A tool's standard output and error; `None` when it is not installed.
fn run(tool: &str, arguments: &[&str]) -> Option<(String, String)> {
    let Ok(output) = Command::new("timeout").args(["30", tool]).args(arguments).output() else { return None };
    if output.status.code() == Some(127) {
        eprintln!("{tool} is not installed: this check is skipped");
        return None;
    }
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

/// Plays 5 s and returns ffmpeg's warnings.
fn warnings(url: &str, transport: &str) -> Option<String> {
    let arguments =
        ["-v", "warning", "-rtsp_transport", transport, "-i", url, "-t", "5", "-map", "0", "-f", "null", "-"];
    run("ffmpeg", &arguments).map(|(_, errors)| errors)
}

#[test]
fn ffprobe_finds_both_streams_and_counts_the_frames() {
    beside(Settings::default(), |camera, port| {
        let url = format!("rtsp://127.0.0.1:{port}/demo");
        let arguments = [
            "-v",
            "warning",
            "-rtsp_transport",
            "tcp",
            "-read_intervals",
            "%+4",
            "-show_entries",
            "stream=codec_name,profile,width,height,r_frame_rate,sample_rate:packet=codec_type,pts_time,flags",
            "-of",
            "compact",
            &url,
        ];
        let Some((output, errors)) = run("ffprobe", &arguments) else { return };
        assert_eq!(errors, "");
        let streams: Vec<&str> = output.lines().filter(|line| line.starts_with("stream|")).collect();
        assert_eq!(
            streams,
            [
                "stream|codec_name=h264|profile=Main|width=640|height=360|r_frame_rate=15/1",
                "stream|codec_name=aac|profile=LC|sample_rate=16000|r_frame_rate=0/0"
            ]
        );
        let video: Vec<&str> = output.lines().filter(|line| line.contains("codec_type=video")).collect();
        let keys = video.iter().filter(|line| line.contains("flags=K")).count();
        let audio = output.lines().filter(|line| line.contains("codec_type=audio")).count();
        assert!((58..=62).contains(&video.len()) && (4..=5).contains(&keys), "{} frames, {keys} keys", video.len());
        assert!((60..=66).contains(&audio), "{audio} audio frames");
        assert_eq!((camera.counters().sessions, camera.counters().teardowns), (1, 1));
    });
}

#[test]
fn ffmpeg_plays_without_a_warning_over_tcp_and_udp() {
    beside(Settings::default(), |_, port| {
        for transport in ["tcp", "udp"] {
            let Some(errors) = warnings(&format!("rtsp://127.0.0.1:{port}/demo"), transport) else { return };
            assert_eq!(errors, "", "{transport}");
        }
    });
}

#[test]
fn ffmpeg_is_let_in_with_the_password_only() {
    let (user, password) = ("user".to_owned(), "p@ss:w/ö\"rd".to_owned());
    let basic = Auth::Basic { user: user.clone(), password: password.clone() };
    for auth in [Auth::Digest { user, password }, basic] {
        beside(Settings { auth, ..Settings::default() }, |camera, port| {
            let url = format!("rtsp://user:p%40ss%3Aw%2F%C3%B6%22rd@127.0.0.1:{port}/demo");
            let Some(errors) = warnings(&url, "tcp") else { return };
            assert_eq!(errors, "");
            assert_eq!(camera.counters().wrong_credentials, 0);
            let errors = warnings(&format!("rtsp://user:wrong@127.0.0.1:{port}/demo"), "tcp").unwrap();
            assert!(errors.contains("401 Unauthorized"), "{errors}");
            assert!(camera.counters().wrong_credentials > 0);
        });
    }
}

#[test]
fn ffmpeg_finds_its_way_past_a_stale_nonce_a_refused_transport_and_other_sound() {
    let auth = Auth::Digest { user: "user".to_owned(), password: "password".to_owned() };
    let clip = Arc::new(Clip::builtin().with_audio(Audio::pcmu_silence()));
    beside(Settings { auth, clip, udp: false, ..Settings::default() }, |camera, port| {
        camera.set_faults([Fault::StaleNonce]);
        let url = format!("rtsp://user:password@127.0.0.1:{port}/demo");
        let arguments = ["-v", "warning", "-i", &url, "-t", "2", "-map", "0", "-f", "null", "-"];
        let Some((_, errors)) = run("ffmpeg", &arguments) else { return };
        // UDP first, then TCP.
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.ends_with("method SETUP failed: 461 Unsupported Transport\n"), "{errors}");
        assert_eq!((camera.counters().wrong_credentials, camera.counters().teardowns), (0, 1));
    });
    let clip = Arc::new(Clip::builtin().with_audio(Audio::opus_silence()));
    beside(Settings { clip, ..Settings::default() }, |_, port| {
        assert_eq!(warnings(&format!("rtsp://127.0.0.1:{port}/demo"), "tcp").unwrap_or_default(), "");
    });
}

#[test]
fn ffmpeg_hears_the_tone_of_both_kinds_of_g711() {
    let dynamic = Audio::pcma_tone().with_payload_type(98);
    for (audio, codec) in [(Audio::pcmu_tone(), "pcm_mulaw"), (Audio::pcma_tone(), "pcm_alaw"), (dynamic, "pcm_alaw")] {
        let clip = Arc::new(Clip::builtin().with_audio(audio));
        beside(Settings { clip, ..Settings::default() }, |_, port| {
            let url = format!("rtsp://127.0.0.1:{port}/demo");
            let entries = "stream=codec_name,sample_rate,channels";
            let arguments = ["-v", "warning", "-select_streams", "a", "-show_entries", entries, "-of", "compact", &url];
            let Some((streams, _)) = run("ffprobe", &arguments) else { return };
            assert_eq!(streams.trim(), format!("stream|codec_name={codec}|sample_rate=8000|channels=1"));
            let filter = "aformat=s16,astats=metadata=1:reset=0,ametadata=print:file=-";
            let arguments = ["-v", "warning", "-i", &url, "-t", "2", "-map", "0:a", "-af", filter, "-f", "null", "-"];
            let Some((report, errors)) = run("ffmpeg", &arguments) else { return };
            assert_eq!(errors, "");
            let last = |key: &str| -> f64 {
                let prefix = format!("lavfi.astats.1.{key}=");
                report.lines().rev().find_map(|line| line.strip_prefix(&prefix)).unwrap().parse().unwrap()
            };
            // 440 waves cross zero 880 times in 8000 samples; a quarter of full scale is -12 dB.
            assert!((last("Zero_crossings_rate") - 0.11).abs() < 0.002, "{report}");
            assert!((last("Peak_level") + 12.04).abs() < 0.3, "{report}");
        });
    }
}

#[test]
fn b_frames_h265_and_slices_play_from_a_callers_bytes() {
    let cases: [(VideoCodec, &[&str]); 3] = [
        (VideoCodec::H264, &["-c:v", "libx264", "-bf", "2", "-b_strategy", "0", "-f", "h264"]),
        (VideoCodec::H265, &["-c:v", "libx265", "-x265-params", "bframes=0:log-level=none", "-f", "hevc"]),
        (VideoCodec::H264, &["-c:v", "libx264", "-bf", "0", "-slices", "4", "-f", "h264"]),
    ];
    let folder = std::env::temp_dir().join(format!("porthole-demo-camera-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("clip").to_str().unwrap().to_owned();
    for (codec, encoder) in cases {
        let source = ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4", "-pix_fmt", "yuv420p"];
        if run("ffmpeg", &[&source[..], encoder, &["-g", "25", &path]].concat()).is_none() {
            break;
        }
        // Closed GOPs of 25 pictures: I, then 8 times P and the two B shown before it.
        let order = |at: u32| match (at % 25).checked_sub(1) {
            None => at,
            Some(place) => at - place % 3 + [2, 0, 1][(place % 3) as usize],
        };
        let order: Vec<u32> = (0..100).filter(|_| encoder.contains(&"2")).map(order).collect();
        let bytes = std::fs::read(&path).unwrap();
        let clip = Clip::from_annex_b(codec, &bytes, 3600, &order).unwrap();
        assert_eq!(clip.pictures(), 100);
        beside(Settings { clip: Arc::new(clip), ..Settings::default() }, |_, port| {
            let errors = warnings(&format!("rtsp://127.0.0.1:{port}/demo"), "tcp").unwrap();
            assert_eq!(errors, "", "{encoder:?}");
        });
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A session of retina that plays all streams over TCP.
async fn play(port: u16, credentials: Option<Credentials>) -> Result<(Demuxed, Arc<SessionGroup>), retina::Error> {
    let group = Arc::new(SessionGroup::default());
    let options = SessionOptions::default().creds(credentials).session_group(Arc::clone(&group));
    let url = format!("rtsp://127.0.0.1:{port}/demo").parse().unwrap();
    let mut session = Session::describe(url, options).await?;
    let tcp = || SetupOptions::default().transport(Transport::Tcp(TcpTransportOptions::default()));
    for track in 0..session.streams().len() {
        session.setup(track, tcp()).await?;
    }
    let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    Ok((session.play(play).await?.demuxed()?, group))
}

/// The next access unit of the video; `None` at the end of the connection.
async fn next_video(frames: &mut Demuxed) -> Result<Option<VideoFrame>, retina::Error> {
    loop {
        match frames.next().await.transpose()? {
            Some(CodecItem::VideoFrame(frame)) => return Ok(Some(frame)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// Plays `units` access units and tears down: their times in ticks, and whether each is a key frame.
async fn retina_units(
    port: u16,
    units: usize,
    credentials: Option<Credentials>,
) -> Result<Vec<(i64, bool)>, retina::Error> {
    let (mut frames, group) = play(port, credentials).await?;
    let mut seen = Vec::new();
    while seen.len() < units
        && let Some(frame) = next_video(&mut frames).await?
    {
        assert_eq!(frame.loss(), 0);
        seen.push((frame.timestamp().elapsed(), frame.is_random_access_point()));
    }
    drop(frames);
    group.await_teardown().await?;
    Ok(seen)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time") })
}

#[test]
fn retina_plays_over_the_loop_with_digest_and_tears_down() {
    let (user, password) = ("user".to_owned(), "p@ss:w/ö\"rd".to_owned());
    let auth = Auth::Digest { user: user.clone(), password: password.clone() };
    // One second of the built-in clip, so that it loops twice.
    let clip = include_bytes!("../src/demo/clip.h264");
    let second_key =
        clip.windows(5).enumerate().filter(|(_, w)| w[..4] == [0, 0, 0, 1] && w[4] == 0x67).nth(1).unwrap().0;
    let clip = Clip::from_annex_b(VideoCodec::H264, &clip[..second_key], 6000, &[]).unwrap();
    let clip = Arc::new(clip.with_audio(Audio::from_adts(include_bytes!("../src/demo/clip.aac")).unwrap()));
    beside(Settings { auth, clip, ..Settings::default() }, |camera, port| {
        let credentials = Credentials { username: user, password };
        let started = Instant::now();
        let seen = block_on(retina_units(port, 40, Some(credentials))).unwrap();
        let took = started.elapsed().as_millis();
        assert!((2600..4600).contains(&took), "39 frames of 66.7 ms took {took} ms");
        let expected: Vec<(i64, bool)> = (0..40).map(|at| (at * 6000, at % 15 == 0)).collect();
        assert_eq!(seen, expected);
        assert_eq!(camera.counters().teardowns, 1);
        let wrong = Credentials { username: "user".to_owned(), password: "wrong".to_owned() };
        let refused = block_on(retina_units(port, 1, Some(wrong))).unwrap_err();
        assert_eq!(refused.status_code(), Some(401));
    });
}

#[test]
fn retina_meets_the_faults_it_is_promised() {
    beside(Settings::default(), |camera, port| {
        camera.set_faults([Fault::Status(porthole::demo::Method::Describe, 404)]);
        assert_eq!(block_on(retina_units(port, 1, None)).unwrap_err().status_code(), Some(404));
        camera.set_faults([Fault::Status(porthole::demo::Method::Setup, 453)]);
        assert_eq!(block_on(retina_units(port, 1, None)).unwrap_err().status_code(), Some(453));
        camera.set_faults([Fault::WrongSsrc]);
        assert!(block_on(retina_units(port, 1, None)).is_err());
        camera.set_faults([Fault::Garbage]);
        assert!(block_on(retina_units(port, 1, None)).is_err());
        camera.set_faults([Fault::CloseAfter(3)]);
        assert_eq!(block_on(retina_units(port, 100, None)).unwrap().len(), 3);
        camera.set_faults([
            Fault::NoRtpInfo,
            Fault::NoParameterSetsInSdp,
            Fault::LargePackets,
            Fault::BitrateTimes(10),
        ]);
        assert_eq!(block_on(retina_units(port, 16, None)).unwrap().len(), 16);
        camera.set_faults([]);
        assert_eq!(block_on(retina_units(port, 2, None)).unwrap().len(), 2);
    });
}

#[test]
fn retina_sees_loss_jumps_and_a_new_picture_size() {
    beside(Settings::default(), |camera, port| {
        camera.set_faults([Fault::TimestampJump { after: 3, ticks: 900_000 }, Fault::NoKeyFrameAfterFirst]);
        let seen = block_on(retina_units(port, 20, None)).unwrap();
        assert_eq!(seen[2..4], [(12_000, false), (918_000, false)]);
        assert_eq!(seen.iter().filter(|(_, key)| *key).count(), 1);
        camera.set_faults([Fault::SwitchClip { after: 5, clip: Arc::new(Clip::small()) }]);
        let sizes = block_on(async {
            let mut frames = play(port, None).await.unwrap().0;
            let mut sizes = Vec::new();
            for _ in 0..20 {
                next_video(&mut frames).await.unwrap().unwrap();
                let parameters = frames.streams()[0].parameters();
                let Some(ParametersRef::Video(parameters)) = parameters else { panic!("no parameters") };
                sizes.push(parameters.pixel_dimensions());
            }
            sizes
        });
        assert_eq!((sizes[4], sizes[5]), ((640, 360), (320, 180)));
        camera.set_faults([Fault::DropEvery(20), Fault::BitrateTimes(10)]);
        let lost: u32 = block_on(async {
            let mut frames = play(port, None).await.unwrap().0;
            let mut lost = 0;
            for _ in 0..30 {
                lost += u32::from(next_video(&mut frames).await.unwrap().unwrap().loss());
            }
            lost
        });
        assert!(lost >= 4, "{lost} packets lost");
        camera.set_faults([Fault::FreezeAfter(2)]);
        block_on(async {
            let mut frames = play(port, None).await.unwrap().0;
            for _ in 0..2 {
                next_video(&mut frames).await.unwrap().unwrap();
            }
            let third = tokio::time::timeout(Duration::from_millis(500), next_video(&mut frames)).await;
            assert!(third.is_err(), "a frozen camera sent a picture");
            camera.set_faults([]);
            let at = next_video(&mut frames).await.unwrap().unwrap().timestamp().elapsed();
            assert!(at > 6000 * 6, "media time ran on while it was frozen: {at}");
        });
    });
}

#[test]
fn hostile_clients_are_let_go_and_others_still_play() {
    use std::io::{Read as _, Write as _};
    beside(Settings::default(), |camera, port| {
        let open = || {
            let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream
        };
        for bytes in [&[b'A'; 100_000][..], b"\x16\x03\x01\0\0", b"GET / HTTP/1.1\r\n\r\n"] {
            let mut stream = open();
            let _reset_while_writing = stream.write_all(bytes);
            let mut answer = Vec::new();
            let _reset_while_reading = stream.read_to_end(&mut answer);
            assert!(answer.is_empty() || answer.starts_with(b"RTSP/1.0 400 "), "{}", String::from_utf8_lossy(&answer));
        }
        // A client that sets up, asks for a thousand times the bitrate, and never reads.
        let mut greedy = open();
        greedy
            .write_all(b"SETUP rtsp://h/demo/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP\r\n\r\n")
            .unwrap();
        let mut answer = [0; 512];
        let len = greedy.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
        let (_, session) = answer.split_once("Session: ").unwrap();
        let session = session.split(';').next().unwrap();
        camera.set_faults([Fault::BitrateTimes(1000)]);
        greedy
            .write_all(format!("PLAY rtsp://h/demo RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n").as_bytes())
            .unwrap();
        let idle: Vec<_> = (0..20).map(|_| open()).collect();
        std::thread::sleep(Duration::from_secs(8));
        camera.set_faults([]);
        assert_eq!((camera.counters().slow_clients, camera.counters().open_sessions), (1, 0));
        assert_eq!(block_on(retina_units(port, 16, None)).unwrap().len(), 16);
        drop(idle);
    });
}
