//! Where segments end: decoding times of pictures in, "append here", "start a new segment here" out. RFC 8216 section 4.3.3.1.

use crate::media::Ticks;

/// A camera that sends no key frame is cut after this long while the target duration is still open.
pub(super) const LONGEST_UNMEASURED: Ticks = Ticks::from_secs(12);
/// The shortest segment that a key frame ends: cameras that send only key frames get several GOPs into their first.
const SHORTEST: Ticks = Ticks::from_millis(200);
/// How far a GOP may fall short of the wanted duration and still count as reaching it: cameras jitter by a frame.
const JITTER: Ticks = Ticks::from_millis(50);
/// The frame interval assumed until two pictures were seen.
const FIRST_INTERVAL: Ticks = Ticks::from_millis(40);

/// What to do with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It belongs to the open segment.
    Append,
    /// Nothing is open and it cannot start a segment: leave it out.
    Skip,
    /// It starts a segment; the open one, if any, ends before it.
    Start {
        /// The segment that ends.
        ended: Option<Ended>,
        /// True when the new segment does not continue the one before it.
        discontinuity: bool,
    },
    /// The open segment ends, and the picture cannot start another: leave it out.
    End(Ended),
}

/// A segment that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its duration, for EXTINF.
    pub duration: Ticks,
    /// Why it ended.
    pub why: Why,
}

/// Why a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A key frame came at the right time.
    KeyFrame,
    /// No key frame came before EXTINF would have exceeded the target duration.
    LongGop,
    /// The caller asked for it ([`Cutter::cut`]): its slot is full.
    Full,
    /// The next picture belongs to another run, or comes later than the target duration allows.
    Break,
    /// A break came inside the first GOP: the target duration is not known yet, so this cannot be published.
    Unmeasured,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    start: Ticks,
    last: Ticks,
    longest_interval: Ticks,
    /// It does not start with a key frame: the next one ends it, so that players can start and recover there.
    keyless: bool,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    /// EXT-X-TARGETDURATION.
    seconds: u64,
    /// The duration of whole GOPs that segments aim at.
    aim: Ticks,
}

/// The cutting rules of one mux run.
///
/// The first segment is one GOP. It tells the GOP and with it the target duration, which then holds for the life of the
/// run: segments of whole GOPs that reach the wanted duration. Later, longer GOPs are cut at other pictures, so that no
/// EXTINF rounds to more than the target duration.
#[derive(Clone, Debug)]
pub(super) struct Cutter {
    wanted: Ticks,
    target: Option<Target>,
    open: Option<Open>,
    /// The span between pictures: the smaller of the last two, since a single long one is a gap.
    interval: Ticks,
    last_interval: Ticks,
    last_key: Ticks,
    broken: bool,
}

impl Cutter {
    /// Rules for segments that last at least `segment_duration` where key frames allow it.
    pub(super) const fn new(segment_duration: Ticks) -> Self {
        Self {
            wanted: segment_duration,
            target: None,
            open: None,
            interval: FIRST_INTERVAL,
            last_interval: FIRST_INTERVAL,
            last_key: Ticks::ZERO,
            broken: false,
        }
    }

    /// EXT-X-TARGETDURATION in seconds, once the first segment has ended.
    pub(super) fn target_duration(&self) -> Option<u64> {
        self.target.map(|target| target.seconds)
    }

