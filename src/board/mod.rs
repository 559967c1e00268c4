//! A board's `profile.toml` in, the firmware's files for that board out: limits for the daemon, the kernel and systemd.

mod cores;
mod derived;
mod fit;
mod profile;
mod render;
pub mod task;

pub use cores::Cores;
pub use fit::fit;
pub use profile::{Budget, Described, Hardware, Image, Kernel, Profile, Schedule, Tier};
pub use render::render;
