//! What the operating system knows: file systems and private files, clocks, memory, threads, addresses. The only other folder with `unsafe`.

mod addresses;
mod clock;
mod place;
mod process;
mod state;
mod storage;
mod supervisor;
mod watchdog;

pub use addresses::interface_addresses;
pub use clock::{since_boot, trusted_wall_time};
pub use place::Place;
pub use process::{Thread, Usage, boot_id, threads, usage};
pub use state::{StateError, read_private, write_private};
pub use storage::{filesystem, machine_memory};
pub use supervisor::{say_alive, say_ready, say_stopping, watchdog_period};
pub use watchdog::{Watchdog, WatchdogError};
