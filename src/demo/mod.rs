//! The built-in demo camera: a clip in, an RTSP/1.0 server out (RFC 2326), well-behaved or with chosen faults for tests.
//!
//! `Camera::new(Settings::default()).serve(listener)` is a whole camera. It runs on any current-thread tokio reactor.

mod auth;
mod camera;
mod clip;
mod connection;
mod fault;
mod g711;
mod request;
mod rtp;
mod sdp;
mod stream;
mod task;

pub use auth::Auth;
pub use camera::{Camera, Counters, Settings};
pub use clip::{Audio, BadClip, Clip};
pub use fault::{Fault, Method};
