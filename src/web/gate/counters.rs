//! What the gate counts, for `/metrics`; every loss of a client's request or answer is in one of these.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that the media thread raises and anyone reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}

/// The gate's counters since start; `open` is a level.
#[derive(Debug, Default)]
pub struct GateCounters {
    /// Connections open now.
    pub open: Counter,
    /// Connections accepted.
    pub connections: Counter,
    /// Idle connections closed to make room.
    pub evicted: Counter,
    /// Connections answered 503 because every other was busy.
    pub refused_full: Counter,
    /// Errors of accept(), such as no descriptor left.
    pub accept_errors: Counter,
    /// Requests read whole.
    pub requests: Counter,
    /// Requests refused as malformed, ambiguous or unsupported.
    pub refused_requests: Counter,
    /// Heads and bodies that did not arrive in time.
    pub too_slow: Counter,
    /// Requests answered 503 because too many waited for a worker.
    pub refused_busy: Counter,
    /// Requests that the workers did not answer, not in time, or unreadably.
    pub upstream_errors: Counter,
    /// Requests that waited for a camera to start.
    pub waited: Counter,
    /// Answers cut off because the reader was too slow.
    pub stalled: Counter,
    /// Answers cut off because slow readers held the whole memory for answers.
    pub cut: Counter,
    /// Segments cut off because their slot was needed again.
    pub revoked: Counter,
}
