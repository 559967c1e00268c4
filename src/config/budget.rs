//! The memory budget: what is asked for and a board in; the worst case, item by item, and what WebRTC gets of it out.

use super::board::Board;
use super::reader::Problem;

/// Most bytes of access units waiting for one reader of a camera's hub.
pub(super) const QUEUE_BYTES: usize = 4 << 20;
/// Answers that wait for slow readers, all together.
pub(super) const ANSWER_BYTES: usize = 2 << 20;
/// Packets that wait for one slow ICE-TCP viewer: a large key frame comes at once.
pub(super) const TCP_BUFFER_BYTES: usize = 512 << 10;

/// Resident memory of the program itself: code, allocator, thread stacks.
const BASE_BYTES: u64 = 10 << 20;
/// Session, depacketizer and status of one camera.
const CAMERA_BYTES: u64 = 512 << 10;
/// What any ICE-TCP connection holds: a frame being received.
const TCP_CONNECTION_BYTES: u64 = 4 << 10;
/// Buffers of one web connection.
const CONNECTION_BYTES: u64 = 24 << 10;
/// One WebRTC viewer: ICE, DTLS, SRTP, and the packets kept for retransmission.
const VIEWER_BYTES: u64 = 1 << 20;
/// The least of a camera's GOP cache: below this, hardly any camera's GOP would be kept.
const GOP_LEAST: u64 = 1 << 20;
/// The span that a GOP cache should hold at the board's bitrate, seconds: a GOP of 10 s, and what varies.
const GOP_SECONDS: u64 = 12;
/// A cache that must be smaller is so by a multiple of this.
const GOP_STEP: u64 = 64 << 10;
/// ICE-TCP connections per viewer: a browser may open one from each of its networks, and some are not closed yet.
const TCP_CONNECTIONS_PER_VIEWER: u64 = 2;

/// One line of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What needs it.
    pub name: &'static str,
    /// Worst case, bytes.
    pub bytes: u64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) cameras: u64,
    /// Absent: WebRTC is off.
    pub(super) webrtc: Option<WebRtcWish>,
}

/// What is asked for of WebRTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct WebRtcWish {
    /// Absent: as many viewers as fit, and the board allows.
    pub(super) viewers: Option<u64>,
    pub(super) tcp: bool,
}

/// What fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// The worst case, item by item.
    pub(super) items: Vec<Item>,
    /// Absent: WebRTC is off.
    pub(super) webrtc: Option<WebRtcShare>,
}

/// WebRTC's part of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WebRtcShare {
    /// Most viewers.
    pub(super) viewers: u64,
    /// Most bytes of each camera's GOP cache.
    pub(super) gop_bytes: u64,
    /// Most ICE-TCP connections; 0 when it is off.
    pub(super) tcp_connections: u64,
}

impl WebRtcShare {
    /// The least that this many viewers need.
    const fn least(viewers: u64, tcp: bool) -> Self {
        let tcp_connections = if tcp { viewers * TCP_CONNECTIONS_PER_VIEWER } else { 0 };
        Self { viewers, gop_bytes: GOP_LEAST, tcp_connections }
    }

    const fn tcp_bytes(self) -> u64 {
        if self.tcp_connections == 0 {
            return 0;
        }
        self.viewers * TCP_BUFFER_BYTES as u64 + self.tcp_connections * TCP_CONNECTION_BYTES
    }
}

