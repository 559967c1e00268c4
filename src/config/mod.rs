//! What the owner wants (`config.toml`) and what the hardware can do (`board.toml`), resolved into one `Plan`.

mod board;
mod budget;
mod camera;
mod owner;
mod plan;
mod reader;
pub mod task;
mod webrtc;

pub use board::{Board, MediaThread};
pub use budget::Item;
pub use camera::{Camera, Credentials, Secret, Transport};
pub use owner::{Config, Hls, System, Web};
pub use plan::{
    CameraPlan, HlsPlan, MAX_CAMERAS, Machine, Plan, SegmentBudget, SystemPlan, TmpfsFacts, WebPlan, WebRtcPlan,
};
pub use reader::Problem;
pub(crate) use reader::{Fields, Placed, Report, parse};
pub use webrtc::{AddressChoice, WebRtc};
