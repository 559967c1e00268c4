//! Presentation times in decode order in, decoding times out: the DTS of a picture is the earliest presentation time
//! that no later picture can undercut. ISO/IEC 13818-1 section 2.4.3.7; ITU-T H.264 section C.4.5.3.

use crate::media::Ticks;

use super::sps::MAX_DEPTH;

/// A picture's times; `dts` grows strictly from picture to picture and never exceeds `pts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) pts: Ticks,
    pub(super) dts: Ticks,
}

/// Derives decoding times for one video stream.
#[derive(Debug)]
pub(super) struct Reorder {
    /// Pictures that may precede one which is shown earlier: the delay between decoding and showing, in pictures.
    depth: usize,
    /// What the pictures themselves showed, where the SPS leaves the depth open.
    observed: usize,
    /// The SPS says the depth, so that an early timestamp is jitter and not a B-frame.
    promised: bool,
    /// Presentation times not yet used as a decoding time, ascending, all above `last_dts`; at most `depth`.
    waiting: heapless::Vec<Ticks, { MAX_DEPTH + 1 }>,
    /// Pictures since the restart, up to `depth`.
    primed: usize,
    /// The first presentation time since the restart.
    first: Ticks,
    /// The last presentation times as they came, in decode order.
    recent: heapless::Deque<Ticks, MAX_DEPTH>,
    out_of_order: bool,
    interval: Ticks,
    last_dts: Option<Ticks>,
}

impl Default for Reorder {
    fn default() -> Self {
        Self {
            depth: 0,
            observed: 0,
            promised: false,
            waiting: heapless::Vec::new(),
            primed: 0,
            first: Ticks::ZERO,
            recent: heapless::Deque::new(),
            out_of_order: false,
            interval: Ticks::from_millis(40),
            last_dts: None,
        }
    }
}

impl Reorder {
    /// Starts anew with what the SPS promises (`None`: with what `self` has observed), for a picture shown at `pts` or
    /// a little later; returns how much later, so that decoding times go on growing.
    pub(super) fn restart(&mut self, promise: Option<usize>, pts: Ticks) -> Ticks {
        self.promised = promise.is_some();
        self.observed = promise.unwrap_or(self.observed).min(MAX_DEPTH);
        self.depth = self.observed;
        self.waiting.clear();
        self.recent.clear();
        self.primed = 0;
        let lead = self.lead(self.depth);
        match self.last_dts {
            Some(last) => (last + self.interval + lead - pts).max(Ticks::ZERO),
            None => Ticks::ZERO,
        }
    }

    /// True when pictures showed a deeper reordering than `stamp` works with: restart at the next key frame.
    pub(super) fn must_grow(&self) -> bool {
        self.observed > self.depth
    }

    /// True once a picture came after one that is shown later (B-frames).
    pub(super) fn out_of_order(&self) -> bool {
        self.out_of_order
    }

    /// Forgets what was observed: the next pictures come from another encoder setting.
    pub(super) fn forget(&mut self) {
        self.observed = 0;
        self.out_of_order = false;
    }

    /// The typical span between two pictures.
    pub(super) fn interval(&self) -> Ticks {
        self.interval
    }

    /// The times of the next picture in decode order, shown at `pts`. Times that cannot be, since decoding has passed
    /// them, are moved up by as little as possible.
    pub(super) fn stamp(&mut self, pts: Ticks) -> Stamp {
        self.observe(pts);
        if self.primed == 0 && self.waiting.is_empty() {
            self.first = pts;
        }
        let pts = self.claim(pts);
        let dts = if self.primed < self.depth {
            let missing = self.depth - self.primed;
            self.primed += 1;
            self.first - self.lead(missing)
        } else if self.waiting.is_empty() {
            pts
        } else {
            self.waiting.remove(0)
        };
        // Equal presentation times, or a lead that reaches below what was decoded, end up a tick apart.
        let dts = self.last_dts.map_or(dts, |last| dts.max(last + Ticks(1)));
        if let Some(last) = self.last_dts {
            let delta = dts - last;
            if (Ticks(750)..=Ticks::from_secs(1)).contains(&delta) {
                self.interval = delta;
            }
        }
        self.last_dts = Some(dts);
        Stamp { pts: pts.max(dts), dts }
    }

