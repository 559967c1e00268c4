//! The camera as its owner sees it: settings in, a handle with faults and counters out.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Auth, Clip, Fault};

/// How the camera behaves when nothing is wrong.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The path with its query, as in `/demo` or `/cam?channel=1`; any other is answered 404.
    pub path: String,
    /// Who may watch.
    pub auth: Auth,
    /// RTP over the RTSP connection; false: refused with 461.
    pub tcp: bool,
    /// RTP over UDP, to the client's own address only; false: refused with 461.
    pub udp: bool,
    /// Most sessions at a time; more are refused with 453.
    pub max_sessions: usize,
    /// What is shown.
    pub clip: Arc<Clip>,
}

impl Default for Settings {
    /// The built-in clip under `/demo`, open to all, 32 sessions.
    fn default() -> Self {
        Self {
            path: "/demo".to_owned(),
            auth: Auth::None,
            tcp: true,
            udp: true,
            max_sessions: 32,
            clip: Arc::new(Clip::builtin()),
        }
    }
}

/// What the camera has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// DESCRIBE requests, whatever their answer.
    pub describes: u64,
    /// Requests whose credentials were wrong (not: missing, or of a stale nonce).
    pub wrong_credentials: u64,
    /// Sessions opened (first SETUP of each).
    pub sessions: u64,
    /// Sessions open now.
    pub open_sessions: usize,
    /// Most sessions ever open at one time.
    pub most_sessions: usize,
    /// TEARDOWN requests that ended a session.
    pub teardowns: u64,
    /// Clients let go because they read too slowly.
    pub slow_clients: u64,
}

/// A camera; clones are handles to the same one and may be used from any thread.
#[derive(Clone, Debug)]
pub struct Camera {
    pub(super) settings: Arc<Settings>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Mutex<Vec<Fault>>,
    counted: [AtomicU64; 6],
    open: AtomicUsize,
    most: AtomicUsize,
}

/// What is counted by adding one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Connection,
    Describe,
    WrongCredentials,
    Session,
    Teardown,
    SlowClient,
}

impl Camera {
    /// A camera without faults; it does nothing until it is served.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), state: Arc::default() }
    }

    /// Replaces the faults. Holds for requests and access units from now on, under playing sessions too.
    pub fn set_faults(&self, faults: impl Into<Vec<Fault>>) {
        *self.state.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults.into();
    }

    /// The counters now.
    pub fn counters(&self) -> Counters {
        let of = |event: Event| self.state.counted[event as usize].load(Ordering::Relaxed);
        Counters {
            connections: of(Event::Connection),
            describes: of(Event::Describe),
            wrong_credentials: of(Event::WrongCredentials),
            sessions: of(Event::Session),
            open_sessions: self.state.open.load(Ordering::Relaxed),
            most_sessions: self.state.most.load(Ordering::Relaxed),
            teardowns: of(Event::Teardown),
            slow_clients: of(Event::SlowClient),
        }
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.state.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count(&self, event: Event) {
        self.state.counted[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A place for one more session, if there is one.
    pub(super) fn try_open_session(&self) -> Option<OpenSession> {
        let open = self.state.open.fetch_add(1, Ordering::Relaxed) + 1;
        let session = OpenSession(self.clone());
        if open > self.settings.max_sessions {
            return None;
        }
        self.state.most.fetch_max(open, Ordering::Relaxed);
        self.count(Event::Session);
        Some(session)
    }
}

/// A session's place among those open; dropping it frees the place.
#[derive(Debug)]
pub(super) struct OpenSession(Camera);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.state.open.fetch_sub(1, Ordering::Relaxed);
    }
}
