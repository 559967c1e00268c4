//! Figures that follow from a profile: buffers of the kernel, limits of the cgroup.

use super::profile::Budget;
use crate::ingest::key_frame_burst;
use crate::webrtc::socket::UDP_BUFFER;

const MIB: u64 = 1 << 20;
/// Buffers are given in steps of this.
const STEP: u64 = 64 << 10;
/// Threads besides the web workers: the media thread, tiny_http's 1 + 4, the resolver (`tests/threads.rs`).
const THREADS: u32 = 7;

/// `net.core.rmem_default`, bytes: a camera's socket takes the burst of a key frame before the media thread comes to it.
/// It is the default since the RTSP client asks for no buffer of its own; the daemon warns below the same figure.
pub(super) fn udp_receive_bytes(picture: (u32, u32)) -> u64 {
    key_frame_burst(picture).next_multiple_of(STEP)
}

/// `net.core.rmem_max`, bytes: what the WebRTC socket asks for, and never less than the default.
pub(super) fn udp_receive_most(picture: (u32, u32)) -> u64 {
    udp_receive_bytes(picture).max(udp_send_most())
}

/// `net.core.wmem_max`, bytes: what the WebRTC socket asks for. A key frame leaves for all viewers in one go.
pub(super) const fn udp_send_most() -> u64 {
    UDP_BUFFER as u64
}

/// MemoryHigh, MiB: the daemon's worst case and all of its tmpfs, since a cgroup pays for tmpfs pages it touches first.
pub(super) const fn memory_high_mib(budget: Budget) -> u64 {
    budget.daemon_mib as u64 + budget.tmpfs_mib as u64
}

/// MemoryMax, MiB: the cgroup also pays for its socket buffers: one of each camera, and those of the WebRTC socket, which
/// the kernel doubles. Beyond this something leaks, and ending the daemon is better than ending whatever else runs.
pub(super) fn memory_max_mib(budget: Budget, picture: (u32, u32)) -> u64 {
    let cameras = u64::from(budget.cameras) * udp_receive_bytes(picture);
    let webrtc = 2 * (udp_send_most() + udp_send_most());
    memory_high_mib(budget) + (cameras + webrtc).div_ceil(MIB)
}

/// TasksMax: twice the threads there are, since a burst of requests adds some for a few seconds.
pub(super) const fn tasks_max(budget: Budget) -> u32 {
    2 * (THREADS + budget.http_workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Budget = Budget {
        cameras: 4,
        camera_bitrate_kbit: 2000,
        webrtc_viewers: 2,
        http_connections: 64,
        http_workers: 4,
        daemon_mib: 40,
        tmpfs_mib: 24,
        system_mib: 56,
    };

    #[test]
    fn buffers_hold_a_key_frame_in_whole_steps() {
        assert_eq!([(1920, 1080), (3840, 2160), (640, 360)].map(udp_receive_bytes), [458_752, 1_703_936, 65_536]);
        assert_eq!([(1920, 1080), (3840, 2160)].map(udp_receive_most), [1_048_576, 1_703_936]);
    }

    #[test]
    fn the_cgroup_may_hold_the_daemon_its_tmpfs_and_its_sockets() {
        assert_eq!(memory_high_mib(SMALL), 64);
        // Four cameras of 448 KiB, and 4 MiB for WebRTC.
        assert_eq!(memory_max_mib(SMALL, (1920, 1080)), 70);
        assert_eq!(tasks_max(SMALL), 22);
    }
}
