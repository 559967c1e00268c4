//! Porthole: RTSP cameras in, HLS (and WebRTC) out, on one media thread. `ARCHITECTURE.md` is the map.

pub mod board;
pub mod cli;
pub mod config;
pub mod control;
#[cfg(feature = "demo")]
pub mod demo;
pub mod gateway;
pub mod hls;
pub mod hub;
pub mod ingest;
pub mod media;
pub mod mpegts;
pub mod segment;
pub mod system;
pub mod web;
pub mod webrtc;
