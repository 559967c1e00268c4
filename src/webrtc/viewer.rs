//! One viewer's place in a camera's stream: pictures that exist and the time in, which picture to send now and its stamp out.
//!
//! A new viewer gets the pictures since the last key frame in quick succession and then the live ones, so that the first
//! picture does not wait for the camera's next key frame. Its RTP time never stands still or goes back: while it catches
//! up it runs with the clock, and from then on with the camera, so that no receiver sees a jump or builds up delay.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::media::Ticks;

/// Pictures of a replay are at least this far apart: ten times the pace of 25 pictures a second.
const REPLAY_PACE: Duration = Duration::from_millis(4);
/// Bytes a second of a replay: 100 Mbit/s, what a phone's Wi-Fi and a decoder take in.
const REPLAY_BYTES: u64 = 12_500_000;
/// Ticks that the camera's time and the clock may be apart over two pictures.
const MOST_APART: u64 = 5 * Ticks::HZ as u64;
/// A key frame that is asked for again so soon was on its way already.
const REQUEST_PAUSE: Duration = Duration::from_millis(300);
/// So many requests within [`REQUEST_SPAN`] are more than lost packets: replays would only add to what does not get
/// through, so the viewer waits for the camera's next key frame.
const MOST_REQUESTS: u32 = 4;
const REQUEST_SPAN: Duration = Duration::from_secs(10);

/// Transitions: Waiting -key frame exists-> Replaying -caught up-> Live; Live -key frame asked for-> Replaying;
/// any -skip-> Waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// For a key frame.
    Waiting,
    /// Behind: `next` is the ordinal of the picture to send at `due`.
    Replaying { next: u64, due: Instant },
    /// In step with the camera: stamps are its time plus `offset`, known from the first picture on.
    Live { offset: Option<i64> },
}

/// The stamp sent last, 90 kHz, unwrapped.
#[derive(Clone, Copy, Debug)]
struct Sent {
    stamp: i64,
    at: Instant,
}

/// What happens with a picture that just came from the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Send it now.
    Send,
    /// It comes later (in a replay), or never.
    NotNow,
}

/// One viewer.
#[derive(Debug)]
pub(super) struct Viewer {
    place: Place,
    sent: Option<Sent>,
    /// RTP time starts anywhere.
    first_stamp: u32,
    requested: Option<Instant>,
    /// Where the kept pictures ended when the last request was answered.
    answered_to: u64,
    /// Since when requests are counted, and how many.
    requests: (Instant, u32),
    skips: u64,
}

impl Viewer {
    /// A viewer who has seen nothing yet.
    pub(super) const fn new(first_stamp: u32, now: Instant) -> Self {
        Self {
            place: Place::Waiting,
            sent: None,
            first_stamp,
            requested: None,
            answered_to: 0,
            requests: (now, 0),
            skips: 0,
        }
    }

    /// Times this viewer was too slow and skipped to a key frame.
    pub(super) const fn skips(&self) -> u64 {
        self.skips
    }