/// Divides the board's memory. Viewers whose number nobody asked for, and GOP caches, take what the rest leaves.
pub(super) fn divide(wish: Wish, board: &Board) -> Result<Budget, Problem> {
    let cameras = wish.cameras;
    let Some(webrtc) = wish.webrtc else {
        let items = items(cameras, None, board);
        return if fits(&items, board) {
            Ok(Budget { items, webrtc: None })
        } else {
            Err(too_many_cameras(cameras, None, board))
        };
    };
    let least = |viewers| WebRtcShare::least(viewers, webrtc.tcp);
    let most = webrtc.viewers.unwrap_or(board.webrtc_viewers).max(1);
    let viewers = (1..=most).rev().find(|viewers| fits(&items(cameras, Some(least(*viewers)), board), board));
    match viewers {
        None => Err(too_many_cameras(cameras, Some(least(1)), board)),
        Some(fewer) if webrtc.viewers.is_some_and(|wanted| wanted > fewer) => {
            Err(too_many_viewers(cameras, least(most), fewer, board))
        }
        Some(viewers) => {
            let share = WebRtcShare { gop_bytes: gop_bytes(cameras, least(viewers), board), ..least(viewers) };
            Ok(Budget { items: items(cameras, Some(share), board), webrtc: Some(share) })
        }
    }
}

/// The largest GOP cache up to what the board's bitrate asks for.
fn gop_bytes(cameras: u64, least: WebRtcShare, board: &Board) -> u64 {
    let wanted = (board.camera_bitrate / 8 * GOP_SECONDS).max(GOP_LEAST);
    let smaller = (GOP_LEAST / GOP_STEP..=wanted / GOP_STEP).rev().map(|steps| steps * GOP_STEP);
    std::iter::once(wanted)
        .chain(smaller)
        .find(|bytes| fits(&items(cameras, Some(WebRtcShare { gop_bytes: *bytes, ..least }), board), board))
        .unwrap_or(GOP_LEAST)
}

fn items(cameras: u64, webrtc: Option<WebRtcShare>, board: &Board) -> Vec<Item> {
    let mut items = vec![
        Item { name: "program", bytes: BASE_BYTES },
        Item { name: "cameras", bytes: cameras * CAMERA_BYTES },
        Item { name: "queues", bytes: cameras * QUEUE_BYTES as u64 },
        Item { name: "web connections", bytes: board.http_connections * CONNECTION_BYTES },
        Item { name: "web answers", bytes: ANSWER_BYTES as u64 },
    ];
    if let Some(share) = webrtc {
        // Queues and GOP cache of a camera hold its newest access units, and the same ones: the longer of them is
        // all that there is.
        let beyond_queue = share.gop_bytes.saturating_sub(QUEUE_BYTES as u64);
        let watched = cameras.min(share.viewers);
        items.extend([
            Item { name: "GOP caches", bytes: cameras * beyond_queue },
            // The same pictures cut into packets, with their headers, while somebody watches.
            Item { name: "WebRTC packets", bytes: watched * (share.gop_bytes + share.gop_bytes / 10) },
            Item { name: "WebRTC viewers", bytes: share.viewers * VIEWER_BYTES },
            Item { name: "ICE-TCP", bytes: share.tcp_bytes() },
        ]);
    }
    items
}

fn sum(items: &[Item]) -> u64 {
    items.iter().map(|item| item.bytes).sum()
}

fn fits(items: &[Item], board: &Board) -> bool {
    sum(items) <= board.memory
}

fn too_many_cameras(cameras: u64, webrtc: Option<WebRtcShare>, board: &Board) -> Problem {
    let fewer = (0..cameras).rev().find(|fewer| fits(&items(*fewer, webrtc, board), board)).unwrap_or(0);
    let sentence = format!(
        "{cameras} cameras may need {} of memory; the board {} allows {}: at most {fewer} cameras fit",
        mebibytes(sum(&items(cameras, webrtc, board))),
        board.id,
        mebibytes(board.memory)
    );
    Problem::of("camera", sentence)
}