    /// Takes the next picture, decoded at `dts`.
    pub(super) fn push(&mut self, dts: Ticks, key_frame: bool, discontinuity: bool) -> Step {
        let Some(mut open) = self.open else {
            if !key_frame {
                return Step::Skip;
            }
            let broken = std::mem::take(&mut self.broken) || discontinuity;
            self.last_key = dts;
            return self.start(None, dts, key_frame, broken);
        };
        let (elapsed, limit) = (dts - open.start, self.limit());
        if discontinuity || dts <= open.last || elapsed > limit {
            return self.break_off(open, dts, key_frame);
        }
        let last_interval = std::mem::replace(&mut self.last_interval, dts - open.last);
        self.interval = last_interval.min(self.last_interval);
        open.last = dts;
        open.longest_interval = open.longest_interval.max(self.interval);
        if key_frame {
            let gop = dts - std::mem::replace(&mut self.last_key, dts);
            if self.ends_at_key_frame(&open, elapsed, gop, limit) {
                self.measure(elapsed);
                return self.start(Some(Ended { duration: elapsed, why: Why::KeyFrame }), dts, key_frame, false);
            }
        }
        if elapsed + open.longest_interval > limit {
            let why = if key_frame { Why::KeyFrame } else { Why::LongGop };
            self.measure(elapsed);
            return self.start(Some(Ended { duration: elapsed, why }), dts, key_frame, false);
        }
        self.open = Some(open);
        Step::Append
    }

    /// Ends the open segment before the picture at `dts`, which was just answered with [`Step::Append`]: its slot is full.
    pub(super) fn cut(&mut self, dts: Ticks) -> Step {
        let Some(open) = self.open else { return Step::Skip };
        let elapsed = dts - open.start;
        self.measure(elapsed);
        self.start(Some(Ended { duration: elapsed, why: Why::Full }), dts, false, false)
    }

    /// Forgets the open segment: the next one starts at a key frame and is a discontinuity.
    pub(super) fn abandon(&mut self) {
        self.open = None;
        self.broken = true;
    }

    /// The longest EXTINF allowed: the longest span that rounds to the target duration.
    fn limit(&self) -> Ticks {
        self.target.map_or(LONGEST_UNMEASURED, |target| {
            Ticks::from_secs(i64::try_from(target.seconds).unwrap_or(i64::MAX)) + Ticks(Ticks::HZ / 2 - 1)
        })
    }

    fn ends_at_key_frame(&self, open: &Open, elapsed: Ticks, gop: Ticks, limit: Ticks) -> bool {
        let Some(target) = self.target else { return elapsed >= SHORTEST };
        let (half, quarter) = (Ticks(target.aim.0 / 2), Ticks(target.aim.0 / 4));
        elapsed + JITTER >= target.aim
            || (elapsed >= half && elapsed + gop > limit)
            // Back to key frames as soon as that makes no sliver.
            || (open.keyless && elapsed >= quarter)
    }

    /// Fixes the target duration from the first segment, which lasted `first`.
    fn measure(&mut self, first: Ticks) {
        if self.target.is_some() {
            return;
        }
        let first = first.max(Ticks(1));
        let gops = (self.wanted - JITTER).0.max(1).div_euclid(first.0)
            + i64::from((self.wanted - JITTER).0.max(1).rem_euclid(first.0) != 0);
        let aim = Ticks(first.0.saturating_mul(gops.max(1)));
        self.target = Some(Target { seconds: rounded(aim).max(1), aim });
    }

    fn start(&mut self, ended: Option<Ended>, dts: Ticks, key_frame: bool, discontinuity: bool) -> Step {
        self.open = Some(Open { start: dts, last: dts, longest_interval: self.interval, keyless: !key_frame });
        Step::Start { ended, discontinuity }
    }

    /// The open segment ends where its last picture ends.
    fn break_off(&mut self, open: Open, dts: Ticks, key_frame: bool) -> Step {
        let duration = (open.last + self.interval - open.start).min(self.limit());
        let why = if self.target.is_some() { Why::Break } else { Why::Unmeasured };
        let ended = Ended { duration, why };
        // What follows refers to pictures that are missing: only a key frame may start.
        if key_frame {
            self.last_key = dts;
            return self.start(Some(ended), dts, true, true);
        }
        self.abandon();
        Step::End(ended)
    }
}

/// Whole seconds nearest to `span`, halves up; negative spans are 0.
fn rounded(span: Ticks) -> u64 {
    u64::try_from((span.0.saturating_add(Ticks::HZ / 2)).div_euclid(Ticks::HZ)).unwrap_or(0)
}

#[cfg(test)]
#[path = "cutter_tests.rs"]
mod tests;
