//! Access units in, SRTP to browsers out: cut into packets once per camera, one sans-IO session per viewer, one UDP socket.
//! RFC 8834, RFC 8835.

mod addresses;
mod answer;
mod certificate;
#[cfg(test)]
mod depacketise;
mod engine;
mod facts;
pub mod framing;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod offer;
mod packet;
#[cfg(test)]
mod packet_tests;
mod peer;
pub mod socket;
mod stream;
mod task;
mod viewer;

pub use addresses::{AddressChoice, LocalAddress, usable};
pub use certificate::{Certificate, NoCertificate};
pub use facts::{Counters, SessionFacts};
pub use packet::{MAX_PAYLOAD, Packet, Packets};
pub use peer::OpenError;
pub use task::{Opened, Settings, Watch, WebRtc};
