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

macro_rules! counters {
    ($($field:ident $name:literal $help:literal)*) => {
        /// The gate's counters since start; `open` is a level.
        #[derive(Debug, Default)]
        pub struct GateCounters {
            $(#[doc = $help] pub $field: Counter,)*
        }

        impl GateCounters {
            /// Name, sentence and value of each, for `/metrics`; those whose name ends in `_total` only grow.
            pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($name, $help, self.$field.read()),)*]
            }
        }
    };
}

counters! {
    open "porthole_gate_connections" "Connections open now."
    connections "porthole_gate_connections_total" "Connections accepted."
    evicted "porthole_gate_evicted_total" "Idle connections closed to make room."
    refused_full "porthole_gate_refused_full_total" "Connections answered 503 because every other was busy."
    accept_errors "porthole_gate_accept_errors_total" "Errors of accept(), such as no descriptor left."
    requests "porthole_gate_requests_total" "Requests read whole."
    refused_requests "porthole_gate_refused_requests_total" "Requests refused as malformed, ambiguous or unsupported."
    too_slow "porthole_gate_too_slow_total" "Heads and bodies that did not arrive in time."
    refused_busy "porthole_gate_refused_busy_total" "Requests answered 503 because too many waited for a worker."
    upstream_errors "porthole_gate_upstream_errors_total" "Requests that the workers did not answer, or not in time."
    segments_gone "porthole_gate_segments_gone_total" "Requests for segments that had left the window."
    waited "porthole_gate_waited_total" "Requests that waited for a camera to start."
    stalled "porthole_gate_stalled_total" "Answers cut off because the reader was too slow."
    cut "porthole_gate_cut_total" "Answers cut off because slow readers held the whole memory for answers."
    revoked "porthole_gate_revoked_total" "Segments cut off because their slot was needed again."
}
