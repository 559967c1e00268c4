//! Strangers on the WebRTC port, some of whom have an answer and so know its password: nobody else is sent anything, nothing
//! runs for ever, and who falls silent is forgotten.
#![no_main]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use porthole::media::{AudioCodec, StreamFormat, StreamId, Ticks, VideoCodec};
use porthole::webrtc::Certificate;
use porthole::webrtc::fuzzing::Sessions;
use porthole::webrtc::socket::{LONGEST_DATAGRAM, Path};
use porthole_fuzz::{Bytes, format, unit};
use str0m::crypto::from_feature_flags;
use str0m::ice::{StunMessage, TransId};

/// The seed is an offer of few lines, behind one digit that is not part of it: most of the time would go to reading a long one.
const SEED: &str = include_str!("../seeds/offer/small");
/// What [`Sessions::open`] makes credentials of: their hexadecimal digits.
const ENTROPY: u8 = 0x77;
const MOST: usize = 2;

thread_local! {
    static CERTIFICATE: Certificate = Certificate::generate().expect("randomness");
}

struct World {
    sessions: Sessions,
    format: Rc<StreamFormat>,
    now: Instant,
    /// Where somebody proved that he has the answer.
    known: HashSet<SocketAddr>,
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let camera = StreamId::parse("gate").expect("an id");
    let sessions = Sessions::new(CERTIFICATE.with(Certificate::clone), camera, MOST);
    let format = format(VideoCodec::H264, Some(AudioCodec::Pcma), &mut Bytes(&[]));
    let mut world = World { sessions, format, now: Instant::now(), known: HashSet::new() };
    world.open(ENTROPY);
    while !bytes.is_empty() {
        world.step(&mut bytes);
        assert!(world.sessions.sessions().len() <= MOST);
        // Nothing is kept of what happened but is not asked for.
        let (ends, _) = world.sessions.take_ends();
        assert!(ends.iter().all(|why| !why.is_empty() && why.len() < 1000), "{ends:?}");
    }
    world.pass(Duration::from_secs(30));
    assert!(world.sessions.sessions().is_empty(), "nobody was heard for 30 s");
    assert_eq!(world.sessions.poll_timeout(), None);
});

impl World {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.u8() % 8 {
            0 | 1 => {
                let (path, len) = (path(bytes.u8()), usize::from(bytes.u8()) * 4);
                self.hear(path, bytes.take(len));
            }
            2 | 3 => {
                let (path, flags) = (path(bytes.u8()), bytes.u8());
                let mut check = binding_request(flags & 1 != 0, flags & 2 != 0);
                // Damaged at up to three places.
                for _ in 0..(flags >> 6) {
                    let place = usize::from(bytes.u8()) % check.len();
                    check[place] ^= bytes.u8();
                }
                self.hear(path, &check);
            }
            4 => self.pass(Duration::from_millis(bytes.u16().into())),
            5 => {
                let unit = unit(&self.format, Ticks(900_000), self.now, bytes);
                self.engine(|sessions, now, out| sessions.handle_unit(Rc::new(unit), now, out));
            }
            6 => self.open(bytes.u8()),
            _ => {
                let (path, what) = (path(bytes.u8()), bytes.u8());
                match (what % 3, self.sessions.sessions().first()) {
                    (0, _) => self.sessions.on_congested(path),
                    (1, _) => self.sessions.on_closed(path),
                    (_, Some(first)) => {
                        let id = first.id;
                        assert!(self.engine(|sessions, now, out| sessions.hang_up(id, now, out)));
                    }
                    _ => {}
                }
            }
        }
    }

    fn open(&mut self, entropy: u8) {
        let before = self.sessions.sessions();
        let taken = before.iter().any(|session| session.id == u128::from_be_bytes([entropy; 16]));
        // Ids do not repeat outside.
        if !taken {
            let address = ["10.0.0.1".parse().expect("an address")];
            let opened = self.sessions.open(&SEED[1..], &self.format, &address, [entropy; 44], self.now);
            assert_eq!(opened.is_ok(), before.len() < MOST, "{:?}", opened.err());
        }
    }

    fn hear(&mut self, path: Path, datagram: &[u8]) {
        let crypto = from_feature_flags();
        let hmac = |key: &[u8], data: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, data);
        if StunMessage::parse(datagram).is_ok_and(|message| message.verify(password().as_bytes(), hmac)) {
            self.known.insert(path.remote);
        }
        let before = self.sessions.sessions().len();
        self.engine(|sessions, now, out| sessions.handle_datagram(path, datagram, now, out));
        assert!(
            self.known.contains(&path.remote) || self.sessions.sessions().len() == before,
            "a stranger ended a session"
        );
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut turns = 0;
        while let Some(due) = self.sessions.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.engine(Sessions::handle_timeout);
            turns += 1;
            assert!(turns < 5000, "{turns} timeouts in {span:?}");
        }
        self.now = end;
    }

    fn engine<T>(&mut self, act: impl FnOnce(&mut Sessions, Instant, &mut dyn FnMut(Path, &[u8])) -> T) -> T {
        let known = &self.known;
        act(&mut self.sessions, self.now, &mut |path, datagram| {
            assert!((1..=LONGEST_DATAGRAM).contains(&datagram.len()), "{} bytes", datagram.len());
            assert!(known.contains(&path.remote), "{path:?} is sent {} bytes without having asked", datagram.len());
        })
    }
}

fn path(choice: u8) -> Path {
    let remote = SocketAddr::from(([10, 0, 0, 7], 50_000 + u16::from(choice & 15)));
    Path { local: SocketAddr::from(([10, 0, 0, 1], 8189)), remote, tcp: choice & 128 != 0 }
}

fn password() -> String {
    format!("{ENTROPY:02x}").repeat(16)
}

fn binding_request(controlling: bool, use_candidate: bool) -> Vec<u8> {
    let crypto = from_feature_flags();
    let username = format!("{}:9SPE", format!("{ENTROPY:02x}").repeat(8));
    let message = StunMessage::binding_request(&username, TransId::new(), controlling, 1, 2_130_706_431, use_candidate);
    let mut bytes = vec![0; 400];
    let hmac = |key: &[u8], data: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, data);
    let len = message.to_bytes(Some(password().as_bytes()), &mut bytes, hmac).expect("it fits");
    bytes.truncate(len);
    bytes
}
