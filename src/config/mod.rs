//! What the owner wants (`config.toml`) and what the hardware can do (`board.toml`), resolved into one `Plan`.

mod board;
mod owner;
mod plan;
mod reader;
pub mod task;

pub use board::Board;
pub use owner::{Camera, Config, Credentials, Hls, Secret, Transport, Web};
pub use plan::{CameraPlan, HlsPlan, Item, MAX_CAMERAS, Machine, Plan, SegmentBudget, TmpfsFacts, WebPlan};
pub use reader::Problem;
