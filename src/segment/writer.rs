//! One mux run: access units in, segments and faults out; the cutter decides, the muxer writes, the ring holds.

use std::rc::Rc;
use std::time::Instant;

use super::calendar::Calendar;
use super::cutter::{Cutter, Ended, Step, Why};
use super::ring::{NoRoom, Ring};
use super::{Counters, Event, Fault, Segment, Sequence};
use crate::hub::Delivery;
use crate::media::{AccessUnit, StreamFormat, Ticks, Track, WallTime};
use crate::mpegts::{Muxer, PSI_LEN, carries_sound};

/// Kept free for sound in a segment that has reached its limit, as a fraction of the limit.
const SOUND_RESERVE: usize = 16;

/// Turns a moment on the monotonic clock into a date; `None` while the clock is not trusted.
pub(super) type DateOf = Box<dyn Fn(Instant) -> Option<WallTime>>;

/// One mux run.
pub(super) struct Writer {
    cutter: Cutter,
    ring: Ring,
    sequence: Sequence,
    calendar: Calendar,
    date_of: DateOf,
    muxer: Option<(Muxer, Rc<StreamFormat>)>,
    /// The open segment.
    open: Option<Opened>,
    /// Something was dropped: the next segment is a discontinuity.
    gap: bool,
    segment_limit: usize,
    counters: Counters,
}

struct Opened {
    discontinuity: bool,
    date: Option<WallTime>,
}

impl Writer {
    /// A run whose segments last `segment_duration` at least and take `segment_bytes` at most.
    pub(super) fn new(
        segment_duration: Ticks,
        segment_bytes: usize,
        ring: Ring,
        sequence: Sequence,
        date_of: DateOf,
    ) -> Self {
        Self {
            cutter: Cutter::new(segment_duration),
            ring,
            sequence,
            calendar: Calendar::default(),
            date_of,
            muxer: None,
            open: None,
            gap: false,
            segment_limit: segment_bytes,
            counters: Counters::default(),
        }
    }

    /// Takes one access unit. Sound that a transport stream does not carry is passed over, uncounted.
    pub(super) fn handle(&mut self, delivery: &Delivery, sink: &mut dyn FnMut(Event, &Counters)) {
        let unit = &*delivery.unit;
        if unit.track == Track::Audio && !carries_sound(&unit.format) {
            return;
        }
        self.counters.access_units += 1;
        match unit.track {
            Track::Video => self.video(unit, delivery.discontinuity || unit.discontinuity, sink),
            Track::Audio => {
                if self.open.is_some() {
                    self.append(unit, sink);
                }
            }
        }
    }

    /// The queue in front of this run dropped `units`.
    pub(super) fn on_overflow(&mut self, units: u64, sink: &mut dyn FnMut(Event, &Counters)) {
        self.fault(Fault::QueueOverflow { units }, sink);
    }

    /// Another share of the tmpfs.
    pub(super) const fn set_bytes(&mut self, bytes: u64) {
        self.ring.set_bytes(bytes);
    }

    fn video(&mut self, unit: &AccessUnit, discontinuity: bool, sink: &mut dyn FnMut(Event, &Counters)) {
        let mut step = self.cutter.push(unit.dts, unit.key_frame, discontinuity);
        let limit = self.segment_limit - self.segment_limit / SOUND_RESERVE;
        if step == Step::Append && self.ring.written() + self.len(unit) > limit {
            step = self.cutter.cut(unit.dts);
        }
        match step {
            Step::Append => self.append(unit, sink),
            Step::Skip => {}
            Step::End(ended) => self.end(ended, unit.received, sink),
            Step::Start { ended, discontinuity } => {
                if let Some(ended) = ended {
                    self.end(ended, unit.received, sink);
                }
                self.start(unit, discontinuity, sink);
            }
        }
    }

    fn start(&mut self, unit: &AccessUnit, discontinuity: bool, sink: &mut dyn FnMut(Event, &Counters)) {
        match self.ring.start(self.sequence.next()) {
            Ok(None) => {}
            Ok(Some(cut_off)) => self.fault(cut_off, sink),
            Err(NoRoom::Full(fault) | NoRoom::Failed(fault)) => return self.give_up(fault, sink),
        }
        let muxer = match &mut self.muxer {
            Some((muxer, format)) => {
                if !Rc::ptr_eq(format, &unit.format) {
                    muxer.set_format(&unit.format);
                    *format = Rc::clone(&unit.format);
                }
                muxer
            }
            none => &mut none.insert((Muxer::new(&unit.format), Rc::clone(&unit.format))).0,
        };
        let need = PSI_LEN + muxer.len(unit);
        if let Err(fault) = self.reserve(need, sink) {
            return self.give_up(fault, sink);
        }
        let discontinuity = discontinuity || std::mem::take(&mut self.gap);
        let date = self.calendar.date(unit.pts, (self.date_of)(unit.received));
        self.open = Some(Opened { discontinuity, date });
        if let Some((muxer, _)) = &mut self.muxer
            && let Ok(written) = muxer.write_psi(self.ring.space())
        {
            self.ring.advance(written);
        }
        self.append(unit, sink);
    }

