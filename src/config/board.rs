//! `board.toml`: what the hardware can do. Without a file, a `generic` profile from the machine found.

use super::plan::Machine;
use super::reader::{Fields, Problem, Report, parse};

/// The limits of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name.
    pub id: String,
    /// Most cameras.
    pub cameras: u32,
    /// Highest bitrate per camera that the board is meant for, bit/s.
    pub camera_bitrate: u64,
    /// Memory for the daemon without its tmpfs, bytes.
    pub memory: u64,
    /// tmpfs for segments, bytes.
    pub tmpfs: u64,
    /// Most web connections at once.
    pub http_connections: u32,
    /// Web worker threads.
    pub http_workers: u32,
}

const MIB: u64 = 1024 * 1024;

impl Board {
    /// The profile of an unknown machine: half of its memory, and nine tenths of the tmpfs that is there.
    pub fn generic(machine: &Machine) -> Self {
        Self {
            id: "generic".to_owned(),
            cameras: 64,
            camera_bitrate: 4_000_000,
            memory: (machine.memory / 2).min(1024 * MIB),
            tmpfs: machine.tmpfs.map_or(0, |tmpfs| tmpfs.size / 10 * 9),
            http_connections: 512,
            http_workers: 4,
        }
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut report = Report::new(text);
        let document = parse(&mut report);
        let mut fields = Fields::root(&document);
        let board = Self {
            id: fields.string("id", &mut report).map_or_else(
                || {
                    fields.missing("id", "the board's name, e.g. id = \"raspberrypi4-64\"", &mut report);
                    String::new()
                },
                |text| text.value,
            ),
            cameras: fields.integer("cameras", 16, 1..=64, "cameras", &mut report),
            camera_bitrate: u64::from(fields.integer("camera_bitrate_kbit", 8000, 64..=200_000, "kbit/s", &mut report))
                * 1000,
            memory: u64::from(fields.integer("memory_mib", 128, 16..=65_536, "MiB", &mut report)) * MIB,
            tmpfs: u64::from(fields.integer("tmpfs_mib", 128, 4..=65_536, "MiB", &mut report)) * MIB,
            http_connections: fields.integer("http_connections", 256, 8..=4096, "connections", &mut report),
            http_workers: fields.integer("http_workers", 4, 1..=16, "threads", &mut report),
        };
        fields.finish(&mut report);
        if report.problems.is_empty() { Ok(board) } else { Err(report.problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_file_gives_limits_and_a_bad_one_every_problem() {
        let board = Board::parse("id = \"tiny\"\ncameras = 4\nmemory_mib = 32\ntmpfs_mib = 24\n").unwrap();
        assert_eq!((board.cameras, board.memory, board.tmpfs), (4, 32 * MIB, 24 * MIB));
        let problems = Board::parse("camera = 4\ntmpfs_mib = \"24\"\n").unwrap_err();
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "line 1: id: is missing: the board's name, e.g. id = \"raspberrypi4-64\"",
                "line 2: tmpfs_mib: must be a whole number of MiB, not a string",
                "line 1: camera: unknown key; did you mean `cameras`?",
            ]
        );
    }
}
