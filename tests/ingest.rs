//! Ingest against the demo camera and its faults: what is delivered, what is said, and how often the camera is asked.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may")]

use std::cell::{Cell, RefCell};
use std::io::{Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::{or, poll_once};
use porthole::demo::{self, Audio, Auth, Camera, Clip, Fault, Method};
use porthole::hub::{Hub, Limits};
use porthole::ingest::{
    Credentials, Event, Facts, Meter, Report, Settings, Timeouts, Transport, TransportChoice, Warning, probe, run,
};
use porthole::media::{AccessUnit, AudioCodec, StreamId, Ticks, Track, VideoCodec, nal};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// No test waits longer.
const LIMIT: Duration = Duration::from_secs(20);

/// What a task told and delivered.
#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    units: Vec<Rc<AccessUnit>>,
    facts: Facts,
}

impl Seen {
    fn failures(&self) -> Vec<String> {
        let sentence = |event: &Event| match event {
            Event::Failed { cause, .. } => Some(cause.to_string()),
            _ => None,
        };
        self.events.iter().filter_map(sentence).collect()
    }

    fn transports(&self) -> Vec<Transport> {
        let transport = |event: &Event| match event {
            Event::Connected { transport, .. } => Some(*transport),
            _ => None,
        };
        self.events.iter().filter_map(transport).collect()
    }

    fn warnings(&self) -> Vec<Warning> {
        let warning = |event: &Event| match event {
            Event::Warning(warning) => Some(warning.clone()),
            _ => None,
        };
        self.events.iter().filter_map(warning).collect()
    }

    /// Name and reason of each sound that was left out.
    fn skipped(&self) -> Vec<(String, String)> {
        let skipped = |event: &Event| match event {
            Event::SoundSkipped(sound) => Some((sound.codec.clone(), sound.reason.to_string())),
            _ => None,
        };
        self.events.iter().filter_map(skipped).collect()
    }

    fn sessions(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Streaming)).count()
    }

    fn of(&self, track: Track) -> impl Iterator<Item = &Rc<AccessUnit>> {
        self.units.iter().filter(move |unit| unit.track == track)
    }

    fn breaks(&self) -> Vec<usize> {
        self.of(Track::Video).enumerate().filter(|(_, unit)| unit.discontinuity).map(|(index, _)| index).collect()
    }

    /// What every reader of the hub may rely on.
    fn check_promises(&self) {
        for track in [Track::Video, Track::Audio] {
            let units: Vec<_> = self.of(track).collect();
            assert!(units.iter().all(|unit| unit.dts <= unit.pts && (!unit.discontinuity || unit.key_frame)));
            assert!(units.windows(2).all(|pair| pair[0].dts < pair[1].dts), "{track:?} goes back");
        }
    }
}

fn settings(port: u16) -> Settings {
    let second = Duration::from_secs(1);
    Settings {
        id: StreamId::parse("demo").unwrap(),
        url: format!("rtsp://127.0.0.1:{port}/demo").parse().unwrap(),
        credentials: None,
        transport: TransportChoice::Auto,
        audio: true,
        timeouts: Timeouts { connect: second, answer: second, first_picture: second, silence: second },
        seed: 1,
    }
}

/// Runs `task` in a runtime like the gateway's, beside `camera`, which is given time to count what it was told.
fn beside<T>(camera: &Camera, task: impl AsyncFnOnce(u16) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let executor = smol::LocalExecutor::new();
    runtime.block_on(executor.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async {
            camera.clone().serve(listener).await;
            unreachable!("the camera serves for ever")
        };
        let work = async {
            let result = task(port).await;
            sleep(Duration::from_millis(50)).await;
            result
        };
        or(work, serve).await
    }))
}

