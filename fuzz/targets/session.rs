//! A browser that watches over a network that loses, damages, repeats and delays what it sends: ICE, DTLS, SRTP and RTCP with
//! real keys. The gateway stays within its bounds, and ends what is not heard any more.
#![no_main]

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use porthole::media::{AudioCodec, StreamFormat, StreamId, Ticks, VideoCodec};
use porthole::webrtc::Certificate;
use porthole::webrtc::fuzzing::Sessions;
use porthole::webrtc::socket::{LONGEST_DATAGRAM, Path};
use porthole_fuzz::{Bytes, format, unit};
use str0m::change::SdpAnswer;
use str0m::config::DtlsCert;
use str0m::crypto::from_feature_flags;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::ExtensionMap;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

const GATEWAY: &str = "10.0.0.1:8189";
const BROWSER: &str = "10.0.0.7:50000";
/// Datagrams that the network holds at most.
const MOST_HELD: usize = 64;

thread_local! {
    static OURS: Certificate = Certificate::generate().expect("randomness");
    static THEIRS: DtlsCert = from_feature_flags().dtls_provider.generate_certificate().expect("randomness");
}

struct World<'a> {
    bytes: Bytes<'a>,
    now: Instant,
    sessions: Sessions,
    format: Rc<StreamFormat>,
    browser: Rtc,
    video: Mid,
    /// The browser's next event.
    due: Instant,
    to_browser: VecDeque<Vec<u8>>,
    to_gateway: VecDeque<Vec<u8>>,
    pictures: i64,
    /// The browser has not failed.
    alive: bool,
    connected: bool,
}

fuzz_target!(|bytes: &[u8]| {
    let mut world = World::new(Bytes(bytes));
    // The handshake may go well first, so that what follows is a session's.
    if world.bytes.flag() {
        for _ in 0..40 {
            world.deliver();
            world.pass(Duration::from_millis(10));
        }
        assert!(world.connected, "nothing was lost");
    }
    while !world.bytes.is_empty() {
        world.step();
        assert!(world.sessions.sessions().len() <= 1);
    }
    world.to_gateway.clear();
    world.alive = false;
    world.pass(Duration::from_secs(30));
    assert!(world.sessions.sessions().is_empty(), "nobody was heard for 30 s");
});

impl<'a> World<'a> {
    fn new(bytes: Bytes<'a>) -> Self {
        let now = Instant::now();
        let camera = StreamId::parse("gate").expect("an id");
        let mut sessions = Sessions::new(OURS.with(Certificate::clone), camera, 1);
        let format = format(VideoCodec::H264, Some(AudioCodec::Pcma), &mut Bytes(&[]));
        // Few codecs and extensions: most of the time would go to reading a long SDP.
        let config = RtcConfig::new().clear_codecs().enable_pcma(true, false).set_extension_map(ExtensionMap::empty());
        let mut config = config.set_rtp_mode(true).set_dtls_cert(THEIRS.with(DtlsCert::clone));
        config.codec_config().add_h264(103.into(), Some(104.into()), true, 0x42_e0_1f);
        let mut browser = config.build(now);
        browser.add_local_candidate(Candidate::host(BROWSER.parse().expect("an address"), "udp").expect("a candidate"));
        let mut api = browser.sdp_api();
        let video = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let (offer, pending) = api.apply().expect("an offer");
        let address = ["10.0.0.1".parse().expect("an address")];
        let (_, answer) = sessions.open(&offer.to_sdp_string(), &format, &address, [7; 44], now).expect("a session");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
        browser.sdp_api().accept_answer(pending, answer).expect("an answer to this offer");
        let (to_browser, to_gateway) = (VecDeque::new(), VecDeque::new());
        Self {
            bytes,
            now,
            sessions,
            format,
            browser,
            video,
            due: now,
            to_browser,
            to_gateway,
            pictures: 0,
            alive: true,
            connected: false,
        }
    }

