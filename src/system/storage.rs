//! File systems and memory of the machine, as facts for the plan.

use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

/// What holds `path`, or would hold it once created: whether it is tmpfs, and its size in bytes.
/// `None` when no part of the path can be reached.
pub fn filesystem(path: &Path) -> Option<(bool, u64)> {
    let facts = path.ancestors().find_map(|ancestor| statfs(ancestor).ok())?;
    let block = u64::try_from(facts.block_size()).unwrap_or(0);
    Some((facts.filesystem_type() == TMPFS_MAGIC, facts.blocks().saturating_mul(block)))
}

/// Memory of the machine, bytes; 0 when unknown.
pub fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or("");
    total.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_is_tmpfs_and_the_source_tree_is_not() {
        let (is_tmpfs, size) = filesystem(Path::new("/dev/shm/not/yet/created")).unwrap();
        assert!(is_tmpfs && size > 0);
        assert!(!filesystem(Path::new("/proc/self")).unwrap().0);
        assert!(machine_memory() > 16 << 20);
    }
}