/// Watches until `enough`; fails when that takes too long.
async fn watch(settings: Settings, enough: impl Fn(&Seen) -> bool) -> Seen {
    let (hub, meter) = (Hub::new(), Rc::new(Meter::default()));
    let mut reader = hub.subscribe(Limits { units: 10_000, bytes: 100_000_000 });
    let seen = RefCell::new(Seen::default());
    let begun = Instant::now();
    let stop = async {
        loop {
            while let Some(delivery) = reader.try_next() {
                seen.borrow_mut().units.push(delivery.unit);
            }
            if enough(&seen.borrow()) {
                break;
            }
            let failures = seen.borrow().failures();
            assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {failures:?}");
            sleep(Duration::from_millis(10)).await;
        }
    };
    run(settings, hub, Rc::clone(&meter), |event| seen.borrow_mut().events.push(event), stop).await;
    let mut seen = seen.into_inner();
    seen.facts = meter.facts();
    seen.check_promises();
    seen
}

fn watch_camera(camera: &Camera, change: impl FnOnce(&mut Settings), enough: impl Fn(&Seen) -> bool) -> Seen {
    beside(camera, async |port| {
        let mut settings = settings(port);
        change(&mut settings);
        watch(settings, enough).await
    })
}

fn login(user: &str, password: &str) -> Option<Credentials> {
    Some(Credentials { username: user.to_owned(), password: password.to_owned() })
}

#[test]
fn pictures_and_sound_arrive_by_tcp_and_the_session_is_torn_down() {
    let camera = Camera::new(demo::Settings::default());
    let seen = watch_camera(&camera, |_| {}, |seen| seen.of(Track::Video).count() >= 40);
    assert_eq!((seen.transports(), seen.failures(), seen.breaks()), (vec![Transport::Tcp], vec![], vec![]));
    let first = &seen.units[0];
    assert!(first.key_frame && first.pts == Ticks::from_secs(10));
    assert_eq!((first.format.video.codec, first.format.video.width), (VideoCodec::H264, 640));
    assert_eq!(first.format.audio.as_ref().unwrap().sample_rate, 16_000);
    for unit in seen.of(Track::Video) {
        let kinds: Vec<_> = nal::units(&unit.data).map(|unit| nal::kind(VideoCodec::H264, unit)).collect();
        assert!(!kinds.contains(&nal::Kind::ParameterSet));
    }
    for unit in seen.of(Track::Audio) {
        assert_eq!(unit.data[..2], [0xFF, 0xF1], "ADTS");
    }
    assert_eq!(seen.facts.access_units, seen.units.len() as u64);
    let counters = camera.counters();
    assert_eq!((counters.sessions, counters.teardowns, counters.open_sessions), (1, 1, 0));
}

#[test]
fn a_camera_that_refuses_tcp_is_asked_by_udp() {
    let camera = Camera::new(demo::Settings { tcp: false, ..demo::Settings::default() });
    let seen = watch_camera(&camera, |_| {}, |seen| seen.of(Track::Video).count() >= 20);
    assert_eq!((seen.transports(), seen.failures()), (vec![Transport::Udp], vec![]));
    assert_eq!((camera.counters().most_sessions, camera.counters().describes), (1, 2));
    let tcp = |settings: &mut Settings| settings.transport = TransportChoice::Tcp;
    let seen = watch_camera(&camera, tcp, |seen| !seen.failures().is_empty());
    assert_eq!(seen.failures(), ["127.0.0.1 does not send by TCP: choose another transport for this camera"]);
}

#[test]
fn passwords_with_any_characters_open_digest_and_basic() {
    let (user, password) = ("admin".to_owned(), "p@ss:w/ö\"rd%1 ?#".to_owned());
    let digest = Auth::Digest { user: user.clone(), password: password.clone() };
    for auth in [digest, Auth::Basic { user: user.clone(), password: password.clone() }] {
        let camera = Camera::new(demo::Settings { auth, ..demo::Settings::default() });
        let right = |settings: &mut Settings| settings.credentials = login(&user, &password);
        assert_eq!(watch_camera(&camera, right, |seen| seen.units.len() > 5).failures(), Vec::<String>::new());
        assert_eq!(camera.counters().wrong_credentials, 0);
        let seen = watch_camera(&camera, |_| {}, |seen| !seen.failures().is_empty());
        assert_eq!(seen.failures(), ["127.0.0.1 asks for a user name and a password: enter them in the configuration"]);
    }
}

