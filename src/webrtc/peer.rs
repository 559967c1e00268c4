//! One viewer's WebRTC session without sockets: offer, datagrams, pictures and time in; answer, datagrams and facts out.
//!
//! str0m in RTP mode does ICE (lite: browsers check, we answer), DTLS, SRTP, RTCP and the repetition of lost packets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec, PayloadParams};
use str0m::media::{MediaKind, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpWrite, SeqNo};
use str0m::stats::{MediaEgressStats, PeerStats};
use str0m::{Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig};

use super::answer;
use super::offer::{self, Offered};
use super::packet::{Packet, Packets};
use super::socket::Path;
use super::viewer::Viewer;
use crate::media::{AudioCodec, StreamFormat, Ticks, VideoCodec};

/// Packets kept for repetition. Two and a half seconds of 4 Mbit/s.
const REPEATABLE: usize = 1024;
const REPEATABLE_FOR: Duration = Duration::from_secs(3);
/// Repeated packets may be up to this share of all: a path that loses a fifth needs a fifth.
const MOST_REPEATED: f32 = 0.5;
/// A viewer whose browser has not been heard for so long is gone. Firefox checks its path every 4 to 6 s (RFC 7675 section 5.1)
/// and repeats no check that is lost: one may be.
const SILENCE: Duration = Duration::from_secs(13);
/// A viewer that reports and has not checked its path for so long does not check it: libnice does so only at the start, where
/// nobody asks for more (RFC 8445 section 11). str0m ends a path that is not checked for 15 s.
const UNCHECKED: Duration = Duration::from_secs(7);
const STATS: Duration = Duration::from_secs(2);
/// Samples per second of G.711.
const SOUND_HZ: i64 = 8000;

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The offer cannot be understood, or asks for something else than to watch.
    #[error("{0}")]
    BadOffer(String),
    /// This browser and this camera share no video codec.
    #[error("camera sends {}, this browser accepts {}: use HLS", .sends.name(), if .accepts.is_empty() { "no video".to_owned() } else { .accepts.join(", ") })]
    NoSharedCodec {
        /// The camera's.
        sends: VideoCodec,
        /// The browser's, in its order.
        accepts: Vec<String>,
    },
    /// So many watch already.
    #[error("{limit} viewers already")]
    Full {
        /// True when it is the camera's own limit.
        of_camera: bool,
        /// Viewers.
        limit: usize,
    },
    /// What nobody can guess cannot be made now.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(getrandom::Error),
}

/// What a peer is made of besides its offer.
pub(super) struct Opening<'a> {
    pub(super) format: &'a StreamFormat,
    pub(super) certificate: &'a DtlsCert,
    pub(super) crypto: &'a Arc<CryptoProvider>,
    /// Finds the peer when the first datagram comes.
    pub(super) credentials: IceCreds,
    /// This machine's addresses, the most likely first.
    pub(super) addresses: &'a [IpAddr],
    pub(super) udp_port: u16,
    pub(super) tcp_port: Option<u16>,
    /// RTP time starts anywhere.
    pub(super) first_stamp: u32,
}

/// What is known of a session.
#[derive(Clone, Debug)]
pub(super) struct PeerFacts {
    pub(super) opened: Instant,
    pub(super) path: Option<Path>,
    pub(super) ice_state: &'static str,
    pub(super) rtt: Option<Duration>,
    pub(super) loss: Option<f32>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) nacks: u64,
    pub(super) plis: u64,
    pub(super) codec: VideoCodec,
    pub(super) sound: Option<AudioCodec>,
}

/// Where packets of one kind go.
#[derive(Clone, Copy, Debug)]
struct Track {
    mid: Mid,
    pt: Pt,
    sequence: u64,
}

/// Takes what a peer sends.
pub(super) type Out<'a> = &'a mut dyn FnMut(Path, &[u8]);

/// One session.
pub(super) struct Peer {
    rtc: Rtc,
    pub(super) viewer: Viewer,
    video: Track,
    sound: Option<Sound>,
    connected: bool,
    /// Why the session is over, once it is.
    ended: Option<String>,
    /// When the browser last proved that it is there, by a check or a report.
    heard: Instant,
    /// When the path was last checked.
    checked: Instant,
    timeout: Instant,
    key_frame_wanted: bool,
    facts: PeerFacts,
}

#[derive(Clone, Copy, Debug)]
struct Sound {
    track: Track,
    codec: AudioCodec,
    /// RTP time starts anywhere.
    first_stamp: u32,
    /// The camera's time and ours of the sound sent last, in samples.
    sent: Option<(i64, i64)>,
}

