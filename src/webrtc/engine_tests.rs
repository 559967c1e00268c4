//! The engine against a str0m client, on a network made of two queues and a clock made of numbers.

use std::collections::VecDeque;
use std::time::Duration;

use str0m::change::SdpAnswer;
use str0m::ice::TransId;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, RtpPacket};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::*;
use crate::media::{AudioCodec, AudioFormat, Ticks, VideoCodec, VideoFormat};

const GATEWAY: &str = "10.0.0.1:8189";
const BROWSER: &str = "10.0.0.7:50000";

fn camera() -> StreamId {
    StreamId::parse("gate").unwrap()
}

fn format(codec: VideoCodec) -> Rc<StreamFormat> {
    let parameter_sets: Vec<Box<[u8]>> = vec![Box::new([0x67, 0x64, 0, 0x1f]), Box::new([0x68, 0xee])];
    let video = VideoFormat { codec, parameter_sets, width: 1280, height: 720, rfc6381: "avc1.64001F".to_owned() };
    let audio = Some(AudioFormat { codec: AudioCodec::Pcma, sample_rate: 8000, channels: 1, rfc6381: String::new() });
    Rc::new(StreamFormat { video, audio })
}

/// The network, the gateway, and one browser.
struct World {
    now: Instant,
    format: Rc<StreamFormat>,
    engine: Engine,
    browser: Rtc,
    to_browser: VecDeque<Vec<u8>>,
    received: Vec<RtpPacket>,
    connected: bool,
    pictures: i64,
    /// Every datagram to the browser whose turn it is, counted from 1, is lost.
    loses_every: usize,
    sent: usize,
}

impl World {
    fn new(format: Rc<StreamFormat>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
        let now = Instant::now();
        let limits = Limits { udp_port: 8189, tcp_port: None, max_viewers: 2 };
        let engine = Engine::new(limits, Certificate::generate().unwrap());
        let browser = RtcConfig::new().set_rtp_mode(true).enable_pcma(true, false);
        let mut browser = browser.set_extension(9, Extension::PlayoutDelay).build(now);
        browser.add_local_candidate(Candidate::host(BROWSER.parse().unwrap(), "udp").unwrap());
        Self {
            now,
            format,
            engine,
            browser,
            to_browser: VecDeque::new(),
            received: Vec::new(),
            connected: false,
            pictures: 0,
            loses_every: usize::MAX,
            sent: 0,
        }
    }

    /// A browser watches the camera, which sends H.264.
    fn watched() -> Self {
        let mut world = Self::new(format(VideoCodec::H264));
        world.engine.add_stream(camera(), 1 << 20, Vec::new());
        world.watch().unwrap();
        world.pass(ms(300));
        world
    }