#[test]
fn a_refused_password_is_tried_three_times_only() {
    let auth = Auth::Digest { user: "admin".to_owned(), password: "right".to_owned() };
    let camera = Camera::new(demo::Settings { auth, ..demo::Settings::default() });
    let wrong = |settings: &mut Settings| settings.credentials = login("admin", "s3cret");
    let third = Cell::new(None);
    let seen = watch_camera(&camera, wrong, |seen| {
        if seen.failures().len() == 3 && third.get().is_none() {
            third.set(Some(Instant::now()));
        }
        third.get().is_some_and(|at: Instant| at.elapsed() > Duration::from_secs(2))
    });
    assert_eq!(
        seen.failures(),
        [
            "password refused by 127.0.0.1; tries left: 2",
            "password refused by 127.0.0.1; tries left: 1",
            "password refused by 127.0.0.1; trying every 5 minutes, because cameras lock accounts"
        ]
    );
    assert!(matches!(seen.events.last(), Some(Event::Failed { retry_in, .. }) if retry_in.as_secs() == 300));
    assert_eq!(camera.counters().wrong_credentials, 3);
}

#[test]
fn a_stale_nonce_is_not_a_refused_password() {
    let auth = Auth::Digest { user: "admin".to_owned(), password: "right".to_owned() };
    let camera = Camera::new(demo::Settings { auth, ..demo::Settings::default() });
    camera.set_faults([Fault::StaleNonce]);
    let right = |settings: &mut Settings| settings.credentials = login("admin", "right");
    let seen = watch_camera(&camera, right, |seen| {
        let failures = seen.failures().len();
        if failures > 0 {
            camera.set_faults([]);
        }
        seen.units.len() > 5
    });
    assert_eq!(seen.failures(), ["127.0.0.1 answers PLAY with status 401"]);
}

#[test]
fn each_failure_has_its_sentence() {
    let broken = "127.0.0.1 sends a broken stream: ";
    let cases: &[(Fault, &str)] = &[
        (Fault::Status(Method::Describe, 404), "path /demo not found on the camera (404)"),
        (Fault::Status(Method::Describe, 403), "127.0.0.1 forbids this stream (403): "),
        (Fault::Status(Method::Setup, 453), "127.0.0.1 has no session left (453): "),
        (Fault::Status(Method::Play, 503), "127.0.0.1 has no session left (503): "),
        (Fault::Status(Method::Play, 500), "127.0.0.1 answers PLAY with status 500"),
        (Fault::Hang(Method::Describe), "127.0.0.1 does not answer DESCRIBE: "),
        (Fault::Hang(Method::Setup), "127.0.0.1 does not answer SETUP: "),
        (Fault::Hang(Method::Play), "127.0.0.1 does not answer PLAY: "),
        (Fault::HangAtConnect, "127.0.0.1 does not answer DESCRIBE: "),
        (Fault::CloseAtConnect, "127.0.0.1 closed the connection during DESCRIBE"),
        (Fault::Garbage, "does not speak RTSP: check the port (usually 554)"),
        (Fault::JpegInSdp, "sends JPEG: H.264 or H.265 is needed, choose it in the camera"),
        (Fault::FreezeAfter(0), "connected but no picture in 1 s"),
        (Fault::FreezeAfter(5), "silent for 1 s"),
        (Fault::CloseAfter(5), "127.0.0.1 closed the connection during streaming"),
        (Fault::WrongSsrc, broken),
    ];
    for (fault, expected) in cases {
        let camera = Camera::new(demo::Settings::default());
        camera.set_faults([fault.clone()]);
        let seen = watch_camera(&camera, |_| {}, |seen| !seen.failures().is_empty());
        let said = seen.failures().remove(0);
        assert!(said.contains(expected), "{fault:?}: {said}");
    }
}