impl Peer {
    /// Answers `offer`.
    pub(super) fn open(offer: &str, opening: &Opening<'_>, now: Instant) -> Result<(Self, String), OpenError> {
        let Offered { sdp, video_codecs } = offer::read(offer).map_err(OpenError::BadOffer)?;
        let video_codec = opening.format.video.codec;
        let mut rtc = configure(opening, video_codec).build(now);
        for candidate in candidates(opening) {
            rtc.add_local_candidate(candidate);
        }
        let answer = rtc.sdp_api().accept_offer(sdp).map_err(|error| OpenError::BadOffer(error.to_string()))?;
        let answer = answer.to_sdp_string();
        let profile = h264_profile(&opening.format.video.rfc6381);
        let video = track(&rtc, &answer, MediaKind::Video, &|params| Some(rank(params, profile)));
        let video = video.ok_or(OpenError::NoSharedCodec { sends: video_codec, accepts: video_codecs })?;
        if answer.lines().any(|line| line.starts_with("m=") && line.split(' ').count() < 4) {
            return Err(OpenError::BadOffer("one of its sections names no codec that is known here".to_owned()));
        }
        let sound = opening.format.audio.as_ref().and_then(|audio| {
            let wanted = |params: &PayloadParams| (params.spec().codec == sound_codec(audio.codec)?).then_some(0);
            let track = track(&rtc, &answer, MediaKind::Audio, &wanted)?;
            Some(Sound { track, codec: audio.codec, first_stamp: opening.first_stamp, sent: None })
        });
        if let Some(stream) = rtc.direct_api().stream_tx_by_mid(video.mid, None) {
            stream.set_rtx_cache(REPEATABLE, REPEATABLE_FOR, Some(MOST_REPEATED));
        }
        let facts = PeerFacts {
            opened: now,
            path: None,
            ice_state: "new",
            rtt: None,
            loss: None,
            packets: 0,
            bytes: 0,
            nacks: 0,
            plis: 0,
            codec: video_codec,
            sound: sound.map(|sound| sound.codec),
        };
        let peer = Self {
            rtc,
            viewer: Viewer::new(opening.first_stamp, now),
            video,
            sound,
            connected: false,
            ended: None,
            heard: now,
            checked: now,
            timeout: now,
            key_frame_wanted: false,
            facts,
        };
        Ok((peer, answer::rank_candidates(&answer)))
    }

    /// True while the browser can take pictures.
    pub(super) const fn is_connected(&self) -> bool {
        self.connected
    }

