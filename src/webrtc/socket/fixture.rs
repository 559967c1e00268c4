//! What the tests of sockets run in: a media thread of their own, and where it is allowed a network of their own.

use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// Runs `body` as the media thread would, 20 s at most.
pub(super) fn on_media_thread<T>(body: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(20), body).await.expect("in time") })
}

/// Runs `test` on a thread whose network is made by these `ip` commands; says so where that is not allowed, and runs nothing.
pub(super) fn in_own_network(commands: &[&str], test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let inside = || {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                println!("skipped: no network namespace can be made here ({error}); run as root");
                return;
            }
            for command in commands {
                if let Err(error) = ip(command) {
                    println!("skipped: {error}");
                    return;
                }
            }
            test();
        };
        // A failed assertion is passed on.
        let result = scope.spawn(inside).join();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Runs `ip` in the network of this thread.
pub(super) fn ip(arguments: &str) -> Result<String, String> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