    fn request<'a>(&self, sdp: &'a str, format: &'a StreamFormat, addresses: &'a [IpAddr]) -> Request<'a> {
        let mut entropy = [0; _];
        fastrand::fill(&mut entropy);
        Request { camera: camera(), sdp, format, camera_viewers: 2, addresses, entropy }
    }

    /// The browser asks and gets an answer.
    fn watch(&mut self) -> Result<u128, OpenError> {
        let mut api = self.browser.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let (offer, pending) = api.apply().unwrap();
        let format = Rc::clone(&self.format);
        let addresses = ["10.0.0.1".parse().unwrap()];
        let request = self.request(&offer.to_sdp_string(), &format, &addresses).sdp.to_owned();
        let request = self.request(&request, &format, &addresses);
        let (id, answer) = self.engine.open(&request, self.now)?;
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        self.browser.sdp_api().accept_answer(pending, answer).unwrap();
        Ok(id)
    }

    /// One picture of the camera; its first slice has `size` bytes.
    fn picture(&mut self, key_frame: bool, size: usize) {
        let mut unit = match (self.format.video.codec, key_frame) {
            (VideoCodec::H264, true) => vec![0x65],
            (VideoCodec::H264, false) => vec![0x41],
            // IDR_W_RADL and TRAIL_R.
            (VideoCodec::H265, true) => vec![0x26, 1],
            (VideoCodec::H265, false) => vec![2, 1],
        };
        unit.resize(size, u8::try_from(self.pictures % 251).unwrap());
        let mut data = u32::try_from(unit.len()).unwrap().to_be_bytes().to_vec();
        data.append(&mut unit);
        let unit = AccessUnit::video(&self.format, Ticks(900_000 + 3600 * self.pictures), key_frame, data, self.now);
        self.pictures += 1;
        self.engine(|engine, now, out| engine.handle_unit(camera(), Rc::new(unit), now, out));
    }

    fn engine<T>(&mut self, act: impl FnOnce(&mut Engine, Instant, Out<'_>) -> T) -> T {
        let (to_browser, sent, loses) = (&mut self.to_browser, &mut self.sent, self.loses_every);
        act(&mut self.engine, self.now, &mut |path, bytes| {
            assert_eq!(path.remote, BROWSER.parse().unwrap());
            assert!(bytes.len() <= 1300, "{} bytes", bytes.len());
            *sent += 1;
            if *sent % loses != 0 {
                to_browser.push_back(bytes.to_vec());
            }
        })
    }

    /// Lets `span` pass in steps of 1 ms.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += Duration::from_millis(1);
            if self.engine.poll_timeout().is_some_and(|due| due <= self.now) {
                self.engine(Engine::handle_timeout);
            }
            while let Some(bytes) = self.to_browser.pop_front() {
                let (source, local) = (GATEWAY.parse().unwrap(), BROWSER.parse().unwrap());
                let receive = Receive::new(Protocol::Udp, source, local, &bytes).unwrap();
                self.browser.handle_input(Input::Receive(self.now, receive)).unwrap();
                self.hear_browser();
            }
            self.browser.handle_input(Input::Timeout(self.now)).unwrap();
            self.hear_browser();
        }
    }

    fn hear_browser(&mut self) {
        loop {
            match self.browser.poll_output().unwrap() {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => {
                    let path = Path { local: transmit.destination, remote: transmit.source, tcp: false };
                    let bytes: Vec<u8> = transmit.contents.into();
                    assert!(self.engine(|engine, now, out| engine.handle_datagram(path, &bytes, now, out)));
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => self.received.push(packet),
                Output::Event(_) => {}
            }
        }
    }

    /// Video packets so far.
    fn video(&self) -> Vec<&RtpPacket> {
        self.received.iter().filter(|packet| *packet.header.payload_type != 8).collect()
    }

    fn pictures_received(&self) -> usize {
        self.video().iter().filter(|packet| packet.header.marker).count()
    }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_browser_connects_and_gets_the_kept_pictures_and_then_the_live_ones() {
    let mut world = World::new(format(VideoCodec::H264));
    world.engine.add_stream(camera(), 1 << 20, Vec::new());
    for n in 0..50 {
        world.picture(n == 0, 3000);
    }
    world.watch().unwrap();
    world.pass(ms(500));
    assert!(world.connected);
    assert_eq!(world.pictures_received(), 50);
    for _ in 0..25 {
        world.picture(false, 3000);
        world.pass(ms(40));
    }
    assert_eq!(world.pictures_received(), 75);
    let sequence: Vec<u64> = world.video().iter().map(|packet| *packet.seq_no).collect();
    assert!(sequence.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequence:?}");
    let first = &world.video()[0].payload;
    assert_eq!(first[..], [0x78, 0, 4, 0x67, 0x64, 0, 0x1f, 0, 2, 0x68, 0xee], "STAP-A of the parameter sets");
    assert_eq!(world.video()[0].header.ext_vals.play_delay_max.map(|max| max.numer()), Some(0));
    let stamps: Vec<u32> =
        world.video().iter().filter(|packet| packet.header.marker).map(|packet| packet.header.timestamp).collect();
    let steps: Vec<u32> = stamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps[..48].iter().all(|step| (270..=540).contains(step)), "{steps:?}");
    assert!(steps[51..].iter().all(|step| *step == 3600), "{steps:?}");
}

#[test]
fn lost_packets_are_repeated_when_the_browser_asks() {
    let mut world = World::watched();
    world.loses_every = 5;
    for n in 0..100 {
        world.picture(n % 25 == 0, 6000);
        world.pass(ms(40));
    }
    world.loses_every = usize::MAX;
    world.pass(ms(500));
    let mut sequence: Vec<u64> = world.video().iter().map(|packet| *packet.seq_no).collect();
    sequence.sort_unstable();
    sequence.dedup();
    let missing: u64 = sequence.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
    assert!(missing * 50 < sequence.len() as u64, "{missing} of {} missing after a fifth was lost", sequence.len());
    let facts = world.engine.sessions();
    world.pass(Duration::from_secs(3));
    assert!(world.engine.counters().nacks > 0, "{facts:?}");
}