    /// In step with the camera: sound goes along.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.place, Place::Live { .. })
    }

    /// Can receive from now on. `kept`: ordinals of the pictures since the last key frame, it included.
    pub(super) fn start(&mut self, kept: &Range<u64>, now: Instant) {
        self.place = if kept.is_empty() { Place::Waiting } else { Place::Replaying { next: kept.start, due: now } };
    }

    /// The browser asks for a key frame; true when it gets one from the kept pictures.
    pub(super) fn on_request(&mut self, kept: &Range<u64>, now: Instant) -> bool {
        let recent = self.requested.is_some_and(|last| now.saturating_duration_since(last) < REQUEST_PAUSE);
        // While the camera sends nothing, browsers keep asking: the same pictures again would look as if it moved.
        if recent || kept.end == self.answered_to || matches!(self.place, Place::Waiting) {
            return false;
        }
        self.answered_to = kept.end;
        self.requested = Some(now);
        let (since, count) = self.requests;
        self.requests = if now.saturating_duration_since(since) > REQUEST_SPAN { (now, 1) } else { (since, count + 1) };
        if self.requests.1 > MOST_REQUESTS {
            self.skip();
            return false;
        }
        self.start(kept, now);
        !kept.is_empty()
    }

    /// Its path does not take more: the next key frame is the next picture.
    pub(super) fn skip(&mut self) {
        if self.place != Place::Waiting {
            self.place = Place::Waiting;
            self.skips += 1;
        }
    }

    /// A picture came from the camera; `kept` has it already, if it is kept.
    pub(super) fn on_arrival(&mut self, key_frame: bool, kept: &Range<u64>) -> Arrival {
        match self.place {
            Place::Live { .. } => Arrival::Send,
            Place::Waiting if key_frame => {
                self.place = Place::Live { offset: None };
                Arrival::Send
            }
            Place::Waiting => Arrival::NotNow,
            Place::Replaying { next, due } => {
                // A replay that the next key frame overtook goes on there; without kept pictures there is none.
                if kept.is_empty() {
                    self.skip();
                } else if next < kept.start {
                    self.place = Place::Replaying { next: kept.start, due };
                }
                Arrival::NotNow
            }
        }
    }

    /// When [`poll`](Self::poll) has a picture; `None` outside replays.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self.place {
            Place::Replaying { due, .. } => Some(due),
            Place::Waiting | Place::Live { .. } => None,
        }
    }

    /// The kept picture to send now.
    pub(super) fn poll(&self, kept: &Range<u64>, now: Instant) -> Option<u64> {
        match self.place {
            Place::Replaying { next, due } if due <= now && kept.contains(&next) => Some(next),
            _ => None,
        }
    }

    /// The picture that [`poll`](Self::poll) named goes out, with so many bytes: returns its stamp.
    pub(super) fn on_replayed(&mut self, ordinal: u64, bytes: usize, kept: &Range<u64>, now: Instant) -> u32 {
        let stamp = self.stamp_by_clock(now);
        let next = ordinal + 1;
        let pause = Duration::from_nanos(1_000_000_000 / REPLAY_BYTES * bytes as u64).max(REPLAY_PACE);
        self.place =
            if next >= kept.end { Place::Live { offset: None } } else { Place::Replaying { next, due: now + pause } };
        self.send(stamp, now)
    }

    /// A picture with this presentation time goes out as it came: returns its stamp.
    pub(super) fn on_live(&mut self, pts: Ticks, now: Instant) -> u32 {
        let by_clock = self.stamp_by_clock(now);
        let stamp = match self.place {
            Place::Live { offset: Some(offset) } => {
                let by_camera = pts.0.saturating_add(offset);
                let least = self.sent.map_or(by_clock, |sent| sent.stamp.saturating_add(1));
                // The camera's time jumped: it goes on from here.
                if by_camera.abs_diff(by_clock) > MOST_APART { by_clock } else { by_camera.max(least) }
            }
            _ => by_clock,
        };
        self.place = Place::Live { offset: Some(stamp.saturating_sub(pts.0)) };
        self.send(stamp, now)
    }

    /// The stamp that follows the last one as the clock does.
    fn stamp_by_clock(&self, now: Instant) -> i64 {
        match self.sent {
            None => i64::from(self.first_stamp),
            Some(sent) => {
                let passed = Ticks::from_duration(now.saturating_duration_since(sent.at));
                sent.stamp.saturating_add(passed.0.max(1))
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "RFC 3550: the RTP timestamp is modulo 2^32"
    )]
    fn send(&mut self, stamp: i64, now: Instant) -> u32 {
        self.sent = Some(Sent { stamp, at: now });
        stamp as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn start() -> Instant {
        Instant::now() + Duration::from_secs(1000)
    }

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Lets `viewer` replay until it is live, a picture of the camera every 40 ms joining `kept`: stamps and moments.
    fn replay(viewer: &mut Viewer, kept: &mut Range<u64>, t0: Instant) -> Vec<(u64, u32, Duration)> {
        let mut sent = Vec::new();
        for ms in 0..5000 {
            let now = t0 + millis(ms);
            if ms > 0 && ms % 40 == 0 {
                kept.end += 1;
                assert_eq!(viewer.on_arrival(false, kept), Arrival::NotNow);
            }
            while let Some(ordinal) = viewer.poll(kept, now) {
                sent.push((ordinal, viewer.on_replayed(ordinal, 5000, kept, now), millis(ms)));
            }
            if viewer.is_live() {
                return sent;
            }
        }
        panic!("never live");
    }

    #[test]
    fn a_new_viewer_gets_the_kept_pictures_fast_and_is_then_live() {
        let t0 = start();
        let mut viewer = Viewer::new(5000, t0);
        // Ten seconds of 25 pictures.
        let mut kept = 100..350;
        viewer.start(&kept, t0);
        let sent = replay(&mut viewer, &mut kept, t0);
        let ordinals: Vec<u64> = sent.iter().map(|(ordinal, ..)| *ordinal).collect();
        assert_eq!(ordinals, (100..kept.end).collect::<Vec<_>>(), "every picture once, in order");
        assert_eq!(sent[0].1, 5000);
        let (_, _, took) = sent[sent.len() - 1];
        assert!(took < millis(1200), "{took:?}");
        // The viewer's time runs with the clock.
        for (_, stamp, at) in &sent {
            let by_clock = 5000 + u32::try_from(at.as_millis()).unwrap() * 90;
            assert!(stamp.abs_diff(by_clock) <= 90, "{stamp} at {at:?}");
        }
        // And from here on with the camera, whose time is another.
        let now = t0 + took + millis(35);
        let first = viewer.on_live(Ticks(777_000), now);
        assert_eq!(first - sent[sent.len() - 1].1, 35 * 90);
        assert_eq!(
            viewer.on_live(Ticks(780_600), now + millis(55)) - first,
            3600,
            "jitter of arrival is not in the stamps"
        );
    }

    #[test]
    fn without_kept_pictures_a_viewer_waits_for_the_next_key_frame() {
        let t0 = start();
        let mut viewer = Viewer::new(0, t0);
        viewer.start(&(0..0), t0);
        assert_eq!(viewer.on_arrival(false, &(0..0)), Arrival::NotNow);
        assert_eq!(viewer.on_arrival(true, &(9..10)), Arrival::Send);
        assert_eq!(viewer.on_arrival(false, &(9..11)), Arrival::Send);
        assert_eq!(viewer.skips(), 0);
    }

    #[test]
    fn a_replay_that_the_next_key_frame_overtakes_goes_on_there() {
        let t0 = start();
        let mut viewer = Viewer::new(0, t0);
        viewer.start(&(10..40), t0);
        let picture = viewer.poll(&(10..40), t0).unwrap();
        viewer.on_replayed(picture, 1000, &(10..40), t0);
        assert_eq!(viewer.on_arrival(true, &(40..41)), Arrival::NotNow);
        assert_eq!(viewer.poll(&(40..41), t0 + millis(4)), Some(40));
        viewer.on_replayed(40, 1000, &(40..41), t0 + millis(4));
        assert!(viewer.is_live());
    }

    #[test]
    fn a_replay_whose_pictures_are_dropped_waits_and_counts() {
        let t0 = start();
        let mut viewer = Viewer::new(0, t0);
        viewer.start(&(10..40), t0);
        assert_eq!(viewer.on_arrival(false, &(0..0)), Arrival::NotNow);
        assert_eq!((viewer.poll(&(0..0), t0), viewer.skips()), (None, 1));
        assert_eq!(viewer.on_arrival(true, &(0..0)), Arrival::Send);
    }

    #[test]
    fn a_key_frame_that_is_asked_for_comes_from_the_kept_pictures() {
        let t0 = start();
        let mut viewer = Viewer::new(0, t0);
        viewer.start(&(0..1), t0);
        viewer.on_replayed(0, 1000, &(0..1), t0);
        let last = viewer.on_live(Ticks(0), t0 + millis(40));
        assert!(viewer.on_request(&(0..30), t0 + millis(1000)));
        assert!(!viewer.on_request(&(0..30), t0 + millis(1100)), "it is on its way");
        assert_eq!(viewer.poll(&(0..30), t0 + millis(1000)), Some(0));
        let again = viewer.on_replayed(0, 1000, &(0..30), t0 + millis(1000));
        assert_eq!(again - last, 960 * 90, "after the last stamp, not at the old one");
    }

    #[test]
    fn pictures_that_were_repeated_are_not_repeated_again_while_no_new_ones_come() {
        let t0 = start();
        let mut viewer = Viewer::new(0, t0);
        viewer.start(&(0..9), t0);
        assert!(viewer.on_request(&(0..9), t0 + millis(500)));
        assert!(!viewer.on_request(&(0..9), t0 + millis(3500)));
        assert!(viewer.on_request(&(0..10), t0 + millis(6500)));
    }

    #[test]
    fn who_keeps_asking_waits_for_the_camera() {
        let t0 = start();
        let mut viewer = Viewer::new(0, t0);
        viewer.start(&(0..9), t0);
        let answers: Vec<bool> = (1..7).map(|n| viewer.on_request(&(0..9 + n), t0 + millis(n * 500))).collect();
        assert_eq!(answers, [true, true, true, true, false, false]);
        assert_eq!(viewer.skips(), 1);
        assert_eq!(viewer.on_arrival(true, &(9..10)), Arrival::Send);
    }

    #[test]
    fn stamps_always_grow_whatever_the_camera_says() {
        let t0 = start();
        let mut viewer = Viewer::new(u32::MAX - 10, t0);
        viewer.start(&(0..0), t0);
        viewer.on_arrival(true, &(0..1));
        let mut last = viewer.on_live(Ticks(1000), t0);
        for (n, pts) in [1000, 500, i64::MAX, i64::MIN, 0, 3600].into_iter().enumerate() {
            let stamp = viewer.on_live(Ticks(pts), t0 + millis(40 * n as u64));
            assert!(stamp != last && stamp.wrapping_sub(last) < 1 << 31, "{pts}: {stamp} after {last}");
            last = stamp;
        }
    }
}
