//! Camera in, access units out: the only user of retina; reconnects for ever and says what is wrong.

mod backoff;
mod cause;
mod describe;
mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod intake;
mod meter;
mod probe;
mod reorder;
mod settings;
mod sps;
mod task;
#[cfg(test)]
mod tests;
mod timeline;

pub use cause::{Cause, Step};
pub use event::{Event, SkipReason, SkippedSound, Warning, key_frame_burst};
pub use intake::MAX_PICTURE;
pub use meter::{Facts, Meter};
pub use probe::{Report, Verdict};
pub use settings::{Credentials, Settings, Timeouts, Transport, TransportChoice, shown_url};
pub use task::{probe, run};