    fn lead(&self, pictures: usize) -> Ticks {
        Ticks(self.interval.0.saturating_mul(i64::try_from(pictures).unwrap_or(0)))
    }

    /// Counts the pictures that came before this one and are shown after it.
    fn observe(&mut self, pts: Ticks) {
        let later = self.recent.iter().filter(|other| **other > pts).count();
        self.out_of_order |= later > 0;
        if !self.promised {
            self.observed = self.observed.max(later);
        }
        if self.recent.is_full() {
            self.recent.pop_front();
        }
        // Cannot fail: there is room for one.
        let _ = self.recent.push_back(pts);
    }

    /// Enters `pts` among the waiting ones, or the first time after it that decoding has not reached.
    fn claim(&mut self, pts: Ticks) -> Ticks {
        let pts = self.last_dts.map_or(pts, |last| pts.max(last + Ticks(1)));
        let place = self.waiting.partition_point(|other| *other < pts);
        // Cannot fail: the queue holds at most `depth` times between two calls, and has room for one more.
        let _ = self.waiting.insert(place, pts);
        pts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(reorder: &mut Reorder, pts: &[i64]) -> Vec<(i64, i64)> {
        pts.iter().map(|pts| reorder.stamp(Ticks(*pts))).map(|stamp| (stamp.pts.0, stamp.dts.0)).collect()
    }

    #[test]
    fn pictures_in_order_are_decoded_when_shown() {
        let mut reorder = Reorder::default();
        reorder.restart(Some(0), Ticks(900_000));
        assert_eq!(
            run(&mut reorder, &[900_000, 903_600, 907_200]),
            [(900_000, 900_000), (903_600, 903_600), (907_200, 907_200)]
        );
        assert!(!reorder.out_of_order());
    }

    #[test]
    fn b_frames_are_decoded_as_many_pictures_early_as_the_sps_says() {
        // I0 P4 B2 b1 b3 P8: two pictures of delay. ffprobe gives x264's stream the same DTS: -2, -1, 0, 1, 2, 3.
        let mut reorder = Reorder::default();
        reorder.restart(Some(2), Ticks(900_000));
        let pts = [900_000, 914_400, 907_200, 903_600, 910_800, 928_800];
        assert_eq!(
            run(&mut reorder, &pts),
            [
                (900_000, 892_800),
                (914_400, 896_400),
                (907_200, 900_000),
                (903_600, 903_600),
                (910_800, 907_200),
                (928_800, 910_800)
            ]
        );
        assert!(reorder.out_of_order());
        assert!(!reorder.must_grow());
    }

    #[test]
    fn an_open_depth_is_observed_and_used_from_the_next_restart() {
        let mut reorder = Reorder::default();
        reorder.restart(None, Ticks(0));
        run(&mut reorder, &[0, 14_400, 7200, 3600, 10_800, 28_800]);
        assert!(reorder.must_grow());
        let shift = reorder.restart(None, Ticks(32_400));
        // The last picture was decoded at 28 800: the next one can be no earlier than one picture later.
        assert_eq!(run(&mut reorder, &[32_400 + shift.0])[0].1, 28_800 + reorder.interval().0);
        assert!(!reorder.must_grow());
    }

    #[test]
    fn jitter_against_the_promise_is_nudged() {
        let mut reorder = Reorder::default();
        reorder.restart(Some(0), Ticks(0));
        assert_eq!(
            run(&mut reorder, &[0, 3600, 3600, 3590, 7200]),
            [(0, 0), (3600, 3600), (3601, 3601), (3602, 3602), (7200, 7200)]
        );
        assert!(!reorder.must_grow());
    }

    #[test]
    fn whatever_comes_decoding_times_grow_and_stay_before_showing() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let mut reorder = Reorder::default();
            let mut last = Ticks(i64::MIN);
            let mut pts = Ticks(900_000);
            for _ in 0..200 {
                if rng.u8(..20) == 0 {
                    let promise = [None, Some(0), Some(2), Some(16), Some(usize::MAX)][rng.usize(..5)];
                    pts += reorder.restart(promise, pts);
                }
                let stamp = reorder.stamp(pts + Ticks(rng.i64(-20_000..20_000)));
                assert!(stamp.dts > last && stamp.dts <= stamp.pts, "{stamp:?} after {last:?}");
                last = stamp.dts;
                pts += Ticks(rng.i64(0..5000));
            }
        }
    }
}
