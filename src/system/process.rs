//! This process as the kernel accounts it: memory by kind, and threads by name.

/// What this process uses (`/proc/self/status`): resident memory in bytes, and threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Anonymous: heap and stacks.
    pub anonymous: u64,
    /// Mapped files: the program's code.
    pub file: u64,
    /// Shared: mapped tmpfs, i.e. segments.
    pub shared: u64,
    /// OS threads.
    pub threads: u64,
}

/// One OS thread of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Kernel thread id.
    pub id: u32,
    /// Name, at most 15 bytes.
    pub name: String,
}

/// Usage now; zeros where `/proc` cannot be read.
pub fn usage() -> Usage {
    std::fs::read_to_string("/proc/self/status").map_or_else(|_| Usage::default(), |status| parse(&status))
}

/// The kernel's name for this boot, another one after every restart of the machine; empty where `/proc` cannot be read.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim_end().to_owned()
}

fn parse(status: &str) -> Usage {
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
    };
    let bytes = |key: &str| number(key).saturating_mul(1024);
    Usage {
        anonymous: bytes("RssAnon:"),
        file: bytes("RssFile:"),
        shared: bytes("RssShmem:"),
        threads: number("Threads:"),
    }
}

/// The threads of this process, by id; empty where `/proc` cannot be read.
pub fn threads() -> Vec<Thread> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let mut threads: Vec<_> = tasks
        .filter_map(|task| {
            let task = task.ok()?;
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            Some(Thread { id: task.file_name().to_str()?.parse().ok()?, name: name.trim_end().to_owned() })
        })
        .collect();
    threads.sort_by_key(|thread| thread.id);
    threads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status =
            "VmRSS:\t   999 kB\nRssAnon:\t    2048 kB\nRssFile:\t    3072 kB\nRssShmem:\t       4 kB\nThreads:\t10\n";
        assert_eq!(parse(status), Usage { anonymous: 2 << 20, file: 3 << 20, shared: 4096, threads: 10 });
        assert_eq!(parse("garbage"), Usage::default());
        assert!(usage().anonymous > 0 && usage().threads > 0);
    }

    #[test]
    fn threads_are_listed_by_name() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = std::sync::mpsc::channel();
        let body = move || {
            started.send(()).unwrap();
            wait.recv()
        };
        let thread = std::thread::Builder::new().name("named-one".to_owned()).spawn(body).unwrap();
        has_started.recv().unwrap();
        assert!(threads().iter().any(|thread| thread.name == "named-one"));
        drop(stop);
        let _ = thread.join().unwrap();
    }
}