    /// True when the session is over: ended by the browser, broken, or not heard for too long.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ended.is_some() || now >= self.deadline()
    }

    /// Why it is over; `None`: nothing was heard.
    pub(super) fn take_end(&mut self) -> Option<String> {
        self.ended.take()
    }

    fn end(&mut self, why: impl Into<String>) {
        self.ended.get_or_insert_with(|| why.into());
    }

    fn deadline(&self) -> Instant {
        self.heard + SILENCE
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest.
    pub(super) fn timeout(&self) -> Instant {
        let own = self.timeout.min(self.deadline());
        self.viewer.due().filter(|_| self.connected).map_or(own, |due| own.min(due))
    }

    pub(super) const fn facts(&self) -> &PeerFacts {
        &self.facts
    }

    /// The browser asked for a key frame since the last call.
    pub(super) fn take_key_frame_request(&mut self) -> bool {
        std::mem::take(&mut self.key_frame_wanted)
    }

    /// A check of the path came that only the browser can have made.
    pub(super) const fn on_check(&mut self, now: Instant) {
        (self.heard, self.checked) = (now, now);
    }

    /// True when the browser reports and does not check its path; then its last check stands for those that it leaves out.
    pub(super) fn wants_check(&self) -> bool {
        self.heard.saturating_duration_since(self.checked) >= UNCHECKED
    }

    /// Takes the browser's last check once more: its path is alive. The answer goes to nobody.
    pub(super) fn repeat_check(&mut self, check: &[u8], now: Instant, out: Out<'_>) {
        self.checked = now;
        let Some(path) = self.facts.path else { return };
        // RFC 7983: STUN starts with 0 to 3.
        self.handle_datagram(path, check, now, &mut |path, bytes| {
            if !matches!(bytes.first(), Some(0..=3)) {
                out(path, bytes);
            }
        });
    }

    /// A datagram that this peer's path or credentials name. It proves nothing: its sender may be forged.
    pub(super) fn handle_datagram(&mut self, path: Path, bytes: &[u8], now: Instant, out: Out<'_>) {
        let proto = if path.tcp { Protocol::Tcp } else { Protocol::Udp };
        let Ok(receive) = Receive::new(proto, path.remote, path.local, bytes) else { return };
        if let Err(error) = self.rtc.handle_input(Input::Receive(now, receive)) {
            self.end(error.to_string());
        }
        self.drain(out);
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: Out<'_>) {
        if self.timeout <= now {
            return self.flush(now, out);
        }
        self.drain(out);
    }

    /// Ends the session and tells the browser.
    pub(super) fn close(&mut self, now: Instant, out: Out<'_>) {
        // What cannot be closed in good order is over all the same.
        let _ = self.rtc.close().and_then(|()| self.rtc.handle_input(Input::Timeout(now)));
        self.drain(out);
        self.end("it was closed");
    }

    /// Sends a picture that the viewer takes now.
    pub(super) fn send_picture(&mut self, packets: &Packets, stamp: u32, now: Instant, out: Out<'_>) {
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.video.mid, None) else { return };
        let mut extensions = ExtensionValues::default();
        if packets.key_frame {
            // Zero and zero: show each picture as soon as it is decoded.
            extensions.play_delay_min = Some(MediaTime::from_hundredths(0));
            extensions.play_delay_max = Some(MediaTime::from_hundredths(0));
        }
        for Packet { payload, marker, .. } in packets.iter() {
            let sequence = SeqNo::from(self.video.sequence);
            let write = RtpWrite::new(self.video.pt, sequence, stamp, now, Arc::clone(payload));
            stream.write_rtp(write.marker(marker).ext_vals(extensions.clone()).nackable(true));
            self.video.sequence += 1;
        }
        self.flush(now, out);
    }

    /// Sends sound, in step with live pictures.
    pub(super) fn send_sound(&mut self, packets: &Packets, now: Instant, out: Out<'_>) {
        let Some(sound) = &mut self.sound else { return };
        let samples = packets.pts.0 * SOUND_HZ / Ticks::HZ;
        let stamp = match sound.sent {
            // Over a gap the camera's time goes on; it never goes back.
            Some((camera, ours)) => ours.saturating_add(samples.saturating_sub(camera).max(1)),
            None => i64::from(sound.first_stamp),
        };
        sound.sent = Some((samples, stamp));
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(sound.track.mid, None) else { return };
        for Packet { payload, samples_before, .. } in packets.iter() {
            let stamp = stamp.saturating_add(i64::try_from(samples_before).unwrap_or(0));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "RFC 3550: modulo 2^32")]
            let stamp = stamp as u32;
            let sequence = SeqNo::from(sound.track.sequence);
            stream.write_rtp(RtpWrite::new(sound.track.pt, sequence, stamp, now, Arc::clone(payload)));
            sound.track.sequence += 1;
        }
        self.flush(now, out);
    }

    fn flush(&mut self, now: Instant, out: Out<'_>) {
        if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
            self.end(error.to_string());
        }
        self.drain(out);
    }

    fn drain(&mut self, out: Out<'_>) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    let tcp = transmit.proto != Protocol::Udp;
                    let path = Path { local: transmit.source, remote: transmit.destination, tcp };
                    self.facts.path = Some(path);
                    // RFC 7983: RTP and RTCP start with 128 to 191.
                    if matches!(transmit.contents.first(), Some(128..=191)) {
                        self.facts.packets += 1;
                        self.facts.bytes += transmit.contents.len() as u64;
                    }
                    out(path, &transmit.contents);
                }
                Ok(Output::Event(event)) => self.on_event(event),
                Err(error) => {
                    self.end(error.to_string());
                    break;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.end("the browser closed it");
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::IceConnectionStateChange(state) => {
                self.facts.ice_state = state_name(state);
                if self.connected && state == IceConnectionState::Disconnected {
                    self.end("its path is gone");
                }
            }
            Event::KeyframeRequest(request) if request.mid == self.video.mid => self.key_frame_wanted = true,
            Event::MediaEgressStats(stats) if stats.mid == self.video.mid => self.on_media_stats(&stats),
            Event::PeerStats(stats) => self.on_peer_stats(&stats),
            Event::Closed => self.end("the browser closed it"),
            _ => {}
        }
    }

    fn on_media_stats(&mut self, stats: &MediaEgressStats) {
        let facts = &mut self.facts;
        facts.nacks = stats.nacks;
        facts.plis = stats.plis + stats.firs;
        facts.rtt = stats.rtt.or(facts.rtt);
        facts.loss = stats.loss.or(facts.loss);
        if stats.loss.is_some() {
            // A receiver report came since the last time, at the earliest just after it, and its SRTCP tag was right.
            self.heard = self.heard.max(stats.timestamp.checked_sub(STATS).unwrap_or(self.heard));
        }
    }

    fn on_peer_stats(&mut self, stats: &PeerStats) {
        self.facts.rtt = stats.rtt.or(self.facts.rtt);
    }
}

