//! RTP times of each stream in, one continuing timeline per camera out: it starts at 10 s, goes on over reconnects by
//! the monotonic clock, keeps sound and picture together, and survives cameras whose clock jumps.

use std::time::Instant;

use crate::media::Ticks;

use super::reorder::{Reorder, Stamp};

/// Where every camera's timeline starts: room below for decoding times and the clock reference.
const ORIGIN: Ticks = Ticks::from_secs(10);
/// A camera's clock that runs ahead by more between two pictures has jumped: a silent camera is disconnected earlier.
const FORWARD_LIMIT: Ticks = Ticks::from_secs(10);
/// Pictures that a B-frame can lie behind; a time further back is a clock that jumped.
const BACKWARD_LIMIT_PICTURES: i64 = 16;
/// Sound and picture further apart than this do not share a clock (no or wrong `rtptime`): arrival decides.
const SYNC_LIMIT: Ticks = Ticks::from_secs(5);
/// Sound whose clock has drifted so far from the picture's (cheap cameras, hours later) is moved back into place.
const DRIFT_LIMIT: Ticks = Ticks::from_millis(300);
/// The drift is averaged over about so many frames of sound: arrival alone jitters.
const DRIFT_FRAMES: i64 = 256;
/// Sound that lies further back than this is dropped, less is moved up.
const LATE_SOUND_LIMIT: Ticks = Ticks::from_millis(500);

/// The span of a stream's own time that starts at `at` on the camera's timeline.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    raw: Ticks,
    at: Ticks,
    /// The latest own time since.
    newest: Ticks,
}

impl Anchor {
    fn new(raw: Ticks, at: Ticks) -> Self {
        Self { raw, at, newest: raw }
    }

    fn place(&self, raw: Ticks) -> Ticks {
        self.at + (raw - self.raw)
    }
}

/// The sound's place on the timeline.
#[derive(Clone, Copy, Debug)]
struct Sound {
    anchor: Anchor,
    /// How much later than by arrival its first frame was placed.
    usual: Ticks,
    /// How much later frames are placed now, on average.
    drift: Ticks,
}

/// A unit that is latest on the timeline, and when it arrived.
#[derive(Clone, Copy, Debug)]
struct Latest {
    pts: Ticks,
    arrived: Instant,
}

/// One camera's timeline.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    video: Option<Anchor>,
    audio: Option<Sound>,
    /// This session's first own time of each stream.
    first_video: Option<Ticks>,
    first_audio: Option<Ticks>,
    /// The last picture, for placing by arrival.
    picture: Option<Latest>,
    /// The furthest unit of either stream.
    latest: Option<Latest>,
    last_audio: Option<Ticks>,
    promise: Option<usize>,
    reorder: Reorder,
}

impl Timeline {
    /// A new session with the camera: its streams' own times start anywhere.
    pub(super) fn start_session(&mut self) {
        self.video = None;
        self.audio = None;
        self.first_video = None;
        self.first_audio = None;
    }

    /// The encoder settings changed; `promise` is the reorder depth the new SPS states. Restart at this key frame.
    pub(super) fn change_encoder(&mut self, promise: Option<usize>) {
        self.promise = promise;
        self.reorder.forget();
    }

    /// True when the next key frame must be a restart, to make room for B-frames that were not announced.
    pub(super) fn wants_restart(&self) -> bool {
        self.reorder.must_grow()
    }

    /// True once pictures came out of display order.
    pub(super) fn out_of_order(&self) -> bool {
        self.reorder.out_of_order()
    }

    /// A picture that is not delivered (it precedes the first key frame): its time still tells how the streams relate.
    pub(super) fn skip_video(&mut self, raw: Ticks) {
        self.first_video.get_or_insert(raw);
    }

    /// True when the camera's clock jumped before this picture.
    pub(super) fn jumps(&self, raw: Ticks) -> bool {
        let Some(anchor) = self.video else { return false };
        let ahead = raw - anchor.newest;
        let behind = Ticks(self.reorder.interval().0.saturating_mul(BACKWARD_LIMIT_PICTURES));
        ahead > FORWARD_LIMIT || ahead < -behind
    }

    /// Places a picture. `restart` on a key frame that begins a run: decoding times are derived afresh.
    pub(super) fn video(&mut self, raw: Ticks, arrived: Instant, restart: bool) -> Stamp {
        self.skip_video(raw);
        let jumped = self.jumps(raw);
        let mut anchor = match self.video {
            Some(anchor) if !jumped => anchor,
            _ => Anchor::new(raw, self.next_place(arrived)),
        };
        anchor.newest = anchor.newest.max(raw);
        if restart {
            let shift = self.reorder.restart(self.promise, anchor.place(raw));
            anchor.at += shift;
            if let Some(audio) = &mut self.audio {
                audio.anchor.at += shift;
            }
        }
        self.video = Some(anchor);
        let stamp = self.reorder.stamp(anchor.place(raw));
        if self.picture.is_none_or(|picture| jumped || restart || stamp.pts > picture.pts) {
            self.picture = Some(Latest { pts: stamp.pts, arrived });
        }
        self.reach(stamp.pts, arrived);
        stamp
    }

