//! The plan: configuration, board and machine in; every limit explicit out, or every reason why it does not fit.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::board::Board;
use super::owner::{Camera, Config};
use super::reader::Problem;

/// Most cameras that this build can hold; a board's own limit is at most this.
pub const MAX_CAMERAS: usize = 64;

/// Most bytes of access units waiting for one reader of a camera's hub.
const QUEUE_BYTES: usize = 4 << 20;
/// Most access units waiting for one reader of a camera's hub: 8 s of 25 pictures and 43 audio frames a second.
const QUEUE_UNITS: usize = 544;
/// A segment never grows beyond this, whatever the tmpfs holds: 12 s of 40 Mbit/s.
const SLOT_BYTES_MOST: u64 = 64 << 20;
/// Longest span that one segment of a camera within its bitrate budget should hold, seconds.
const BUDGET_GOP: u64 = 2;
/// Resident memory of the program itself: code, allocator, thread stacks.
const BASE_BYTES: u64 = 10 << 20;
/// Session, depacketizer and status of one camera.
const CAMERA_BYTES: u64 = 512 << 10;
/// Answers that wait for slow readers, all together.
const ANSWER_BYTES: usize = 2 << 20;
/// Buffers of one web connection.
const CONNECTION_BYTES: u64 = 24 << 10;

/// What is known of the machine before anything runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Memory, bytes.
    pub memory: u64,
    /// The file system that will hold `output_dir`; absent when the folder cannot be reached.
    pub tmpfs: Option<TmpfsFacts>,
}

/// The file system that holds `output_dir`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TmpfsFacts {
    /// True when it is a tmpfs.
    pub is_tmpfs: bool,
    /// Its size, bytes.
    pub size: u64,
}

/// One line of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What needs it.
    pub name: &'static str,
    /// Worst case, bytes.
    pub bytes: u64,
}

/// Everything that runs, with every limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The board profile's name.
    pub board: String,
    /// The web port.
    pub web: WebPlan,
    /// HLS, unless it is off.
    pub hls: Option<HlsPlan>,
    /// Cameras, in the order of the configuration.
    pub cameras: heapless::Vec<CameraPlan, MAX_CAMERAS>,
    /// Worst case of private memory, item by item.
    pub memory: Vec<Item>,
    /// The board's limit for the sum of `memory`, bytes.
    pub memory_limit: u64,
    /// The limit for all slots on tmpfs, bytes.
    pub tmpfs_limit: u64,
}

/// Limits of the web port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebPlan {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Worker threads.
    pub workers: usize,
    /// Most connections at once, in total and per address.
    pub connections: usize,
    /// Most requests waiting for a worker: each connection has one at a time.
    pub waiting: usize,
    /// Most bytes of answers waiting for slow readers.
    pub answer_bytes: usize,
    /// gzip playlists and JSON.
    pub compression: bool,
}

/// Limits of HLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsPlan {
    /// Where segments go.
    pub output_dir: PathBuf,
    /// Least duration of a segment, seconds.
    pub segment_duration: u32,
    /// Least number of segments in a playlist.
    pub segment_count: usize,
    /// Segment files.
    pub segments: SegmentBudget,
}

/// The bound of one stream's segment files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentBudget {
    /// Most files.
    pub files: usize,
    /// Most bytes of one file.
    pub file_bytes: u64,
    /// Most bytes of all files together.
    pub stream_bytes: u64,
}

/// One camera and the bounds of its queues.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraPlan {
    /// The owner's settings.
    pub camera: Camera,
    /// Most bytes waiting per reader of the hub.
    pub queue_bytes: usize,
    /// Most access units waiting per reader of the hub.
    pub queue_units: usize,
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// Every reason why the configuration does not fit the board or the machine.
    pub fn resolve(config: &Config, board: &Board, machine: &Machine) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let count = config.cameras.len();
        let most = usize::try_from(board.cameras).unwrap_or(MAX_CAMERAS).min(MAX_CAMERAS);
        if count > most {
            problems.push(Problem::of(
                "camera",
                format!("{count} cameras are configured; the board {} is made for at most {most}", board.id),
            ));
        }
        let tmpfs_limit = machine.tmpfs.map_or(board.tmpfs, |tmpfs| board.tmpfs.min(tmpfs.size / 20 * 19));
        let hls = if config.hls.enabled {
            resolve_hls(config, board, machine, tmpfs_limit).map_err(|problem| problems.push(problem)).ok()
        } else {
            None
        };
        let cameras = config
            .cameras
            .iter()
            .take(most)
            .map(|camera| CameraPlan { camera: camera.clone(), queue_bytes: QUEUE_BYTES, queue_units: QUEUE_UNITS })
            .collect();
        let memory = memory(count, board);
        let sum: u64 = memory.iter().map(|item| item.bytes).sum();
        if sum > board.memory {
            problems.push(Problem::of("camera", too_much_memory(count, sum, board)));
        }
        let connections = usize::try_from(board.http_connections).unwrap_or(256);
        let web = WebPlan {
            listen: config.web.listen,
            workers: usize::try_from(board.http_workers).unwrap_or(4),
            connections,
            waiting: connections,
            answer_bytes: ANSWER_BYTES,
            compression: config.hls.enable_compression,
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { board: board.id.clone(), web, hls, cameras, memory, memory_limit: board.memory, tmpfs_limit })
    }
}