#[test]
fn where_nobody_listens_the_connection_is_refused() {
    let camera = Camera::new(demo::Settings::default());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = |settings: &mut Settings| settings.url.set_port(Some(closed)).unwrap();
    let seen = watch_camera(&camera, url, |seen| !seen.failures().is_empty());
    assert_eq!(
        seen.failures(),
        [format!(
            "connection refused by 127.0.0.1 on port {closed}: check the RTSP port, and that RTSP is enabled in the camera"
        )]
    );
}

#[test]
fn udp_that_does_not_get_through_is_told_from_a_camera_without_pictures() {
    let camera = Camera::new(demo::Settings::default());
    camera.set_faults([Fault::FreezeAfter(0)]);
    let udp = |settings: &mut Settings| settings.transport = TransportChoice::Udp;
    let seen = watch_camera(&camera, udp, |seen| !seen.failures().is_empty());
    assert_eq!(seen.failures(), ["no packets arrived by UDP in 1 s: is a firewall between?"]);
}

#[test]
fn a_camera_that_freezes_or_closes_is_reconnected_on_one_timeline_with_one_session_at_a_time() {
    for fault in [Fault::FreezeAfter(20), Fault::CloseAfter(20)] {
        let camera = Camera::new(demo::Settings::default());
        camera.set_faults([fault.clone()]);
        let seen = watch_camera(
            &camera,
            |_| {},
            |seen| {
                if !seen.failures().is_empty() {
                    camera.set_faults([]);
                }
                seen.sessions() == 2 && seen.of(Track::Video).count() > 60
            },
        );
        assert_eq!((seen.breaks().len(), camera.counters().most_sessions), (1, 1), "{fault:?}");
        // One format: the camera is the same as before.
        assert!(seen.units.iter().all(|unit| Rc::ptr_eq(&unit.format, &seen.units[0].format)));
        let (first, last) = (&seen.units[0], seen.of(Track::Video).last().unwrap());
        let drift = (last.pts - first.pts) - Ticks::from_duration(last.received - first.received);
        assert!(drift.0.abs() < 90_000 / 2, "{fault:?}: {} ticks off the clock", drift.0);
    }
}

#[test]
fn a_camera_absent_at_start_is_found_when_it_comes() {
    let camera = Camera::new(demo::Settings::default());
    let seen = beside(&camera, async |_| {
        let late = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = late.local_addr().unwrap();
        drop(late);
        let serve = async {
            sleep(Duration::from_millis(300)).await;
            camera.clone().serve(TcpListener::bind(address).await.unwrap()).await;
            unreachable!("the camera serves for ever")
        };
        or(watch(settings(address.port()), |seen| seen.units.len() > 5), serve).await
    });
    assert_eq!(seen.failures().len(), 1);
    assert!(seen.breaks().is_empty(), "the first run is no break");
}

#[test]
fn a_clock_that_jumps_keeps_flowing_and_breaks_once() {
    for ticks in [90_000_000, -90_000_000] {
        let camera = Camera::new(demo::Settings::default());
        camera.set_faults([Fault::TimestampJump { after: 20, ticks }]);
        let seen = watch_camera(&camera, |_| {}, |seen| seen.of(Track::Video).count() >= 50);
        assert_eq!((seen.breaks().len(), seen.failures(), seen.warnings()), (1, vec![], vec![Warning::ClockJump]));
        let pts: Vec<_> = seen.of(Track::Video).map(|unit| unit.pts.0).collect();
        assert!(pts.windows(2).all(|pair| pair[1] - pair[0] < 45_000), "no hole on the timeline");
    }
}

#[test]
fn another_sps_takes_effect_with_a_break() {
    let camera = Camera::new(demo::Settings::default());
    camera.set_faults([Fault::SwitchClip { after: 20, clip: Arc::new(Clip::small()) }]);
    let seen = watch_camera(&camera, |_| {}, |seen| seen.of(Track::Video).count() >= 40);
    let formats: Vec<_> = seen.events.iter().filter(|event| matches!(event, Event::Format(_))).collect();
    assert_eq!((formats.len(), seen.breaks(), seen.failures()), (2, vec![20], vec![]));
    let widths: Vec<_> = seen.of(Track::Video).map(|unit| unit.format.video.width).collect();
    assert!(widths[19] == 640 && widths[20] < 640, "{widths:?}");
}