    /// Places sound; `None` when there is no picture to go with it yet, or when it comes too late.
    pub(super) fn audio(&mut self, raw: Ticks, arrived: Instant) -> Option<Ticks> {
        let first = *self.first_audio.get_or_insert(raw);
        let (video, picture) = (self.video?, self.picture?);
        let by_arrival = picture.pts + since(picture.arrived, arrived);
        let mut sound = self.audio.unwrap_or_else(|| {
            // Both clocks start at exactly zero when the camera does not say how they relate.
            let related = first != Ticks::ZERO || self.first_video != Some(Ticks::ZERO);
            let at = if related { video.place(raw) } else { by_arrival };
            Sound { anchor: Anchor::new(raw, at), usual: at - by_arrival, drift: Ticks::ZERO }
        });
        let apart = sound.anchor.place(raw) - by_arrival;
        if apart > SYNC_LIMIT || apart < -SYNC_LIMIT {
            sound = Sound { anchor: Anchor::new(raw, by_arrival), usual: Ticks::ZERO, drift: Ticks::ZERO };
        } else {
            sound.drift += Ticks((apart - sound.usual - sound.drift).0 / DRIFT_FRAMES);
            if sound.drift > DRIFT_LIMIT || sound.drift < -DRIFT_LIMIT {
                sound.anchor.at += -sound.drift;
                sound.drift = Ticks::ZERO;
            }
        }
        self.audio = Some(sound);
        let pts = sound.anchor.place(raw);
        let pts = match self.last_audio {
            Some(last) if pts + LATE_SOUND_LIMIT <= last => return None,
            Some(last) => pts.max(last + Ticks(1)),
            None => pts,
        };
        self.last_audio = Some(pts);
        self.reach(pts, arrived);
        Some(pts)
    }

    /// Where a picture belongs whose own time means nothing: as much later than the last unit as it arrived.
    fn next_place(&self, arrived: Instant) -> Ticks {
        self.latest.map_or(ORIGIN, |latest| latest.pts + since(latest.arrived, arrived).max(self.reorder.interval()))
    }

    fn reach(&mut self, pts: Ticks, arrived: Instant) {
        if self.latest.is_none_or(|latest| pts > latest.pts) {
            self.latest = Some(Latest { pts, arrived });
        }
    }
}

