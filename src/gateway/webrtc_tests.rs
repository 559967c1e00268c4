//! The output as the gateway uses it, with a port of its own and a camera that needs no RTSP.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::rc::Rc;

use super::*;
use crate::config::{Board, Config, Machine, Plan};
use crate::gateway::now;
use crate::hub::Hub;
use crate::ingest::Event;
use crate::media::{AudioFormat, VideoCodec, VideoFormat};

const OFFER: &str = include_str!("../webrtc/chromium-offer.sdp");

struct Rig {
    output: Output,
    executor: Rc<LocalExecutor<'static>>,
    changed: Rc<Notify>,
    plan: WebRtcPlan,
    yard: Rc<Entry>,
}

impl Rig {
    /// WebRTC is off; the camera `yard` sends H.264 and AAC.
    fn new() -> Self {
        let machine = Machine { memory: 1 << 32, tmpfs: None };
        let text = "[hls]\nenabled = false\n[webrtc]\naddresses = [\"127.0.0.1\"]\n[[camera]]\nid = \"yard\"\n\
                    url = \"rtsp://10.0.0.1/1\"\nmax_viewers = 2\n";
        let config = Config::parse(text, |_| Ok("secret".to_owned())).unwrap();
        let plan = Plan::resolve(&config, &Board::generic(&machine), &machine).unwrap();
        let changed = Rc::<Notify>::default();
        let yard = Entry::new(plan.cameras[0].clone(), None, &changed, now());
        let video = VideoFormat {
            codec: VideoCodec::H264,
            parameter_sets: Vec::new(),
            width: 640,
            height: 360,
            rfc6381: "avc1.64001F".to_owned(),
        };
        let audio = AudioFormat { codec: AudioCodec::Aac, sample_rate: 8000, channels: 1, rfc6381: String::new() };
        yard.record.on_event(Event::Format(Rc::new(StreamFormat { video, audio: Some(audio) })), now());
        yard.record.on_event(Event::Streaming, now());
        *yard.hub.borrow_mut() = Some(Hub::new());
        let port = UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
        let plan = WebRtcPlan { udp_port: port, ..plan.webrtc.unwrap() };
        Self { output: Output::new(Rc::clone(&changed)), executor: Rc::default(), changed, plan, yard }
    }

    /// Starts the output and waits until it serves, or has failed.
    async fn restart(&self) {
        self.output.restart(Some(&self.plan), &self.executor);
        let starting = || self.status().problem.is_some_and(|fault| fault.code == "webrtc_starting");
        assert!(starting());
        while starting() {
            self.executor.run(self.changed.notified()).await;
        }
    }

    fn watch(&self) -> Result<Answer, WatchRefusal> {
        let offer = Offer { camera: self.yard.plan.camera.id, sdp: OFFER.to_owned(), arrived_at: None };
        self.output.watch(&self.yard, &offer)
    }

    fn status(&self) -> WebRtcStatus {
        WebRtcStatus::clone(&self.output.status(now()).unwrap())
    }
}

fn on_media_thread(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), body).await.expect("in time") });
}

#[test]
fn a_refusal_says_whose_fault_it_is() {
    let yard = StreamId::parse("yard").unwrap();
    let no_codec = OpenError::NoSharedCodec { sends: VideoCodec::H265, accepts: vec!["VP8".to_owned()] };
    let sentence = "camera sends H.265, this browser accepts VP8: use HLS".to_owned();
    let no_numbers = "the system gives no random numbers: getrandom: this target is not supported".to_owned();
    for (error, expected) in [
        (OpenError::BadOffer("it is short".to_owned()), WatchRefusal::BadOffer("it is short".to_owned())),
        (no_codec, WatchRefusal::NotPlayable { code: "no_shared_codec", sentence }),
        (OpenError::Full { of_camera: true, limit: 4 }, WatchRefusal::Full { camera: Some(yard), limit: 4 }),
        (OpenError::Full { of_camera: false, limit: 16 }, WatchRefusal::Full { camera: None, limit: 16 }),
        (OpenError::NoRandomness(getrandom::Error::UNSUPPORTED), WatchRefusal::Failed(no_numbers)),
    ] {
        assert_eq!(refusal(yard, error), expected);
    }
}

#[test]
fn an_output_that_is_off_says_so_and_has_no_status() {
    let rig = Rig::new();
    assert_eq!(rig.watch(), Err(WatchRefusal::Off));
    assert!(rig.output.status(now()).is_none() && rig.output.camera_status(&rig.yard).is_none());
    rig.output.restart(None, &rig.executor);
    assert_eq!(rig.watch(), Err(WatchRefusal::Off));
}