#[test]
fn lost_packets_are_counted_and_pictures_go_on() {
    let camera = Camera::new(demo::Settings::default());
    camera.set_faults([Fault::DropEvery(10)]);
    let seen = watch_camera(&camera, |_| {}, |seen| seen.of(Track::Video).count() >= 40);
    assert!(seen.facts.lost_packets > 3 && seen.units.iter().any(|unit| unit.lost_packets > 0));
    assert_eq!(seen.failures(), Vec::<String>::new());
}

#[test]
fn parameter_sets_may_come_from_the_description_or_in_band_alone() {
    for fault in [Fault::NoParameterSetsInSdp, Fault::NoParameterSetsInBand] {
        let camera = Camera::new(demo::Settings::default());
        camera.set_faults([fault]);
        let seen = watch_camera(&camera, |_| {}, |seen| seen.units.len() > 5);
        assert_eq!(seen.units[0].format.video.parameter_sets.len(), 2);
    }
}

#[test]
fn sound_stays_with_the_picture_without_rtp_info() {
    for faults in [vec![], vec![Fault::NoRtpInfo]] {
        let camera = Camera::new(demo::Settings::default());
        camera.set_faults(faults);
        let seen = watch_camera(&camera, |_| {}, |seen| seen.of(Track::Audio).count() > 20);
        let apart = |unit: &Rc<AccessUnit>| {
            let picture = seen.of(Track::Video).next().unwrap();
            (unit.pts - picture.pts) - Ticks::from_duration(unit.received.saturating_duration_since(picture.received))
        };
        // The middle one: what arrived while the machine was late says nothing.
        let mut all: Vec<_> = seen.of(Track::Audio).map(apart).collect();
        all.sort();
        assert!(all[all.len() / 2].0.abs() < 90_000 / 4, "{all:?}");
    }
}

/// The demo camera with this sound beside its picture.
fn camera_with(audio: Audio) -> Camera {
    let clip = Arc::new(Clip::builtin().with_audio(audio));
    Camera::new(demo::Settings { clip, ..demo::Settings::default() })
}

#[test]
fn g711_arrives_as_it_was_sent_and_stays_with_the_picture() {
    let cases = [
        (Audio::pcmu_tone(), AudioCodec::Pcmu, TransportChoice::Tcp),
        (Audio::pcma_tone(), AudioCodec::Pcma, TransportChoice::Udp),
        (Audio::pcma_tone().with_payload_type(98), AudioCodec::Pcma, TransportChoice::Tcp),
    ];
    for (audio, codec, transport) in cases {
        let camera = camera_with(audio);
        let choose = |settings: &mut Settings| settings.transport = transport;
        let seen = watch_camera(&camera, choose, |seen| seen.of(Track::Audio).count() >= 50);
        assert_eq!((seen.skipped(), seen.failures(), seen.breaks()), (vec![], vec![], vec![]));
        let format = seen.units[0].format.audio.clone().unwrap();
        assert_eq!((format.codec, format.sample_rate, format.channels), (codec, 8000, 1));
        assert_eq!(format.rfc6381, "");
        let sound: Vec<_> = seen.of(Track::Audio).collect();
        assert!(sound.iter().all(|unit| unit.data.len() == 160 && unit.dts == unit.pts && !unit.key_frame));
        let steps: Vec<_> = sound.windows(2).map(|pair| (pair[1].pts - pair[0].pts).0).collect();
        assert!(steps.iter().all(|step| *step == 1800), "{steps:?}");
        // 11 waves of the tone are 200 samples.
        let samples: Vec<u8> = sound.iter().flat_map(|unit| unit.data.iter().copied()).collect();
        assert!(samples.windows(201).all(|window| window[0] == window[200]), "samples are missing or out of order");
        assert!(samples[..100] != samples[100..200], "not a tone");
        let last = |track| seen.of(track).last().unwrap().pts;
        assert!((last(Track::Audio) - last(Track::Video)).0.abs() < 90_000 / 4);
    }
}

