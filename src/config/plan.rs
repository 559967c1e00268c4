//! The plan: configuration, board and machine in; every limit explicit out, or every reason why it does not fit.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::board::{Board, MediaThread};
use super::budget::{
    ANSWER_BYTES, Budget, Item, QUEUE_BYTES, TCP_BUFFER_BYTES, WebRtcShare, WebRtcWish, Wish, divide, mebibytes,
};
use super::camera::Camera;
use super::owner::Config;
use super::reader::Problem;
use super::webrtc::AddressChoice;

/// Most cameras that this build can hold; a board's own limit is at most this.
pub const MAX_CAMERAS: usize = 64;

/// Most access units waiting for one reader of a camera's hub: 8 s of 25 pictures and 43 audio frames a second.
const QUEUE_UNITS: usize = 544;
/// A segment never grows beyond this, whatever the tmpfs holds: 12 s of 40 Mbit/s.
const SLOT_BYTES_MOST: u64 = 64 << 20;
/// Longest span that one segment of a camera within its bitrate budget should hold, seconds.
const BUDGET_GOP: u64 = 2;
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

/// Everything that runs, with every limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The board profile's name.
    pub board: String,
    /// The web port.
    pub web: WebPlan,
    /// HLS, unless it is off.
    pub hls: Option<HlsPlan>,
    /// WebRTC, unless it is off.
    pub webrtc: Option<WebRtcPlan>,
    /// Cameras, in the order of the configuration.
    pub cameras: heapless::Vec<CameraPlan, MAX_CAMERAS>,
    /// Worst case of private memory, item by item.
    pub memory: Vec<Item>,
    /// The board's limit for the sum of `memory`, bytes.
    pub memory_limit: u64,
    /// The limit for all slots on tmpfs, bytes.
    pub tmpfs_limit: u64,
    /// Where the media thread runs.
    pub media: MediaThread,
    /// What outlives the program.
    pub system: SystemPlan,
}

/// What outlives the program, or ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemPlan {
    /// Where it is noted how the run ended; absent: nowhere.
    pub state_dir: Option<PathBuf>,
    /// The machine's watchdog and its time, seconds.
    pub watchdog: Option<(PathBuf, u32)>,
}

/// Limits of the web port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebPlan {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Worker threads.
    pub workers: usize,
    /// Most connections at once.
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

/// Limits of WebRTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRtcPlan {
    /// The UDP port of all viewers.
    pub udp_port: u16,
    /// The ICE-TCP port; absent: off.
    pub tcp_port: Option<u16>,
    /// The addresses that viewers are offered.
    pub addresses: AddressChoice,
    /// Most viewers at once, of all cameras together.
    pub max_viewers: usize,
    /// Most bytes of one camera's GOP cache. It bounds what the access units' buffers occupy (their capacity), not
    /// what they carry (their length): the depacketizer's buffers grow by doubling, so a picture may occupy twice
    /// its length. It follows the number of cameras.
    pub gop_bytes: usize,
    /// Most ICE-TCP connections at once, those included on which no viewer has shown itself yet; 0 when it is off.
    pub tcp_connections: usize,
    /// Most bytes that wait for one slow ICE-TCP viewer.
    pub tcp_buffer_bytes: usize,
    /// Where the certificate is kept; absent: in memory, another one at each start.
    pub state_dir: Option<PathBuf>,
}

/// One camera and its bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraPlan {
    /// The owner's settings.
    pub camera: Camera,
    /// Most bytes waiting per reader of the hub.
    pub queue_bytes: usize,
    /// Most access units waiting per reader of the hub.
    pub queue_units: usize,
    /// Most WebRTC viewers at once; 0 when WebRTC is off.
    pub max_viewers: usize,
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
        let budget = divide(wish(config, board, &mut problems), board).map_err(|problem| problems.push(problem));
        let budget = budget.unwrap_or(Budget { items: Vec::new(), webrtc: None });
        let webrtc = budget.webrtc.map(|share| webrtc_plan(config, share));
        let all_viewers = webrtc.as_ref().map_or(0, |webrtc| webrtc.max_viewers);
        let camera_plan = |camera: &Camera| CameraPlan {
            camera: camera.clone(),
            queue_bytes: QUEUE_BYTES,
            queue_units: QUEUE_UNITS,
            max_viewers: camera.max_viewers.map_or(all_viewers, |viewers| whole(viewers.into()).min(all_viewers)),
        };
        let cameras = config.cameras.iter().take(most).map(camera_plan).collect();
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
        Ok(Self {
            board: board.id.clone(),
            web,
            hls,
            webrtc,
            cameras,
            memory: budget.items,
            memory_limit: board.memory,
            tmpfs_limit,
            media: board.media,
            system: SystemPlan {
                state_dir: Some(config.system.state_dir.clone()),
                watchdog: config.system.watchdog.clone().map(|device| (device, config.system.watchdog_timeout)),
            },
        })
    }
}