#[test]
fn a_session_ends_when_it_is_hung_up_and_the_browser_is_told() {
    let mut world = World::new(format(VideoCodec::H264));
    world.engine.add_stream(camera(), 1 << 20, Vec::new());
    let id = world.watch().unwrap();
    world.pass(ms(300));
    assert_eq!(world.engine.sessions()[0].ice_state, "completed");
    let other = StreamId::parse("yard").unwrap();
    assert!(!world.engine(|engine, now, out| engine.hang_up(Some(other), id, now, out)));
    assert!(world.engine(|engine, now, out| engine.hang_up(Some(camera()), id, now, out)));
    assert!(!world.engine(|engine, now, out| engine.hang_up(None, id, now, out)));
    while let Some(bytes) = world.to_browser.pop_front() {
        let (source, local) = (GATEWAY.parse().unwrap(), BROWSER.parse().unwrap());
        let receive = Receive::new(Protocol::Udp, source, local, &bytes).unwrap();
        world.browser.handle_input(Input::Receive(world.now, receive)).unwrap();
        while !matches!(world.browser.poll_output().unwrap(), Output::Timeout(_)) {}
    }
    assert!(!world.browser.is_alive(), "the browser was not told");
    assert!(world.engine.sessions().is_empty() && world.engine.by_path.is_empty() && world.engine.by_ufrag.is_empty());
}

#[test]
fn a_browser_that_vanishes_is_gone_within_15_seconds() {
    let mut world = World::watched();
    assert_eq!(world.engine.sessions().len(), 1);
    // Its tab is closed: nothing comes any more.
    for _ in 0..15_000 {
        world.now += ms(1);
        world.engine(Engine::handle_timeout);
    }
    assert!(world.engine.sessions().is_empty());
    assert_eq!(world.engine.counters().vanished, 1);
    assert_eq!(world.engine.poll_timeout(), None);
}

#[test]
fn who_asks_without_ever_coming_keeps_no_seat() {
    let mut world = World::new(format(VideoCodec::H264));
    world.watch().unwrap();
    world.browser = RtcConfig::new().set_rtp_mode(true).build(world.now);
    world.watch().unwrap();
    world.browser = RtcConfig::new().set_rtp_mode(true).build(world.now);
    assert_eq!(world.watch().unwrap_err(), OpenError::Full { of_camera: false, limit: 2 });
    world.now += Duration::from_secs(13);
    world.engine(Engine::handle_timeout);
    assert!(world.engine.sessions().is_empty());
}

/// A check as a browser sends it.
fn check(ufrag: &str, password: &str) -> Vec<u8> {
    let name = format!("{ufrag}:abcd");
    let message = StunMessage::binding_request(&name, TransId::new(), true, 1, 1, true);
    let mut bytes = vec![0; 200];
    let hmac = from_feature_flags().sha1_hmac_provider;
    let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, |key, parts| hmac.sha1_hmac(key, parts));
    bytes.truncate(length.unwrap());
    bytes
}

#[test]
fn who_knows_the_name_and_not_the_password_keeps_no_seat() {
    let mut world = World::new(format(VideoCodec::H264));
    world.engine.add_stream(camera(), 1 << 20, Vec::new());
    let vanished = world.watch().unwrap();
    world.pass(ms(300));
    let path = world.engine.sessions()[0].path.unwrap();
    world.browser = RtcConfig::new().set_rtp_mode(true).build(world.now);
    let never_came = world.watch().unwrap();
    let stranger = Path { remote: "10.0.0.9:1".parse().unwrap(), ..path };
    for _ in 0..15 {
        world.now += Duration::from_secs(1);
        for id in [vanished, never_came] {
            let Some(session) = world.engine.sessions.get(&id) else { continue };
            let forged = check(&session.credentials.ufrag, "0123456789abcdef0123456789abcdef");
            for path in [path, stranger] {
                assert!(!world.engine(|engine, now, out| engine.handle_datagram(path, &forged, now, out)));
            }
        }
        // With the address of the viewer, as if they were DTLS, RTCP, and a response to a check of ours.
        for first in [22, 200, 1] {
            let mut forged = vec![0x55; 100];
            forged[0] = first;
            world.engine(|engine, now, out| engine.handle_datagram(path, &forged, now, out));
        }
        world.engine(Engine::handle_timeout);
    }
    assert!(world.engine.sessions().is_empty());
    assert_eq!(world.engine.counters().vanished, 2);
}