fn memory(cameras: usize, board: &Board) -> Vec<Item> {
    let cameras = cameras as u64;
    vec![
        Item { name: "program", bytes: BASE_BYTES },
        Item { name: "cameras", bytes: cameras * CAMERA_BYTES },
        Item { name: "queues", bytes: cameras * QUEUE_BYTES as u64 },
        Item { name: "web connections", bytes: board.http_connections * CONNECTION_BYTES },
        Item { name: "web answers", bytes: ANSWER_BYTES as u64 },
    ]
}

fn too_much_memory(count: usize, sum: u64, board: &Board) -> String {
    let fits = (0..count)
        .rev()
        .find(|fewer| memory(*fewer, board).iter().map(|item| item.bytes).sum::<u64>() <= board.memory)
        .unwrap_or(0);
    format!(
        "{count} cameras may need {} of memory; the board {} allows {}: at most {fits} cameras fit",
        mebibytes(sum),
        board.id,
        mebibytes(board.memory)
    )
}

fn resolve_hls(config: &Config, board: &Board, machine: &Machine, limit: u64) -> Result<HlsPlan, Problem> {
    let dir = config.hls.output_dir.display();
    let field = "hls.output_dir";
    match machine.tmpfs {
        None => {
            return Err(Problem::of(field, format!("{dir} cannot be reached; choose a folder below /run or /dev/shm")));
        }
        Some(facts) if !facts.is_tmpfs => {
            return Err(Problem::of(
                field,
                format!(
                    "{dir} is not on tmpfs; segments would wear out the disk: choose a folder below /run or /dev/shm"
                ),
            ));
        }
        Some(_) => {}
    }
    let count = u64::try_from(config.cameras.len().max(1)).unwrap_or(1);
    let segment_count = usize::try_from(config.hls.segment_count).unwrap_or(3);
    // The playlist holds one more than asked for where the target duration is rounded up; then the one being
    // written, and as many again that players may still fetch.
    let usual = u64::from(config.hls.segment_count) * 2 + 4;
    let seconds = u64::from(config.hls.segment_duration).max(BUDGET_GOP);
    // Transport stream packets and tables add less than a tenth.
    let least = board.camera_bitrate / 8 * seconds / 10 * 11 * usual;
    let stream_bytes = limit / count;
    if stream_bytes < least {
        let sentence = format!(
            "{count} cameras of {} kbit/s need {} for segments; {dir} may hold {}: at most {} cameras fit",
            board.camera_bitrate / 1000,
            mebibytes(least * count),
            mebibytes(limit),
            limit / least.max(1)
        );
        return Err(Problem::of(field, sentence));
    }
    let files = usize::try_from(config.hls.cleanup_threshold).unwrap_or(20);
    // Three in the playlist, one being written, one to spare; what is beyond goes by eviction.
    let file_bytes = (stream_bytes / 5).min(SLOT_BYTES_MOST);
    Ok(HlsPlan {
        output_dir: config.hls.output_dir.clone(),
        segment_duration: config.hls.segment_duration,
        segment_count,
        segments: SegmentBudget { files, file_bytes, stream_bytes },
    })
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn config(cameras: usize) -> Config {
        use std::fmt::Write as _;
        let mut text = String::new();
        for n in 0..cameras {
            let _ = write!(text, "[[camera]]\nid = \"c{n}\"\nurl = \"rtsp://10.0.0.1/{n}\"\n");
        }
        Config::parse(&text, |_| Ok(String::new())).unwrap()
    }

    fn machine(size: u64, is_tmpfs: bool) -> Machine {
        Machine { memory: 1024 * MIB, tmpfs: Some(TmpfsFacts { is_tmpfs, size }) }
    }

    fn refusal(cameras: usize, machine: &Machine) -> Vec<String> {
        let problems = Plan::resolve(&config(cameras), &Board::generic(machine), machine).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_plan_names_every_limit_and_their_sum_fits() {
        let machine = machine(512 * MIB, true);
        let plan = Plan::resolve(&config(16), &Board::generic(&machine), &machine).unwrap();
        assert_eq!(plan.cameras.len(), 16);
        let hls = plan.hls.unwrap();
        assert_eq!(hls.segments.files, 20);
        assert!(hls.segments.stream_bytes * 16 <= plan.tmpfs_limit && plan.tmpfs_limit <= 512 * MIB);
        assert!(hls.segments.file_bytes * 5 <= hls.segments.stream_bytes);
        assert!(plan.memory.iter().map(|item| item.bytes).sum::<u64>() <= plan.memory_limit);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_largest_count_that_does() {
        assert_eq!(
            refusal(16, &machine(64 * MIB, true)),
            [
                "hls.output_dir: 16 cameras of 4000 kbit/s need 168 MiB for segments; /run/porthole/hls may hold 58 MiB: at most 5 cameras fit"
            ]
        );
        let small = Machine { memory: 100 * MIB, ..machine(512 * MIB, true) };
        assert_eq!(
            refusal(16, &small),
            ["camera: 16 cameras may need 96 MiB of memory; the board generic allows 50 MiB: at most 5 cameras fit"]
        );
    }

    #[test]
    fn a_disk_is_refused_with_a_place_that_works() {
        assert_eq!(
            refusal(1, &machine(512 * MIB, false)),
            [
                "hls.output_dir: /run/porthole/hls is not on tmpfs; segments would wear out the disk: choose a folder below /run or /dev/shm"
            ]
        );
        assert_eq!(
            refusal(1, &Machine { memory: 1024 * MIB, tmpfs: None }),
            ["hls.output_dir: /run/porthole/hls cannot be reached; choose a folder below /run or /dev/shm"]
        );
    }
}
