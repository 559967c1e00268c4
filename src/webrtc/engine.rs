//! All WebRTC sessions, without sockets: offers, datagrams, access units and time in; answers, datagrams and facts out.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use str0m::IceCreds;
use str0m::config::CryptoProvider;
use str0m::crypto::from_feature_flags;
use str0m::ice::StunMessage;

use super::certificate::Certificate;
use super::facts::{Counters, SessionFacts};
use super::packet::Packets;
use super::peer::{OpenError, Opening, Out, Peer};
use super::socket::Path;
use super::stream::Stream;
use super::viewer::Arrival;
use crate::media::{AccessUnit, StreamFormat, StreamId, Track};

/// Paths remembered per session: a browser tries a few before it settles.
const MOST_PATHS: usize = 8;

/// Limits of all sessions.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) udp_port: u16,
    pub(super) tcp_port: Option<u16>,
    /// Sessions at once.
    pub(super) max_viewers: usize,
}

/// Random bytes for one session: they must not be guessable.
pub(super) type Entropy = [u8; 44];

/// A browser that wants to watch.
pub(super) struct Request<'a> {
    pub(super) camera: StreamId,
    pub(super) sdp: &'a str,
    pub(super) format: &'a StreamFormat,
    /// Most sessions of this camera.
    pub(super) camera_viewers: usize,
    pub(super) addresses: &'a [IpAddr],
    pub(super) entropy: Entropy,
}

/// A session that ended without anybody here having asked for it.
pub(super) struct End {
    pub(super) camera: StreamId,
    pub(super) id: u128,
    pub(super) why: String,
}

struct Session {
    camera: StreamId,
    peer: Peer,
    credentials: IceCreds,
    /// The browser's last check, as it came.
    check: Vec<u8>,
    paths: Vec<Path>,
    /// Has been connected: the viewer was started.
    started: bool,
}

/// All sessions.
pub(super) struct Engine {
    limits: Limits,
    certificate: Certificate,
    crypto: Arc<CryptoProvider>,
    sessions: BTreeMap<u128, Session>,
    by_ufrag: HashMap<String, u128>,
    by_path: HashMap<(SocketAddr, bool), u128>,
    streams: BTreeMap<StreamId, Stream>,
    counters: Counters,
    /// Sessions that ended by themselves since the last [`take_ends`](Self::take_ends).
    ends: Vec<End>,
    /// Paths of sessions that are over, since the last [`take_closed`](Self::take_closed).
    closed: Vec<Path>,
    /// Cameras whose sessions came, went or found their path since the last [`take_changes`](Self::take_changes).
    changes: Vec<StreamId>,
}