fn too_many_viewers(cameras: u64, wanted: WebRtcShare, fewer: u64, board: &Board) -> Problem {
    let sentence = format!(
        "is {}; so many viewers and {cameras} cameras may need {} of memory; the board {} allows {}: at most {fewer} fit",
        wanted.viewers,
        mebibytes(sum(&items(cameras, Some(wanted), board))),
        board.id,
        mebibytes(board.memory)
    );
    Problem::of("webrtc.max_viewers", sentence)
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const ANY: Option<WebRtcWish> = Some(WebRtcWish { viewers: None, tcp: true });

    fn board(memory: u64) -> Board {
        let text = format!("id = \"tiny\"\ncamera_bitrate_kbit = 4000\nmemory_mib = {memory}\nwebrtc_viewers = 32\n");
        Board::parse(&text).unwrap()
    }

    fn share(cameras: u64, memory: u64) -> WebRtcShare {
        let budget = divide(Wish { cameras, webrtc: ANY }, &board(memory)).unwrap();
        assert!(sum(&budget.items) <= memory * MIB, "{budget:?}");
        budget.webrtc.unwrap()
    }

    #[test]
    fn with_enough_memory_the_cache_holds_twelve_seconds() {
        let budget = divide(Wish { cameras: 2, webrtc: ANY }, &board(256)).unwrap();
        assert_eq!(budget.webrtc, Some(WebRtcShare { viewers: 32, gop_bytes: 6_000_000, tcp_connections: 64 }));
        let lines: Vec<_> = budget.items.iter().map(|item| (item.name, item.bytes)).collect();
        assert_eq!(
            lines,
            [
                ("program", 10_485_760),
                ("cameras", 1_048_576),
                ("queues", 8_388_608),
                ("web connections", 6_291_456),
                ("web answers", 2_097_152),
                // 6,000,000 bytes less the 4 MiB of the queue, twice.
                ("GOP caches", 3_611_392),
                ("WebRTC packets", 13_200_000),
                ("WebRTC viewers", 33_554_432),
                ("ICE-TCP", 17_039_360),
            ]
        );
    }

    #[test]
    fn the_cache_shrinks_to_what_the_memory_leaves() {
        // 54 MiB without WebRTC and 32 viewers of 1.51 MiB leave 26 MiB: within the queues, only the packets count.
        assert_eq!(share(8, 128), WebRtcShare { viewers: 32, gop_bytes: 3_014_656, tcp_connections: 64 });
        assert_eq!(share(8, 112), WebRtcShare { viewers: 32, gop_bytes: 1_114_112, tcp_connections: 64 });
    }

    #[test]
    fn viewers_nobody_asked_for_become_fewer_before_anything_is_refused() {
        assert_eq!(share(16, 100).viewers, 3);
        assert_eq!(share(16, 93), WebRtcShare { viewers: 1, gop_bytes: 1_376_256, tcp_connections: 2 });
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_largest_number_that_does() {
        let refusal = |wish, memory| divide(wish, &board(memory)).unwrap_err().to_string();
        assert_eq!(
            refusal(Wish { cameras: 16, webrtc: None }, 64),
            "camera: 16 cameras may need 90 MiB of memory; the board tiny allows 64 MiB: at most 10 cameras fit"
        );
        assert_eq!(
            refusal(Wish { cameras: 16, webrtc: ANY }, 64),
            "camera: 16 cameras may need 93 MiB of memory; the board tiny allows 64 MiB: at most 9 cameras fit"
        );
        let wish = Wish { cameras: 16, webrtc: Some(WebRtcWish { viewers: Some(20), tcp: false }) };
        assert_eq!(
            refusal(wish, 100),
            "webrtc.max_viewers: is 20; so many viewers and 16 cameras may need 128 MiB of memory; the board tiny allows 100 MiB: at most 4 fit"
        );
    }

    #[test]
    fn without_ice_tcp_there_are_no_connections() {
        let wish = Wish { cameras: 1, webrtc: Some(WebRtcWish { viewers: Some(3), tcp: false }) };
        let share = divide(wish, &board(128)).unwrap().webrtc.unwrap();
        assert_eq!((share.viewers, share.tcp_connections), (3, 0));
    }
}
