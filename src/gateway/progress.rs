//! Whether every output that is switched on gets on: the status and the time in, what stands still out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::control::{CameraState, CameraStatus, Snapshot};
use crate::media::StreamId;

/// An output that makes nothing for so long of what its camera delivers stands still: segments are cut after 12 s at the latest,
/// and faults, which count as progress, come with every picture that is dropped.
const STANDSTILL: Duration = Duration::from_secs(60);
/// Without a key frame for so long, s, an output that waits for one has an excuse: after a gap there is nothing to start from.
const KEY_FRAME_AGE: f64 = 20.0;

/// Remembers since when each output makes what it makes.
#[derive(Debug, Default)]
pub(super) struct Progress {
    outputs: HashMap<(StreamId, &'static str), Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    made: u64,
    /// Access units of the camera when it was made.
    units: u64,
    at: Instant,
}

impl Progress {
    /// Takes a snapshot; what stands still, in a sentence, if anything does.
    pub(super) fn judge(&mut self, snapshot: &Snapshot, now: Instant) -> Option<String> {
        let mut outputs = Vec::new();
        for camera in snapshot.cameras.iter().filter(|camera| camera.state == CameraState::Streaming) {
            outputs.extend(hls(camera));
            outputs.extend(webrtc(camera, snapshot));
        }
        self.outputs.retain(|key, _| outputs.iter().any(|(camera, name, _)| (camera.id, *name) == *key));
        outputs.into_iter().find_map(|(camera, name, made)| self.stands_still(camera, name, made, now))
    }

    fn stands_still(&mut self, camera: &CameraStatus, name: &'static str, made: u64, now: Instant) -> Option<String> {
        let units = camera.access_units;
        let seen = self.outputs.entry((camera.id, name)).or_insert(Seen { made, units, at: now });
        // A camera that delivers nothing, or no key frames, leaves its outputs nothing to do.
        let key_frames = camera.last_key_frame_age.is_some_and(|age| age < KEY_FRAME_AGE);
        if seen.made != made || seen.units == units || !key_frames {
            *seen = Seen { made, units, at: now };
        }
        let still = now.saturating_duration_since(seen.at);
        (still >= STANDSTILL).then(|| {
            format!("{name} of camera {} stands still for {} s while the camera delivers", camera.id, still.as_secs())
        })
    }
}

/// Segments, or the faults why there are none.
fn hls(camera: &CameraStatus) -> Option<(&CameraStatus, &'static str, u64)> {
    let hls = camera.hls.as_ref()?;
    Some((camera, "HLS", hls.segments_created.wrapping_add(hls.errors)))
}

/// Packets to whoever watches.
fn webrtc<'a>(camera: &'a CameraStatus, snapshot: &Snapshot) -> Option<(&'a CameraStatus, &'static str, u64)> {
    let sessions = &snapshot.webrtc.as_ref()?.sessions;
    let watching = sessions.iter().filter(|session| session.camera == camera.id && session.remote.is_some());
    let made = watching.map(|session| session.packets.wrapping_add(session.skips)).reduce(u64::wrapping_add)?;
    Some((camera, "WebRTC", made))
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
