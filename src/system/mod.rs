//! What the operating system knows: file systems, clocks, memory, threads. The only other folder with `unsafe`.

mod clock;
mod process;
mod storage;

pub use clock::{since_boot, trusted_wall_time};
pub use process::{Thread, Usage, threads, usage};
pub use storage::{filesystem, machine_memory};