fn configure(opening: &Opening<'_>, video: VideoCodec) -> RtcConfig {
    // Without bandwidth estimation: a camera's bitrate cannot be changed from here.
    let mut extensions = ExtensionMap::empty();
    extensions.set(1, Extension::RtpMid);
    extensions.set(2, Extension::PlayoutDelay);
    let mut config = RtcConfig::new()
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .set_local_ice_credentials(opening.credentials.clone())
        .set_dtls_cert(opening.certificate.clone())
        .set_crypto_provider(Arc::clone(opening.crypto))
        .set_extension_map(extensions)
        .set_stats_interval(Some(STATS))
        .clear_codecs()
        // Also for a camera without sound: an answer without a codec for each section would not be valid.
        .enable_pcmu(true, false)
        .enable_pcma(true, false)
        .enable_opus(true, false);
    match video {
        VideoCodec::H264 => {
            for (payload_type, resend, profile_level) in H264 {
                config.codec_config().add_h264(payload_type.into(), Some(resend.into()), true, profile_level);
            }
        }
        VideoCodec::H265 => config.codec_config().enable_h265(true),
    }
    config
}

/// What H.264 is answered with: our payload types (the browser's are used), those of repeated packets, and
/// profile-level-id: Constrained Baseline, Baseline, Main, Constrained High, High, High 4:4:4.
const H264: [(u8, u8, u32); 6] = [
    (96, 97, 0x42_e0_1f),
    (98, 99, 0x42_00_1f),
    (100, 101, 0x4d_00_1f),
    (102, 103, 0x64_0c_1f),
    (104, 105, 0x64_00_1f),
    (106, 107, 0xf4_00_1f),
];

/// profile_idc of `avc1.PPCCLL`.
fn h264_profile(rfc6381: &str) -> u8 {
    let profile = rfc6381.split_once('.').and_then(|(_, digits)| digits.get(..2));
    profile.and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0x64)
}

/// How far a payload type is from a stream of `profile`, 0 is best: a decoder of a higher profile decodes it, and one of a
/// lower profile mostly does, too.
fn rank(params: &PayloadParams, profile: u8) -> u32 {
    let order = |profile: u8| match profile {
        0x42 => 0,
        0x4d => 1,
        0x64 => 2,
        _ => 3,
    };
    let spec = params.spec();
    if spec.codec != Codec::H264 {
        return 0;
    }
    let [_, offered, _, _] = spec.format.profile_level_id.unwrap_or(0x42_00_1f).to_be_bytes();
    let (offered, sent): (u32, u32) = (order(offered), order(profile));
    if offered >= sent { offered - sent } else { 10 + sent - offered }
}

/// What goes out as this sound: it goes as it came.
const fn sound_codec(codec: AudioCodec) -> Option<Codec> {
    match codec {
        AudioCodec::Pcmu => Some(Codec::PCMU),
        AudioCodec::Pcma => Some(Codec::PCMA),
        AudioCodec::Aac => None,
    }
}

/// The first section of `kind` that takes what we send, and the payload type with the lowest rank there.
fn track(rtc: &Rtc, answer: &str, kind: MediaKind, rank: &dyn Fn(&PayloadParams) -> Option<u32>) -> Option<Track> {
    let mids = answer.lines().filter_map(|line| line.strip_prefix("a=mid:")).map(|mid| Mid::from(mid.trim_end()));
    mids.filter_map(|mid| {
        let media = rtc.media(mid)?;
        if media.kind() != kind || media.disabled() || !media.direction().is_sending() {
            return None;
        }
        let shared = rtc.codec_config().params().iter().filter(|params| media.remote_pts().contains(&params.pt()));
        let ranked = shared.filter_map(|params| Some((rank(params)?, params.pt())));
        let (_, pt) = ranked.min_by_key(|(rank, _)| *rank)?;
        Some(Track { mid, pt, sequence: *SeqNo::default() })
    })
    .next()
}

fn candidates(opening: &Opening<'_>) -> Vec<Candidate> {
    let mut all = Vec::new();
    for address in opening.addresses {
        all.extend(Candidate::host(SocketAddr::new(*address, opening.udp_port), Protocol::Udp));
    }
    for address in opening.tcp_port.iter().flat_map(|port| opening.addresses.iter().map(|a| SocketAddr::new(*a, *port)))
    {
        all.extend(Candidate::builder().tcp().host(address).tcptype(TcpType::Passive).build());
    }
    all
}

const fn state_name(state: IceConnectionState) -> &'static str {
    match state {
        IceConnectionState::New => "new",
        IceConnectionState::Checking => "checking",
        IceConnectionState::Connected => "connected",
        IceConnectionState::Completed => "completed",
        IceConnectionState::Disconnected => "disconnected",
    }
}
