//! Finished segments in, a live playlist and its segments out, in memory and in the stream's folder. RFC 8216.

mod playlist;
mod publisher;
mod store;
pub mod task;
mod window;

pub use store::{Facts, Store};

/// What the composition root passes through.
pub use crate::segment::{Fault, FolderError, Prefix, Reader, Sequence, Slot};