#[test]
fn a_session_is_told_in_the_status_and_ends_by_request() {
    on_media_thread(async {
        let rig = Rig::new();
        rig.restart().await;
        let (yard, other) = (rig.yard.plan.camera.id, StreamId::parse("roof").unwrap());
        assert!(!rig.output.watches(yard));
        let answer = rig.watch().unwrap();
        assert!(answer.sdp.contains(&format!(" 127.0.0.1 {} typ host", rig.plan.udp_port)), "{}", answer.sdp);
        assert!(rig.output.watches(yard) && !rig.output.watches(other));
        assert_eq!(rig.output.take_news(), [yard]);
        let status = rig.status();
        let [session] = &status.sessions[..] else { panic!("{status:?}") };
        assert_eq!((session.session, session.camera, session.ice_state), (answer.session, yard, "new"));
        assert_eq!((session.codec, session.sound, session.transport), ("H.264", None, None));
        assert_eq!((status.counters.sessions, status.counters.refused, status.problem), (1, 0, None));
        let camera = rig.output.camera_status(&rig.yard).unwrap();
        assert_eq!((&camera.url[..], camera.viewers, camera.max_viewers), ("/whep/yard", 1, 2));
        assert_eq!(camera.sound_problem.map(|fault| fault.code), Some("no_aac"));

        assert!(!rig.output.hang_up(Some(other), answer.session));
        assert!(rig.output.hang_up(Some(yard), answer.session));
        assert!(!rig.output.hang_up(None, answer.session));
        let (first, second) = (rig.watch(), rig.watch());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(rig.watch(), Err(WatchRefusal::Full { camera: Some(yard), limit: 2 }));
        rig.output.end_camera(yard);
        assert_eq!((rig.status().sessions, rig.status().counters.refused), (Vec::new(), 1));
        rig.yard.hub.take();
        assert_eq!(rig.watch(), Err(WatchRefusal::NotDelivering));
    });
}

#[test]
fn a_restart_ends_every_session_and_serves_on_the_same_port() {
    on_media_thread(async {
        let rig = Rig::new();
        rig.restart().await;
        let answer = rig.watch().unwrap();
        rig.output.take_news();
        rig.restart().await;
        assert_eq!(rig.output.take_news(), [rig.yard.plan.camera.id], "the session is closed, not only dropped");
        assert_eq!((rig.status().sessions, rig.status().problem), (Vec::new(), None));
        assert!(!rig.output.hang_up(None, answer.session));
        assert!(rig.watch().is_ok());
        rig.output.set_gop_bytes(1234);
        assert_eq!(rig.output.running.borrow().as_ref().map(|running| running.plan.gop_bytes), Some(1234));
        rig.output.restart(None, &rig.executor);
        assert_eq!(rig.watch(), Err(WatchRefusal::Off));
        // A task that is dropped lets go in its next turn.
        while rig.executor.try_tick() {}
        UdpSocket::bind(("::", rig.plan.udp_port)).unwrap();
    });
}

#[test]
fn a_taken_port_is_named_and_the_next_restart_serves() {
    on_media_thread(async {
        let rig = Rig::new();
        let taken = UdpSocket::bind(("::", rig.plan.udp_port)).unwrap();
        rig.restart().await;
        let problem = rig.status().problem.unwrap();
        let port = rig.plan.udp_port;
        let sentence = format!("UDP port {port} is taken by another program: stop it, or change [webrtc] udp_port");
        assert_eq!((problem.code, &problem.sentence), ("webrtc_port", &sentence));
        assert_eq!(rig.watch(), Err(WatchRefusal::Failed(sentence)));
        drop(taken);
        rig.restart().await;
        assert!(rig.watch().is_ok());
    });
}

#[test]
fn the_certificate_is_kept_and_a_damaged_one_is_replaced() {
    let folder: PathBuf = std::env::temp_dir().join(format!("porthole-certificate-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let first = certificate(Some(&folder)).unwrap().to_bytes();
    assert!(certificate(Some(&folder)).unwrap().to_bytes() == first, "it changed");
    system::write_private(&folder, CERTIFICATE, b"damaged").unwrap();
    let second = certificate(Some(&folder)).unwrap().to_bytes();
    assert!(second != first && certificate(Some(&folder)).unwrap().to_bytes() == second);
    // A folder that cannot be written costs the memory of it, not WebRTC.
    assert!(certificate(Some(&folder.join(CERTIFICATE).join("below"))).is_ok());
    assert!(certificate(None).is_ok());
    std::fs::remove_dir_all(folder).unwrap();
}