impl Engine {
    pub(super) fn new(limits: Limits, certificate: Certificate) -> Self {
        Self {
            limits,
            certificate,
            crypto: Arc::new(from_feature_flags()),
            sessions: BTreeMap::new(),
            by_ufrag: HashMap::new(),
            by_path: HashMap::new(),
            streams: BTreeMap::new(),
            counters: Counters::default(),
            ends: Vec::new(),
            closed: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Opens a session: its id and the answer. The camera's stream must be there ([`add_stream`](Self::add_stream)) before
    /// the browser is connected.
    pub(super) fn open(&mut self, request: &Request<'_>, now: Instant) -> Result<(u128, String), OpenError> {
        let opened = self.try_open(request, now);
        match &opened {
            Ok(_) => self.counters.sessions += 1,
            Err(_) => self.counters.refused += 1,
        }
        opened
    }

    fn try_open(&mut self, request: &Request<'_>, now: Instant) -> Result<(u128, String), OpenError> {
        for (of_camera, limit, count) in [
            (false, self.limits.max_viewers, self.sessions.len()),
            (true, request.camera_viewers, self.viewers(request.camera)),
        ] {
            if count >= limit {
                return Err(OpenError::Full { of_camera, limit });
            }
        }
        let (id, credentials, first_stamp) = secrets(request.entropy);
        let opening = Opening {
            format: request.format,
            certificate: self.certificate.dtls(),
            crypto: &self.crypto,
            credentials: credentials.clone(),
            addresses: request.addresses,
            udp_port: self.limits.udp_port,
            tcp_port: self.limits.tcp_port,
            first_stamp,
        };
        let (peer, answer) = Peer::open(request.sdp, &opening, now)?;
        self.by_ufrag.insert(credentials.ufrag.clone(), id);
        let session =
            Session { camera: request.camera, peer, credentials, check: Vec::new(), paths: Vec::new(), started: false };
        self.sessions.insert(id, session);
        self.changes.push(request.camera);
        Ok((id, answer))
    }

    /// Sessions of `camera`.
    pub(super) fn viewers(&self, camera: StreamId) -> usize {
        self.sessions.values().filter(|session| session.camera == camera).count()
    }

    /// The pictures of `camera` come from now on; `kept`: those since its last key frame. Up to `gop_bytes` are kept.
    pub(super) fn add_stream(&mut self, camera: StreamId, gop_bytes: usize, kept: Vec<Rc<AccessUnit>>) {
        self.streams.insert(camera, Stream::new(gop_bytes, kept));
    }

    /// Nobody watches `camera` any more.
    pub(super) fn remove_stream(&mut self, camera: StreamId) {
        self.streams.remove(&camera);
    }

    /// Ends the session with this id, of `camera` if one is given; false when there is none.
    pub(super) fn hang_up(&mut self, camera: Option<StreamId>, id: u128, now: Instant, out: Out<'_>) -> bool {
        match self.sessions.get_mut(&id) {
            Some(session) if camera.is_none_or(|camera| camera == session.camera) => {
                session.peer.close(now, out);
                self.remove(id);
                true
            }
            _ => false,
        }
    }

    /// Ends all sessions of `camera`: its pictures come to an end.
    pub(super) fn end_camera(&mut self, camera: StreamId, now: Instant, out: Out<'_>) {
        let ids: Vec<u128> = self.sessions.iter().filter(|(_, s)| s.camera == camera).map(|(id, _)| *id).collect();
        for id in ids {
            self.hang_up(None, id, now, out);
        }
        self.streams.remove(&camera);
    }

    /// Ends everything.
    pub(super) fn close(&mut self, now: Instant, out: Out<'_>) {
        let ids: Vec<u128> = self.sessions.keys().copied().collect();
        for id in ids {
            self.hang_up(None, id, now, out);
        }
        self.streams.clear();
    }

    /// A datagram (or, over TCP, a frame) came; false when it is from nobody who watches.
    pub(super) fn handle_datagram(&mut self, path: Path, bytes: &[u8], now: Instant, out: Out<'_>) -> bool {
        let check = check(bytes);
        let id = match &check {
            Some(check) => self.checked(check),
            None => self.by_path.get(&(path.remote, path.tcp)).copied(),
        };
        let Some((id, session)) = id.and_then(|id| Some((id, self.sessions.get_mut(&id)?))) else {
            self.counters.stray += 1;
            return false;
        };
        if check.is_some() {
            session.peer.on_check(now);
            session.check.clear();
            session.check.extend_from_slice(bytes);
        }
        session.peer.handle_datagram(path, bytes, now, out);
        self.settle(id, now, out);
        true
    }

    /// The session that a check names, if it also knows the password: names can be overheard. RFC 8445 section 7.3.
    fn checked(&self, check: &StunMessage<'_>) -> Option<u128> {
        let (ours, _) = check.split_username()?;
        let id = self.by_ufrag.get(ours)?;
        let password = self.sessions.get(id)?.credentials.pass.as_bytes();
        let hmac = |key: &[u8], parts: &[&[u8]]| self.crypto.sha1_hmac_provider.sha1_hmac(key, parts);
        check.verify(password, hmac).then_some(*id)
    }

    /// The TCP connection of this path is closed.
    pub(super) fn on_closed(&mut self, path: Path) {
        if let Some(id) = self.by_path.remove(&(path.remote, path.tcp))
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.paths.retain(|known| *known != path);
        }
    }

    /// The path does not take what it is sent: its viewer skips to the next key frame.
    pub(super) fn on_congested(&mut self, path: Path) {
        if let Some(id) = self.by_path.get(&(path.remote, path.tcp))
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.peer.viewer.skip();
        }
    }

    /// An access unit of `camera`.
    pub(super) fn handle_unit(&mut self, camera: StreamId, unit: Rc<AccessUnit>, now: Instant, out: Out<'_>) {
        match unit.track {
            Track::Video => self.handle_picture(camera, unit, now, out),
            Track::Audio => self.handle_sound(camera, &unit, now, out),
        }
    }