#[test]
fn other_sound_is_skipped_with_a_reason_and_the_picture_plays() {
    let kind =
        |what: &str| format!("G.711 is carried at 8000 Hz in mono only, not at {what}: choose AAC in the camera");
    let cases = [
        (Audio::opus_silence(), "OPUS", "OPUS sound is not carried: choose AAC in the camera".to_owned()),
        (Audio::pcma_tone().with_payload_type(98).described_as(16_000, 1), "PCMA", kind("16000 Hz in mono")),
        (Audio::pcmu_tone().with_payload_type(98).described_as(8000, 2), "PCMU", kind("8000 Hz in stereo")),
    ];
    for (audio, name, reason) in cases {
        let seen = watch_camera(&camera_with(audio), |_| {}, |seen| seen.of(Track::Video).count() > 20);
        assert_eq!(seen.skipped(), [(name.to_owned(), reason)]);
        assert_eq!((seen.of(Track::Audio).count(), &seen.units[0].format.audio), (0, &None));
    }
}

#[test]
fn sound_that_breaks_its_session_is_left_out_of_the_next_so_that_the_picture_plays() {
    let camera = camera_with(Audio::pcma_tone());
    camera.set_faults([Fault::EmptySound]);
    let seen = watch_camera(&camera, |_| {}, |seen| seen.of(Track::Video).count() > 30);
    let detail = "invalid length 0 for payload of 8-bit audio samples";
    assert_eq!(seen.failures(), [format!("127.0.0.1 sends a broken stream: {detail}")]);
    let reason = format!("the camera's sound broke its stream ({detail}): choose AAC in the camera");
    assert_eq!(seen.skipped(), [("PCMA".to_owned(), reason)]);
    assert_eq!(seen.units.last().unwrap().format.audio, None);
}

#[test]
fn sound_can_be_left_out() {
    let camera = Camera::new(demo::Settings::default());
    let seen = watch_camera(&camera, |settings| settings.audio = false, |seen| seen.units.len() > 20);
    assert_eq!(seen.of(Track::Audio).count(), 0);
    assert_eq!(seen.units[0].format.audio, None);
}

#[test]
fn a_task_that_is_dropped_tears_its_session_down_too() {
    let camera = Camera::new(demo::Settings::default());
    beside(&camera, async |port| {
        let (hub, meter) = (Hub::new(), Rc::new(Meter::default()));
        let delivering = async {
            while hub.published() == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        or(run(settings(port), hub.clone(), meter, |_| {}, std::future::pending()), delivering).await;
    });
    assert_eq!((camera.counters().teardowns, camera.counters().open_sessions), (1, 0));
}

#[test]
fn stopping_waits_for_a_hanging_teardown_one_second_at_most() {
    let camera = Camera::new(demo::Settings::default());
    camera.set_faults([Fault::Hang(Method::Teardown)]);
    let stopped = Cell::new(None);
    beside(&camera, async |port| {
        let seen = watch(settings(port), |seen| {
            let enough = seen.units.len() > 5;
            stopped.set(enough.then(Instant::now));
            enough
        });
        let mut seen = std::pin::pin!(seen);
        while poll_once(&mut seen).await.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        let took = stopped.get().unwrap().elapsed();
        // retina itself would wait 5 s.
        assert!((900..2500).contains(&took.as_millis()), "{took:?}");
    });
}

#[test]
fn a_probe_says_what_the_camera_sends_and_where_it_plays() {
    let camera = Camera::new(demo::Settings::default());
    let look = |camera: &Camera| -> Report {
        let (least, most) = (Duration::from_secs(2), Duration::from_secs(6));
        beside(camera, async |port| probe(settings(port), least, most).await).unwrap()
    };
    let printed = look(&camera).to_string();
    for line in [
        "transport  TCP",
        "video      H.264 640x360, avc1.",
        "rate       15.0 pictures/s, ",
        "key frames every 1.0 s",
        "no B-frames",
        "sound      AAC 16000 Hz, 1 channels, plays as HLS only\n",
        "lost       0 packets",
        "plays as HLS     yes\n",
        "plays as WebRTC  yes, but without sound",
    ] {
        assert!(printed.contains(line), "{line:?} in\n{printed}");
    }
    assert_eq!((camera.counters().sessions, camera.counters().teardowns), (1, 1));
    let printed = look(&camera_with(Audio::pcma_tone())).to_string();
    for line in [
        "sound      PCMA 8000 Hz, 1 channels, plays as WebRTC only\n",
        "plays as HLS     yes, but without sound\n",
        "plays as WebRTC  yes",
    ] {
        assert!(printed.contains(line), "{line:?} in\n{printed}");
    }
    assert!(printed.ends_with("yes"), "{printed}");
    let printed = look(&camera_with(Audio::opus_silence())).to_string();
    for line in [
        "sound      OPUS 48000 Hz, plays nowhere: OPUS sound is not carried: choose AAC in the camera\n",
        "plays as HLS     yes, but without sound\n",
        "plays as WebRTC  yes, but without sound",
    ] {
        assert!(printed.contains(line), "{line:?} in\n{printed}");
    }
    camera.set_faults([Fault::DropEvery(10)]);
    assert!(look(&camera).hls().to_string().starts_with("yes, but damaged: "));
    camera.set_faults([Fault::Status(Method::Describe, 404)]);
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(2));
    let failed =
        beside(&camera, async |port| probe(settings(port), least, most).await).map(|report| report.to_string());
    assert_eq!(failed.unwrap_err().to_string(), "path /demo not found on the camera (404)");
}

