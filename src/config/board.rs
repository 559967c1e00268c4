//! `board.toml`: what the hardware can do. Without a file, a `generic` profile from the machine found.

use super::plan::Machine;
use super::reader::{Fields, Problem, Report, parse};
use super::webrtc::MOST_VIEWERS;

/// The limits of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name.
    pub id: String,
    /// Most cameras.
    pub cameras: u64,
    /// Highest bitrate per camera that the board is meant for, bit/s.
    pub camera_bitrate: u64,
    /// Memory for the daemon without its tmpfs, bytes.
    pub memory: u64,
    /// tmpfs for segments, bytes.
    pub tmpfs: u64,
    /// Most web connections at once.
    pub http_connections: u64,
    /// Web worker threads.
    pub http_workers: u64,
    /// Most WebRTC viewers at once.
    pub webrtc_viewers: u64,
    /// Where the media thread runs.
    pub media: MediaThread,
}

/// Where the media thread runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaThread {
    /// Its core; absent: as the scheduler sees fit.
    pub core: Option<u32>,
    /// How far it goes before other threads: steps of nice.
    pub priority: u32,
}

const MIB: u64 = 1024 * 1024;

impl Board {
    /// The profile of an unknown machine: half of its memory, and nine tenths of the tmpfs that is there.
    pub fn generic(machine: &Machine) -> Self {
        let memory = (machine.memory / 2).min(1024 * MIB);
        Self {
            id: "generic".to_owned(),
            cameras: 64,
            camera_bitrate: 4_000_000,
            memory,
            tmpfs: machine.tmpfs.map_or(0, |tmpfs| tmpfs.size / 10 * 9),
            http_connections: 512,
            http_workers: 4,
            // A sixteenth of the memory, as far as viewers' own needs go.
            webrtc_viewers: (memory / 16 / MIB).clamp(1, 32),
            media: MediaThread::default(),
        }
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut report = Report::new(text);
        let board = read(&mut report);
        if report.problems.is_empty() { Ok(board) } else { Err(report.problems) }
    }

    /// Every key there is, for the documentation's test.
    pub fn keys() -> Vec<String> {
        let mut report = Report::new("");
        read(&mut report);
        report.keys.into_iter().collect()
    }
}

fn read(report: &mut Report<'_>) -> Board {
    let document = parse(report);
    let mut fields = Fields::root(&document);
    let id = fields.string("id", report);
    if id.is_none() {
        fields.missing("id", "the board's name, e.g. id = \"raspberrypi4-64\"", report);
    }
    let core = fields.optional_integer("media_core", 0..=31, "(a core's number)", report);
    let mut number = |key, default, range, unit| u64::from(fields.integer(key, default, range, unit, report));
    let mut board = Board {
        id: id.map_or_else(String::new, |text| text.value),
        cameras: number("cameras", 16, 1..=64, "cameras"),
        camera_bitrate: number("camera_bitrate_kbit", 8000, 64..=200_000, "kbit/s") * 1000,
        memory: number("memory_mib", 128, 16..=65_536, "MiB") * MIB,
        tmpfs: number("tmpfs_mib", 128, 4..=65_536, "MiB") * MIB,
        http_connections: number("http_connections", 256, 8..=4096, "connections"),
        http_workers: number("http_workers", 4, 1..=16, "threads"),
        webrtc_viewers: number("webrtc_viewers", 8, 1..=MOST_VIEWERS, "viewers"),
        media: MediaThread { core, priority: 0 },
    };
    board.media.priority = fields.integer("media_priority", 0, 0..=20, "steps", report);
    fields.finish(report);
    board
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_file_gives_limits_and_a_bad_one_every_problem() {
        let board = Board::parse("id = \"tiny\"\ncameras = 4\nmemory_mib = 32\ntmpfs_mib = 24\n").unwrap();
        assert_eq!((board.cameras, board.memory, board.tmpfs), (4, 32 * MIB, 24 * MIB));
        assert_eq!(board.webrtc_viewers, 8);
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

    #[test]
    fn an_unknown_machine_has_viewers_by_its_memory() {
        let viewers = |memory| Board::generic(&Machine { memory, tmpfs: None }).webrtc_viewers;
        assert_eq!([16, 128, 256, 1024, 65_536].map(|mib| viewers(mib * MIB)), [1, 4, 8, 32, 32]);
    }
}