    fn step(&mut self) {
        match self.bytes.u8() % 12 {
            0..=2 => self.deliver(),
            3 => {
                self.to_gateway.pop_front();
            }
            4 => {
                self.to_browser.pop_front();
            }
            5 => self.to_gateway.rotate_left(1.min(self.to_gateway.len())),
            6 => {
                if let Some(first) = self.to_gateway.front().cloned() {
                    self.to_gateway.push_back(first);
                }
            }
            7 => {
                // Damaged, cut short or made longer.
                let (places, len) = (self.bytes.u8() % 4, self.bytes.u8());
                let Some(datagram) = self.to_gateway.front_mut().filter(|datagram| !datagram.is_empty()) else {
                    return;
                };
                for _ in 0..places {
                    let place = usize::from(self.bytes.u16()) % datagram.len();
                    datagram[place] ^= self.bytes.u8();
                }
                match len {
                    0..=127 => {}
                    128..=191 => datagram.truncate(usize::from(len - 127)),
                    _ => datagram.extend_from_slice(self.bytes.take(usize::from(len - 191))),
                }
            }
            8 => {
                let len = usize::from(self.bytes.u8());
                self.to_gateway.push_front(self.bytes.take(len).to_vec());
            }
            9 => {
                let span = Duration::from_millis(u64::from(self.bytes.u8()) * 10);
                self.pass(span);
            }
            10 => {
                self.pictures += 1;
                let dts = Ticks(900_000 + 3600 * self.pictures);
                let unit = Rc::new(unit(&self.format, dts, self.now, &mut self.bytes));
                self.engine(|sessions, now, out| sessions.handle_unit(unit, now, out));
            }
            _ => {
                let kind = if self.bytes.flag() { KeyframeRequestKind::Pli } else { KeyframeRequestKind::Fir };
                if let Some(stream) = self.browser.direct_api().stream_rx_by_mid(self.video, None) {
                    stream.request_keyframe(kind);
                }
                if self.bytes.u8() == 0xFF {
                    let _ = self.browser.close();
                }
            }
        }
        self.hear_browser();
    }

    /// All that is on its way arrives.
    fn deliver(&mut self) {
        let path = Path {
            local: GATEWAY.parse().expect("an address"),
            remote: BROWSER.parse().expect("an address"),
            tcp: false,
        };
        for datagram in std::mem::take(&mut self.to_gateway) {
            self.engine(|sessions, now, out| sessions.handle_datagram(path, &datagram, now, out));
        }
        for datagram in std::mem::take(&mut self.to_browser) {
            if let Ok(receive) = Receive::new(Protocol::Udp, path.local, path.remote, &datagram) {
                self.alive &= self.browser.handle_input(Input::Receive(self.now, receive)).is_ok();
                self.hear_browser();
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut turns = 0;
        loop {
            let gateway = self.sessions.poll_timeout();
            let browser = self.alive.then_some(self.due);
            let Some(next) = gateway.into_iter().chain(browser).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if gateway.is_some_and(|due| due <= self.now) {
                self.engine(Sessions::handle_timeout);
                turns += 1;
                assert!(turns < 10_000, "{turns} timeouts in {span:?}");
            }
            if browser.is_some_and(|due| due <= self.now) {
                self.alive &= self.browser.handle_input(Input::Timeout(self.now)).is_ok();
                self.hear_browser();
                self.due = self.due.max(self.now + Duration::from_millis(1));
            }
        }
        self.now = end;
    }

    fn engine<T>(&mut self, act: impl FnOnce(&mut Sessions, Instant, &mut dyn FnMut(Path, &[u8])) -> T) -> T {
        let to_browser = &mut self.to_browser;
        let result = act(&mut self.sessions, self.now, &mut |path, datagram| {
            assert_eq!(path.remote, BROWSER.parse().expect("an address"));
            assert!((1..=LONGEST_DATAGRAM).contains(&datagram.len()), "{} bytes", datagram.len());
            if to_browser.len() < MOST_HELD {
                to_browser.push_back(datagram.to_vec());
            }
        });
        let (ends, _) = self.sessions.take_ends();
        assert!(ends.len() <= 1 && ends.iter().all(|why| !why.is_empty() && why.len() < 1000), "{ends:?}");
        result
    }

    fn hear_browser(&mut self) {
        while self.alive {
            match self.browser.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.due = at;
                    break;
                }
                Ok(Output::Transmit(transmit)) if self.to_gateway.len() < MOST_HELD => {
                    self.to_gateway.push_back(transmit.contents.into());
                }
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(Event::RtpPacket(packet))) => assert!(packet.payload.len() <= 1200),
                Ok(Output::Transmit(_) | Output::Event(_)) => {}
                Err(_) => self.alive = false,
            }
        }
    }
}