/// Answers whatever it is asked until PLAY, then sends one picture that never ends, at the pace of Gigabit Ethernet: as
/// fast as loopback takes it would also measure how often the machine lets the reader run.
fn endless_picture(listener: &std::net::TcpListener) {
    const SDP: &str = "v=0\r\ns=-\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\n";
    let (mut stream, _) = listener.accept().unwrap();
    let mut input = vec![0; 4096];
    loop {
        let length = stream.read(&mut input).unwrap();
        let request = String::from_utf8_lossy(&input[..length]).into_owned();
        let cseq = request.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("cseq:").map(str::to_owned));
        let (headers, body) = match request.split(' ').next().unwrap() {
            "DESCRIBE" => ("Content-Type: application/sdp\r\n", SDP),
            "SETUP" => ("Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", ""),
            _ => ("Session: 1\r\n", ""),
        };
        let length = body.len();
        let cseq = cseq.unwrap();
        let answer = format!("RTSP/1.0 200 OK\r\nCSeq:{cseq}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
        if request.starts_with("PLAY") {
            break;
        }
    }
    // 300 MB: enough to be seen, and no harm to the machine when nobody ends it.
    for sent in 0_u16..5000 {
        let [high, low] = sent.to_be_bytes();
        let fragment = if sent == 0 { 0x85 } else { 0x05 };
        let mut packet = vec![b'$', 0, 0xEA, 0x60, 0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 1, 0x7C, fragment];
        packet.resize(4 + 60_000, 0xFF);
        if stream.write_all(&packet).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_micros(480));
    }
    // The connection stays open until the other side has enough.
    while stream.read(&mut input).is_ok_and(|length| length > 0) {}
}

#[test]
fn a_picture_without_end_is_ended() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let attack = std::thread::spawn(move || endless_picture(&listener));
    let camera = Camera::new(demo::Settings::default());
    let seen = beside(&camera, async |_| {
        let long = Duration::from_secs(15);
        let patient = Timeouts { first_picture: long, silence: long, ..settings(port).timeouts };
        watch(Settings { timeouts: patient, ..settings(port) }, |seen| !seen.failures().is_empty()).await
    });
    assert_eq!(seen.failures(), ["127.0.0.1 sends a broken stream: a picture without end"]);
    attack.join().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let kilobytes: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(kilobytes < 100_000, "{peak} at most");
}
