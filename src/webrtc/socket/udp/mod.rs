//! The UDP socket of all peers: datagrams in batches.

mod outbox;
pub(super) mod task;
