//! TCP connections of peers whom UDP does not reach: the passive side of ICE-TCP. RFC 6544, framed by RFC 4571.

mod outgoing;
pub(super) mod task;