/// What the owner asks for of the board's memory.
fn wish(config: &Config, board: &Board, problems: &mut Vec<Problem>) -> Wish {
    let webrtc = config.webrtc.enabled.then(|| {
        let viewers = config.webrtc.max_viewers.map(u64::from);
        if let Some(viewers) = viewers.filter(|viewers| *viewers > board.webrtc_viewers) {
            let sentence = format!(
                "is {viewers}; the board {} is made for at most {} viewers (webrtc_viewers of its profile)",
                board.id, board.webrtc_viewers
            );
            problems.push(Problem::of("webrtc.max_viewers", sentence));
        }
        let viewers = viewers.map(|viewers| viewers.min(board.webrtc_viewers));
        WebRtcWish { viewers, tcp: config.webrtc.tcp_port.is_some() }
    });
    Wish { cameras: config.cameras.len() as u64, webrtc }
}

fn webrtc_plan(config: &Config, share: WebRtcShare) -> WebRtcPlan {
    WebRtcPlan {
        udp_port: config.webrtc.udp_port,
        tcp_port: config.webrtc.tcp_port,
        addresses: config.webrtc.addresses.clone(),
        max_viewers: whole(share.viewers),
        gop_bytes: whole(share.gop_bytes),
        tcp_connections: whole(share.tcp_connections),
        tcp_buffer_bytes: TCP_BUFFER_BYTES,
        state_dir: Some(config.system.state_dir.clone()),
    }
}

/// Budgets are summed in 64 bits; what fits a board fits its address space.
fn whole(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn config(cameras: usize) -> Config {
        config_with("", cameras)
    }

    fn config_with(head: &str, cameras: usize) -> Config {
        use std::fmt::Write as _;
        let mut text = head.to_owned();
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
            ["camera: 16 cameras may need 99 MiB of memory; the board generic allows 50 MiB: at most 5 cameras fit"]
        );
    }

    fn resolve(head: &str) -> Result<Plan, Vec<String>> {
        let machine = machine(512 * MIB, true);
        Plan::resolve(&config_with(head, 2), &Board::generic(&machine), &machine)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn webrtc_takes_its_limits_from_the_board_unless_the_owner_names_them() {
        let plan = resolve("").unwrap();
        assert_eq!(
            plan.webrtc,
            Some(WebRtcPlan {
                udp_port: 8189,
                tcp_port: None,
                addresses: AddressChoice::All,
                max_viewers: 32,
                gop_bytes: 6_000_000,
                tcp_connections: 0,
                tcp_buffer_bytes: 524_288,
                state_dir: Some("/var/lib/porthole".into()),
            })
        );
        assert_eq!(plan.cameras[0].max_viewers, 32);
        let plan = resolve("[webrtc]\nmax_viewers = 4\ntcp_port = 8189\n").unwrap();
        let webrtc = plan.webrtc.unwrap();
        assert_eq!((webrtc.max_viewers, webrtc.tcp_port, webrtc.tcp_connections), (4, Some(8189), 8));
        assert_eq!(plan.cameras[0].max_viewers, 4);
        assert_eq!(
            resolve("[webrtc]\nmax_viewers = 33\n").unwrap_err(),
            [
                "webrtc.max_viewers: is 33; the board generic is made for at most 32 viewers (webrtc_viewers of its profile)"
            ]
        );
    }

    #[test]
    fn a_camera_has_at_most_the_viewers_of_the_gateway() {
        for (own, expected) in [(3, 3), (9, 8)] {
            let text = format!(
                "[webrtc]\nmax_viewers = 8\n[[camera]]\nid = \"x\"\nurl = \"rtsp://h/\"\nmax_viewers = {own}\n"
            );
            assert_eq!(resolve(&text).unwrap().cameras[0].max_viewers, expected);
        }
    }

    #[test]
    fn without_webrtc_nothing_is_set_aside_for_it() {
        let plan = resolve("[webrtc]\nenabled = false\n").unwrap();
        assert_eq!((plan.webrtc, plan.cameras[0].max_viewers), (None, 0));
        assert_eq!(plan.memory.len(), 5);
        assert!(resolve("[hls]\nenabled = false\n").unwrap().webrtc.is_some());
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