#[test]
fn who_knows_the_password_keeps_its_seat() {
    let mut world = World::new(format(VideoCodec::H264));
    let id = world.watch().unwrap();
    let path = Path { local: GATEWAY.parse().unwrap(), remote: BROWSER.parse().unwrap(), tcp: false };
    let IceCreds { ufrag, pass } = world.engine.sessions[&id].credentials.clone();
    for _ in 0..3 {
        // Every other check of a browser that is slow with them is lost.
        world.now += Duration::from_secs(12);
        world.engine(Engine::handle_timeout);
        let right = check(&ufrag, &pass);
        assert!(world.engine(|engine, now, out| engine.handle_datagram(path, &right, now, out)));
    }
    assert_eq!(world.engine.sessions().len(), 1);
}

#[test]
fn a_viewer_without_pictures_keeps_its_seat() {
    let mut world = World::new(format(VideoCodec::H264));
    world.engine.add_stream(camera(), 1 << 20, Vec::new());
    world.watch().unwrap();
    world.pass(Duration::from_secs(40));
    assert_eq!(world.engine.sessions()[0].ice_state, "completed");
}

#[test]
fn a_camera_that_changes_its_codec_ends_its_sessions() {
    let mut world = World::watched();
    world.format = format(VideoCodec::H265);
    world.picture(true, 100);
    assert!(world.engine.sessions().is_empty());
}

#[test]
fn sound_joins_live_pictures_with_its_own_time() {
    let mut world = World::watched();
    world.picture(true, 500);
    world.pass(ms(40));
    for n in 0..10_i64 {
        let unit = AccessUnit {
            track: Track::Audio,
            pts: Ticks(900_000 + 1800 * n),
            ..AccessUnit::video(&world.format, Ticks(0), false, vec![0x55; 160], world.now)
        };
        world.engine(|engine, now, out| engine.handle_unit(camera(), Rc::new(unit), now, out));
        world.pass(ms(20));
    }
    let sound: Vec<&RtpPacket> = world.received.iter().filter(|packet| *packet.header.payload_type == 8).collect();
    assert_eq!(sound.len(), 10);
    assert!(sound.windows(2).all(|pair| pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp) == 160));
    assert!(sound.iter().all(|packet| packet.payload.len() == 160));
}

#[test]
fn a_path_that_takes_no_more_gets_nothing_until_the_next_key_frame() {
    let mut world = World::watched();
    world.picture(true, 500);
    world.pass(ms(40));
    let path = world.engine.sessions()[0].path.unwrap();
    world.engine.on_congested(path);
    for _ in 0..5 {
        world.picture(false, 500);
        world.pass(ms(40));
    }
    assert_eq!((world.pictures_received(), world.engine.sessions()[0].skips), (1, 1));
    world.picture(true, 500);
    world.pass(ms(40));
    assert_eq!((world.pictures_received(), world.engine.counters().skips), (2, 1));
}

#[test]
fn h265_plays_where_the_browser_offers_it() {
    let mut world = World::new(format(VideoCodec::H265));
    world.browser = RtcConfig::new().set_rtp_mode(true).enable_h265(true).build(world.now);
    world.browser.add_local_candidate(Candidate::host(BROWSER.parse().unwrap(), "udp").unwrap());
    world.engine.add_stream(camera(), 1 << 20, Vec::new());
    for n in 0..10 {
        world.picture(n == 0, 3000);
    }
    world.watch().unwrap();
    world.pass(ms(500));
    assert_eq!(world.pictures_received(), 10);
    assert_eq!(world.engine.sessions()[0].codec, VideoCodec::H265);
}

#[test]
fn h265_is_refused_in_words_by_a_browser_without_it() {
    let mut world = World::new(format(VideoCodec::H265));
    let format = Rc::clone(&world.format);
    let request = world.request(include_str!("chromium-offer.sdp"), &format, &[]);
    let refusal = world.engine.open(&request, world.now).unwrap_err();
    assert_eq!(refusal.to_string(), "camera sends H.265, this browser accepts VP8, VP9, H.264, AV1: use HLS");
    assert_eq!(world.engine.counters().refused, 1);
}

#[test]
fn a_payload_type_that_stands_for_two_things_is_refused() {
    let mut world = World::new(format(VideoCodec::H264));
    let format = Rc::clone(&world.format);
    let two = |payload_type| format!("its payload type {payload_type} stands for more than one thing");
    for (from, to, reason) in [
        // PCMA under the number of H.264.
        ("a=rtpmap:8 PCMA/8000", "a=rtpmap:102 PCMA/8000", two(102)),
        // Repeated packets of two codecs.
        ("a=fmtp:109 apt=108", "a=fmtp:103 apt=108", two(103)),
    ] {
        let sdp = include_str!("chromium-offer.sdp").replacen(from, to, 1).replacen(" 111 63 9 0 8 ", " 63 9 0 ", 1);
        let request = world.request(&sdp, &format, &[]);
        assert_eq!(world.engine.open(&request, world.now).err(), Some(OpenError::BadOffer(reason)), "{to}");
    }
}