    /// Writes `unit` into the open segment.
    fn append(&mut self, unit: &AccessUnit, sink: &mut dyn FnMut(Event, &Counters)) {
        let need = self.len(unit);
        if self.ring.written() + need > self.segment_limit {
            return self.give_up(Fault::SegmentTooLarge { megabytes: megabytes(self.segment_limit) }, sink);
        }
        if let Err(fault) = self.reserve(need, sink) {
            return self.give_up(fault, sink);
        }
        if let Some((muxer, _)) = &mut self.muxer
            && let Ok(written) = muxer.write(unit, self.ring.space())
        {
            self.ring.advance(written);
        }
    }

    fn end(&mut self, ended: Ended, now: Instant, sink: &mut dyn FnMut(Event, &Counters)) {
        let Some(open) = self.open.take() else { return };
        match ended.why {
            Why::Unmeasured => return self.gap = true,
            Why::LongGop => {
                let tenths = ended.duration.0 / (Ticks::HZ / 10);
                self.fault(Fault::LongGop { seconds: format!("{}.{}", tenths / 10, tenths % 10) }, sink);
            }
            Why::Full => self.fault(Fault::SegmentTooLarge { megabytes: megabytes(self.segment_limit) }, sink),
            Why::KeyFrame | Why::Break => {}
        }
        let Some(sequence) = self.sequence.take(now) else {
            self.gap = true;
            return self.fault(Fault::TooManySegments, sink);
        };
        let Some(target_duration) = self.cutter.target_duration() else { return };
        match self.ring.finish(sequence) {
            Ok((file_name, slot)) => {
                self.counters.segments_created += 1;
                self.counters.bytes_written += slot.bytes().len() as u64;
                self.counters.tmpfs_bytes = self.ring.allocated();
                let Opened { discontinuity, date } = open;
                let duration = ended.duration;
                let segment =
                    Segment { sequence, file_name, duration, discontinuity, date, target_duration, ended: now, slot };
                sink(Event::Finished(segment), &self.counters);
            }
            Err(fault) => {
                // The next segment gets the number: a playlist's numbers have no gaps.
                self.sequence.put_back();
                self.gap = true;
                self.fault(fault, sink);
            }
        }
    }

    /// Makes room in the open slot: while there is none, gives back slots that nobody holds and asks the owner for more.
    fn reserve(&mut self, need: usize, sink: &mut dyn FnMut(Event, &Counters)) -> Result<(), Fault> {
        loop {
            match self.ring.reserve(need) {
                Ok(()) => return Ok(()),
                Err(NoRoom::Failed(fault)) => return Err(fault),
                Err(NoRoom::Full(fault)) => {
                    let released = self.ring.release()
                        || (0..self.ring.finished()).any(|_| {
                            sink(Event::Tight, &self.counters);
                            self.ring.release()
                        });
                    if !released {
                        // Only readers hold what is left besides the newest segment: the next attempt finds it free.
                        while self.ring.finished() > 1
                            && let Some(cut_off) = self.ring.cut_off_oldest()
                        {
                            self.fault(cut_off, sink);
                        }
                        return Err(fault);
                    }
                }
            }
        }
    }

    /// Drops the open segment and everything up to the next key frame.
    fn give_up(&mut self, fault: Fault, sink: &mut dyn FnMut(Event, &Counters)) {
        self.open = None;
        self.ring.drop_open();
        self.cutter.abandon();
        self.fault(fault, sink);
    }

    fn fault(&mut self, fault: Fault, sink: &mut dyn FnMut(Event, &Counters)) {
        self.counters.errors += 1;
        self.counters.tmpfs_bytes = self.ring.allocated();
        sink(Event::Fault(fault), &self.counters);
    }

    fn len(&self, unit: &AccessUnit) -> usize {
        self.muxer.as_ref().map_or(0, |(muxer, _)| muxer.len(unit))
    }
}

fn megabytes(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(1_000_000)
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
