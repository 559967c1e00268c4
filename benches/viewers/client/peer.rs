//! One WHEP viewer: str0m as the receiving side, with a socket of its own as each browser has.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::frames::Frames;
use crate::http;

/// Holds a GOP that comes at once while the reader is busy with another viewer.
const RECEIVE_BUFFER: usize = 8 << 20;
/// How often a viewer looks whether it is to end, at least.
const LOOK: Duration = Duration::from_millis(50);
const LARGEST_DATAGRAM: usize = 2000;

pub(crate) struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    session: Option<String>,
    asked: Instant,
    answered: Duration,
    deleted: Option<u16>,
    pub(crate) frames: Frames,
}

impl Peer {
    /// Offers, and takes the answer.
    pub(crate) async fn open(url: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // The force needs root; without it the system's limit holds.
        let _ = setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &RECEIVE_BUFFER);
        let local = socket.local_addr().unwrap();
        let mut rtc = RtcConfig::new().set_rtp_mode(true).build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let mut change = rtc.sdp_api();
        change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = change.apply().unwrap();
        let (url, sdp) = (url.to_owned(), offer.to_sdp_string());
        let asked = Instant::now();
        let (url, answer) = tokio::task::spawn_blocking(move || {
            let answer = http::ask("POST", &url, &sdp);
            (url, answer)
        })
        .await
        .unwrap();
        let answer = answer.unwrap();
        let answered = asked.elapsed();
        assert_eq!(answer.status, 201, "{}", answer.body);
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer.body).unwrap()).unwrap();
        let session = answer.location.map(|location| match location.starts_with('/') {
            true => format!("http://{}{location}", http::split(&url).0),
            false => location,
        });
        Self { rtc, socket, local, session, asked, answered, deleted: None, frames: Frames::default() }
    }

    /// Receives until `over` says so.
    pub(crate) async fn run(&mut self, over: impl Fn(&Frames) -> bool) {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        while !over(&self.frames) {
            let deadline = self.drain();
            let wait = deadline.saturating_duration_since(Instant::now()).min(LOOK);
            if timeout(wait, self.socket.readable()).await.is_err() {
                self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                continue;
            }
            while let Ok((length, source)) = self.socket.try_recv_from(&mut buffer) {
                let datagram = buffer.get(..length).unwrap();
                if let Ok(received) = Receive::new(Protocol::Udp, source, self.local, datagram) {
                    self.rtc.handle_input(Input::Receive(Instant::now(), received)).unwrap();
                    self.drain();
                }
            }
        }
    }

    /// Sends what is to be sent, takes what has arrived; when to come again.
    fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(deadline) => return deadline,
                // A full socket or an address of another family: a lost packet.
                Output::Transmit(packet) => drop(self.socket.try_send_to(&packet.contents, packet.destination)),
                Output::Event(Event::RtpPacket(packet)) => {
                    self.frames.on_packet(*packet.seq_no, packet.header.marker, &packet.payload);
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Ends the session by DELETE.
    pub(crate) async fn close(&mut self) {
        let Some(session) = self.session.take() else { return };
        let answer = tokio::task::spawn_blocking(move || http::ask("DELETE", &session, "")).await.unwrap();
        self.deleted = Some(answer.unwrap().status);
    }

    pub(crate) fn report(&self) -> Value {
        let Frames { packets, bytes, pictures, gaps, first_key, .. } = self.frames;
        json!({
            "answered_ms": self.answered.as_secs_f64() * 1e3,
            "first_key_ms": first_key.map(|at| (at - self.asked).as_secs_f64() * 1e3),
            "seconds": self.asked.elapsed().as_secs_f64(),
            "packets": packets, "bytes": bytes, "pictures": pictures, "gaps": gaps, "deleted": self.deleted,
        })
    }
}