#[test]
fn chromium_gets_candidates_and_the_nearest_profile() {
    let mut world = World::new(format(VideoCodec::H264));
    let format = Rc::clone(&world.format);
    let addresses = ["192.168.1.20".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    let request = world.request(include_str!("chromium-offer.sdp"), &format, &addresses);
    let (_, answer) = world.engine.open(&request, world.now).unwrap();
    let candidates: Vec<&str> = answer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    assert!(candidates[0].contains("192.168.1.20 8189 typ host"), "{answer}");
    assert!(answer.contains("a=ice-lite") && answer.contains("a=sendonly"), "{answer}");
    // High goes out as High 4:4:4, the only one of Chromium's profiles that is not below it.
    let session = world.engine.sessions.values().next().unwrap();
    assert_eq!(session.peer.facts().sound, Some(AudioCodec::Pcma));
    assert!(answer.contains("a=rtpmap:41 H264/90000"), "{answer}");
}

#[test]
fn datagrams_from_strangers_are_counted_and_change_nothing() {
    let mut world = World::new(format(VideoCodec::H264));
    world.watch().unwrap();
    let path = Path { local: GATEWAY.parse().unwrap(), remote: "10.0.0.9:1".parse().unwrap(), tcp: false };
    let mut rng = fastrand::Rng::with_seed(1);
    for n in 0..20_000_usize {
        let mut bytes = vec![0; n % 300];
        rng.fill(&mut bytes);
        if let Some(first) = bytes.first_mut() {
            *first = [0, 1, 22, 128, 200][n % 5];
        }
        assert!(!world.engine(|engine, now, out| engine.handle_datagram(path, &bytes, now, out)));
    }
    assert_eq!(world.engine.counters().stray, 20_000);
}

#[test]
fn a_peer_that_sends_garbage_harms_itself_alone() {
    let mut rng = fastrand::Rng::with_seed(2);
    for _ in 0..20 {
        let mut world = World::new(format(VideoCodec::H264));
        world.engine.add_stream(camera(), 1 << 20, Vec::new());
        world.watch().unwrap();
        world.pass(ms(rng.u64(..400)));
        let path = Path { local: GATEWAY.parse().unwrap(), remote: BROWSER.parse().unwrap(), tcp: false };
        for n in 0..1000_usize {
            let mut bytes = vec![0; rng.usize(..1500)];
            rng.fill(&mut bytes);
            if let Some(first) = bytes.first_mut() {
                *first = [0, 1, 20, 22, 23, 128, 144, 160, 191, 200][n % 10];
            }
            world.engine(|engine, now, out| engine.handle_datagram(path, &bytes, now, out));
        }
    }
}

#[test]
fn hostile_offers_are_refused_or_answered_but_never_a_panic() {
    let mut world = World::new(format(VideoCodec::H264));
    let format = Rc::clone(&world.format);
    let addresses = ["10.0.0.1".parse().unwrap()];
    let honest = include_str!("chromium-offer.sdp");
    let lines: Vec<&str> = honest.lines().collect();
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..1000 {
        let mut text: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..text.len());
            match rng.u8(..6) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, lines[rng.usize(..lines.len())].to_owned()),
                2 => text[at] = text[at].replace(|c: char| c.is_ascii_digit(), ["9", "255", "-1", ""][rng.usize(..4)]),
                3 => {
                    let length = rng.usize(..=text[at].len());
                    text[at].truncate(length);
                }
                4 => {
                    let mut bytes = std::mem::take(&mut text[at]).into_bytes();
                    if let Some(byte) = bytes.get_mut(0) {
                        *byte = rng.u8(32..127);
                    }
                    text[at] = String::from_utf8(bytes).unwrap();
                }
                _ => {
                    let other = rng.usize(..text.len());
                    text.swap(at, other);
                }
            }
            if text.is_empty() {
                break;
            }
        }
        let sdp = text.join("\r\n") + "\r\n";
        let request = world.request(&sdp, &format, &addresses);
        if let Ok((id, _)) = world.engine.open(&request, world.now) {
            world.engine.hang_up(None, id, world.now, &mut |_, _| {});
        }
    }
    assert!(world.engine.sessions().is_empty());
}
