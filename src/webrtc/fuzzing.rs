//! Doors for the fuzz targets to the engine, which stays private otherwise: all sessions without sockets, one camera.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use super::engine::{Engine, Limits, Request};
use super::socket::Path;
use super::{Certificate, OpenError, SessionFacts};
use crate::media::{AccessUnit, StreamFormat, StreamId};

/// All sessions of one camera.
pub struct Sessions {
    engine: Engine,
    camera: StreamId,
    most: usize,
}

impl Sessions {
    /// At most `most` of them, on UDP port 8189 and TCP port 8189.
    pub fn new(certificate: Certificate, camera: StreamId, most: usize) -> Self {
        let limits = Limits { udp_port: 8189, tcp_port: Some(8189), max_viewers: most };
        let mut engine = Engine::new(limits, certificate);
        engine.add_stream(camera, 1 << 20, Vec::new());
        Self { engine, camera, most }
    }

    /// Opens one: its id and the answer. ICE credentials are the bytes 16 to 24 and 24 to 40 of `entropy`, in hexadecimal.
    ///
    /// # Errors
    /// Why there is no session.
    pub fn open(
        &mut self,
        sdp: &str,
        format: &StreamFormat,
        addresses: &[IpAddr],
        entropy: [u8; 44],
        now: Instant,
    ) -> Result<(u128, String), OpenError> {
        let request = Request { camera: self.camera, sdp, format, camera_viewers: self.most, addresses, entropy };
        self.engine.open(&request, now)
    }

    /// A datagram, or over TCP a frame; false when it is from nobody who watches.
    pub fn handle_datagram(
        &mut self,
        path: Path,
        bytes: &[u8],
        now: Instant,
        out: &mut dyn FnMut(Path, &[u8]),
    ) -> bool {
        self.engine.handle_datagram(path, bytes, now, out)
    }

    /// An access unit of the camera.
    pub fn handle_unit(&mut self, unit: Rc<AccessUnit>, now: Instant, out: &mut dyn FnMut(Path, &[u8])) {
        self.engine.handle_unit(self.camera, unit, now, out);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut dyn FnMut(Path, &[u8])) {
        self.engine.handle_timeout(now, out);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    /// The path takes no more.
    pub fn on_congested(&mut self, path: Path) {
        self.engine.on_congested(path);
    }

    /// The TCP connection of this path is closed.
    pub fn on_closed(&mut self, path: Path) {
        self.engine.on_closed(path);
    }

    /// Ends the session with this id.
    pub fn hang_up(&mut self, id: u128, now: Instant, out: &mut dyn FnMut(Path, &[u8])) -> bool {
        self.engine.hang_up(None, id, now, out)
    }

    /// Every session.
    pub fn sessions(&self) -> Vec<SessionFacts> {
        self.engine.sessions()
    }

    /// Why sessions ended by themselves since the last call, and how many paths became free.
    pub fn take_ends(&mut self) -> (Vec<String>, usize) {
        self.engine.take_changes();
        let ends = self.engine.take_ends().into_iter().map(|end| end.why).collect();
        (ends, self.engine.take_closed().len())
    }
}
