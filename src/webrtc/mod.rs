//! Access units in, RTP payloads for browsers out: cut once per camera, shared by all its viewers. RFC 8834.

mod addresses;
#[cfg(test)]
mod depacketise;
pub mod framing;
mod packet;
#[cfg(test)]
mod packet_tests;
pub mod socket;

pub use addresses::{AddressChoice, LocalAddress, usable};
pub use packet::{MAX_PAYLOAD, Packet, Packets};