    fn handle_picture(&mut self, camera: StreamId, unit: Rc<AccessUnit>, now: Instant, out: Out<'_>) {
        let Some(stream) = self.streams.get_mut(&camera) else { return };
        let (key_frame, codec) = (unit.key_frame, unit.format.video.codec);
        let picture = stream.push(unit);
        let kept = stream.kept();
        let ids: Vec<u128> = self.sessions.iter().filter(|(_, s)| s.camera == camera).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if session.peer.facts().codec != codec {
                // The camera was set to another codec: the browser has to ask again.
                session.peer.close(now, out);
                self.remove(id);
                continue;
            }
            if session.started && session.peer.viewer.on_arrival(key_frame, &kept) == Arrival::Send {
                let stamp = session.peer.viewer.on_live(picture.unit().pts, now);
                session.peer.send_picture(picture.packets(), stamp, now, out);
            }
            self.settle(id, now, out);
        }
    }

    fn handle_sound(&mut self, camera: StreamId, unit: &AccessUnit, now: Instant, out: Out<'_>) {
        let Some(codec) = unit.format.audio.as_ref().map(|audio| audio.codec) else { return };
        let mut packets = None;
        for session in self.sessions.values_mut().filter(|session| session.camera == camera && session.started) {
            if session.peer.facts().sound == Some(codec) && session.peer.viewer.is_live() {
                session.peer.send_sound(packets.get_or_insert_with(|| Packets::new(unit)), now, out);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` without sessions.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sessions.values().map(|session| session.peer.timeout()).min()
    }

    /// Lets time pass for those whose time it is.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: Out<'_>) {
        let due: Vec<u128> =
            self.sessions.iter().filter(|(_, session)| session.peer.timeout() <= now).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.peer.handle_timeout(now, out);
                self.settle(id, now, out);
            }
        }
    }

    /// What follows from a session's new state: it starts, replays, or is over.
    fn settle(&mut self, id: u128, now: Instant, out: Out<'_>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.peer.is_over(now) {
            let why = session.peer.take_end().unwrap_or_else(|| {
                self.counters.vanished += 1;
                let heard = if session.started { "is not heard any more" } else { "never came" };
                format!("the browser {heard}")
            });
            self.ends.push(End { camera: session.camera, id, why });
            session.peer.close(now, out);
            self.remove(id);
            return;
        }
        if session.peer.wants_check() {
            session.peer.repeat_check(&session.check, now, out);
        }
        if remember_path(session, id, &mut self.by_path) {
            self.changes.push(session.camera);
        }
        let Some(stream) = self.streams.get(&session.camera) else { return };
        let (peer, kept) = (&mut session.peer, stream.kept());
        if peer.is_connected() && !session.started {
            session.started = true;
            self.changes.push(session.camera);
            peer.viewer.start(&kept, now);
        }
        if peer.take_key_frame_request() {
            peer.viewer.on_request(&kept, now);
        }
        while session.started
            && let Some(ordinal) = peer.viewer.poll(&kept, now)
            && let Some(picture) = stream.get(ordinal)
        {
            let packets = picture.packets();
            let stamp = peer.viewer.on_replayed(ordinal, packets.bytes(), &kept, now);
            peer.send_picture(packets, stamp, now, out);
        }
    }

    fn remove(&mut self, id: u128) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.counters.add(session.peer.facts(), session.peer.viewer.skips());
        self.changes.push(session.camera);
        self.by_ufrag.remove(&session.credentials.ufrag);
        for path in session.paths {
            self.by_path.remove(&(path.remote, path.tcp));
            self.closed.push(path);
        }
    }

    /// Sessions that ended by themselves.
    pub(super) fn take_ends(&mut self) -> Vec<End> {
        std::mem::take(&mut self.ends)
    }

    /// Paths that nobody uses any more.
    pub(super) fn take_closed(&mut self) -> Vec<Path> {
        std::mem::take(&mut self.closed)
    }

    /// Cameras whose sessions came, went or found their path.
    pub(super) fn take_changes(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.changes)
    }

    /// Every session, oldest first.
    pub(super) fn sessions(&self) -> Vec<SessionFacts> {
        let mut all: Vec<SessionFacts> = self
            .sessions
            .iter()
            .map(|(id, s)| SessionFacts::of(*id, s.camera, s.peer.facts(), s.peer.viewer.skips()))
            .collect();
        all.sort_by_key(|facts| facts.opened);
        all
    }

    /// Counters since the start, of sessions that are over and of those that are not.
    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.counters;
        for session in self.sessions.values() {
            counters.add(session.peer.facts(), session.peer.viewer.skips());
        }
        counters
    }
}

/// A check of the path: a STUN message with the user names of both sides. RFC 8445 section 7.2.2.
fn check(bytes: &[u8]) -> Option<StunMessage<'_>> {
    // RFC 7983: only STUN starts with 0 to 3.
    if !matches!(bytes.first(), Some(0..=3)) {
        return None;
    }
    StunMessage::parse(bytes).ok().filter(|message| message.split_username().is_some())
}

/// Datagrams that carry no user name come on the paths that the peer has used. True when it took another one.
fn remember_path(session: &mut Session, id: u128, by_path: &mut HashMap<(SocketAddr, bool), u128>) -> bool {
    let Some(path) = session.peer.facts().path else { return false };
    if session.paths.last() == Some(&path) {
        return false;
    }
    session.paths.retain(|known| *known != path);
    session.paths.push(path);
    if session.paths.len() > MOST_PATHS {
        let oldest = session.paths.remove(0);
        by_path.remove(&(oldest.remote, oldest.tcp));
    }
    by_path.insert((path.remote, path.tcp), id);
    true
}

/// Session id, ICE user name fragment and password (RFC 8445 section 5.3: 24 and 128 bits at least), first RTP time.
fn secrets(entropy: Entropy) -> (u128, IceCreds, u32) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (id, rest) = entropy.split_first_chunk::<16>().expect("entropy has 44 bytes");
    let (ufrag, rest) = rest.split_first_chunk::<8>().expect("entropy has 44 bytes");
    let (pass, rest) = rest.split_first_chunk::<16>().expect("entropy has 44 bytes");
    let first_stamp = u32::from_be_bytes(*rest.first_chunk::<4>().expect("entropy has 44 bytes"));
    (u128::from_be_bytes(*id), IceCreds { ufrag: hex(ufrag), pass: hex(pass) }, first_stamp)
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