/// The span from `earlier` to `later`, negative when they are the other way round.
fn since(earlier: Instant, later: Instant) -> Ticks {
    match later.checked_duration_since(earlier) {
        Some(span) => Ticks::from_duration(span),
        None => -Ticks::from_duration(earlier.saturating_duration_since(later)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn start() -> Instant {
        Instant::now() + Duration::from_secs(1000)
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Places pictures of 25/s, in order, whose own time is `raw0` for the first.
    fn pictures(timeline: &mut Timeline, raw0: i64, at: Instant, count: u32) -> Vec<Stamp> {
        (0..count).map(|n| timeline.video(Ticks(raw0 + 3600 * i64::from(n)), at + millis(40) * n, n == 0)).collect()
    }

    #[test]
    fn starts_at_ten_seconds_whatever_the_camera_says() {
        let mut timeline = Timeline::default();
        let stamps = pictures(&mut timeline, -123_456_789, start(), 3);
        let times: Vec<i64> = stamps.iter().map(|picture| picture.pts.0).collect();
        assert_eq!(times, [900_000, 903_600, 907_200]);
    }

    #[test]
    fn a_reconnect_continues_by_the_time_that_passed() {
        let mut timeline = Timeline::default();
        let t0 = start();
        pictures(&mut timeline, 0, t0, 26);
        timeline.start_session();
        let again = pictures(&mut timeline, 777, t0 + Duration::from_secs(6), 1);
        assert_eq!(again[0].pts, Ticks::from_secs(16));
    }

    #[test]
    fn a_clock_that_jumps_forward_or_backward_is_followed_by_arrival() {
        for raw in [i64::MAX, i64::MIN, 900_000_000, -900_000_000, 92_000_000 / 100 + 3600] {
            let mut timeline = Timeline::default();
            let t0 = start();
            pictures(&mut timeline, 0, t0, 5);
            assert!(timeline.jumps(Ticks(raw)), "{raw}");
            let stamp = timeline.video(Ticks(raw), t0 + millis(200), false);
            assert_eq!(stamp, Stamp { pts: Ticks(918_000), dts: Ticks(918_000) });
        }
    }

    #[test]
    fn a_pause_of_the_camera_is_no_jump() {
        let mut timeline = Timeline::default();
        let t0 = start();
        pictures(&mut timeline, 0, t0, 1);
        assert!(!timeline.jumps(Ticks::from_secs(9)));
        assert_eq!(timeline.video(Ticks::from_secs(9), t0 + Duration::from_secs(9), false).pts, Ticks::from_secs(19));
    }

    #[test]
    fn sound_follows_the_cameras_common_clock() {
        let mut timeline = Timeline::default();
        let t0 = start();
        assert_eq!(timeline.audio(Ticks(450), t0), None, "no picture yet");
        pictures(&mut timeline, 900, t0, 2);
        assert_eq!(timeline.audio(Ticks(2700), t0 + millis(300)), Some(Ticks(901_800)));
    }

    #[test]
    fn sound_without_a_common_clock_is_placed_by_arrival() {
        let mut timeline = Timeline::default();
        let t0 = start();
        pictures(&mut timeline, 0, t0, 1);
        assert_eq!(timeline.audio(Ticks(0), t0 + millis(300)), Some(Ticks(927_000)));
        // And so is sound whose clock has nothing to do with the picture's.
        let mut timeline = Timeline::default();
        pictures(&mut timeline, 0, t0, 1);
        assert_eq!(timeline.audio(Ticks(800_000_000), t0 + millis(300)), Some(Ticks(927_000)));
    }

    #[test]
    fn sound_whose_clock_drifts_stays_with_the_picture() {
        // One part in a thousand, both ways, for half an hour: 1.8 s without correction.
        for rate in [3603, 3597] {
            let mut timeline = Timeline::default();
            let t0 = start();
            for n in 0..45_000_u32 {
                let arrived = t0 + millis(40) * n;
                let picture = timeline.video(Ticks(9 + 3600 * i64::from(n)), arrived, n == 0);
                let jitter = millis(u64::from(n % 7) * 20);
                let pts = timeline.audio(Ticks(9 + rate * i64::from(n)), arrived + jitter).unwrap();
                assert!((pts - picture.pts).0.abs() < 40_000, "{:?} at {n}", pts - picture.pts);
            }
        }
    }

    #[test]
    fn a_jump_of_the_picture_takes_the_sound_along() {
        let mut timeline = Timeline::default();
        let t0 = start();
        pictures(&mut timeline, 0, t0, 25);
        timeline.audio(Ticks(86_400), t0 + millis(960));
        timeline.video(Ticks(500_000_000), t0 + millis(1000), false);
        assert_eq!(timeline.audio(Ticks(500_001_800), t0 + millis(1020)), Some(Ticks(991_800)));
    }

    #[test]
    fn sound_that_comes_too_late_is_dropped_and_a_little_late_is_moved_up() {
        let mut timeline = Timeline::default();
        let t0 = start();
        pictures(&mut timeline, 9, t0, 25);
        assert_eq!(timeline.audio(Ticks(90_009), t0 + millis(960)), Some(Ticks(990_000)));
        assert_eq!(timeline.audio(Ticks(80_000), t0 + millis(960)), Some(Ticks(990_001)));
        assert_eq!(timeline.audio(Ticks(9), t0 + millis(960)), None);
    }

    #[test]
    fn b_frames_that_were_not_announced_are_given_room_at_a_restart() {
        let mut timeline = Timeline::default();
        let t0 = start();
        timeline.change_encoder(None);
        let mut last = Ticks::ZERO;
        for (n, raw) in [0, 14_400, 7200, 3600, 10_800, 28_800].into_iter().enumerate() {
            last = timeline.video(Ticks(raw), t0 + millis(40 * n as u64), n == 0).dts;
        }
        assert!(timeline.wants_restart());
        timeline.audio(Ticks(28_800), t0 + millis(300));
        let key = timeline.video(Ticks(32_400), t0 + millis(300), true);
        assert_eq!(timeline.audio(Ticks(32_400), t0 + millis(320)), Some(key.pts), "sound moves along");
        assert!(key.dts > last && key.pts > key.dts);
        assert!(!timeline.wants_restart());
        let next = timeline.video(Ticks(46_800), t0 + millis(340), false);
        assert_eq!(next.pts - key.pts, Ticks(14_400));
    }

    #[test]
    fn hostile_times_keep_the_promises_of_access_units() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            let mut timeline = Timeline::default();
            let mut now = start();
            let (mut raw, mut last_video, mut last_audio) = (0_i64, Ticks(i64::MIN), Ticks(i64::MIN));
            timeline.video(Ticks(raw), now, true);
            for _ in 0..200 {
                now += millis(rng.u64(..100));
                raw = match rng.u8(..12) {
                    0 => rng.i64(..),
                    1 => i64::MAX,
                    2 => i64::MIN,
                    3 => raw.saturating_sub(rng.i64(..100_000)),
                    _ => raw.saturating_add(rng.i64(..8000)),
                };
                match rng.u8(..10) {
                    0 => timeline.start_session(),
                    1 => timeline.change_encoder([None, Some(0), Some(3)][rng.usize(..3)]),
                    2..6 => {
                        if let Some(pts) = timeline.audio(Ticks(raw), now) {
                            assert!(pts > last_audio);
                            last_audio = pts;
                        }
                    }
                    _ => {
                        let restart = rng.u8(..8) == 0 || timeline.video.is_none();
                        let stamp = timeline.video(Ticks(raw), now, restart);
                        assert!(stamp.dts > last_video && stamp.dts <= stamp.pts);
                        last_video = stamp.dts;
                    }
                }
            }
            assert!(last_video < Ticks::from_secs(10_000), "the timeline stays near the clock: {last_video:?}");
        }
    }
}
