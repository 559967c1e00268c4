//! Units in, numbers out: what a camera delivers, counted and measured where it passes, read whenever somebody asks.

use std::cell::Cell;
use std::time::Instant;

use crate::media::{AccessUnit, Ticks, Track};

/// Rates are measured over at least so much of the camera's own time.
const WINDOW: Ticks = Ticks::from_secs(2);

/// A camera's numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    /// Access units delivered, video and audio, since the task began.
    pub access_units: u64,
    /// Their bytes.
    pub bytes: u64,
    /// RTP packets known to be lost.
    pub lost_packets: u64,
    /// Units that were not delivered: without a picture, before the first key frame, oversized, late sound.
    pub skipped_units: u64,
    /// Sessions that delivered a key frame.
    pub sessions: u64,
    /// Pictures per second; absent until measured.
    pub fps: Option<f64>,
    /// Bits per second, video and audio; 0 until measured.
    pub bitrate: u64,
    /// The span between the last two key frames; absent until two were seen in one session.
    pub gop: Option<Ticks>,
    /// When the last key frame arrived.
    pub last_key_frame: Option<Instant>,
    /// Pictures come out of display order.
    pub b_frames: bool,
}

/// The window being measured.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start: Option<Ticks>,
    pictures: u32,
    bytes: u64,
    key_frame: Option<Ticks>,
}

/// Counts and measures one camera; share it as `Rc<Meter>`.
#[derive(Debug, Default)]
pub struct Meter {
    facts: Cell<Facts>,
    window: Cell<Window>,
}

impl Meter {
    /// The numbers now.
    pub fn facts(&self) -> Facts {
        self.facts.get()
    }

    /// Counts a unit that is delivered.
    pub(super) fn on_unit(&self, unit: &AccessUnit, b_frames: bool) {
        let mut facts = self.facts.get();
        let mut window = self.window.get();
        let bytes = unit.data.len() as u64;
        facts.access_units += 1;
        facts.bytes += bytes;
        facts.lost_packets += u64::from(unit.lost_packets);
        facts.b_frames = b_frames;
        if unit.discontinuity {
            window = Window::default();
        }
        if unit.track == Track::Video {
            if unit.key_frame {
                facts.gop = window.key_frame.map(|last| unit.dts - last).or(facts.gop);
                facts.last_key_frame = Some(unit.received);
                window.key_frame = Some(unit.dts);
            }
            let start = *window.start.get_or_insert(unit.dts);
            let span = unit.dts - start;
            if span >= WINDOW {
                let seconds = span.as_secs_f64();
                facts.fps = Some(f64::from(window.pictures) / seconds);
                facts.bitrate = rate(window.bytes, span);
                window = Window { start: Some(unit.dts), key_frame: window.key_frame, ..Window::default() };
            }
            window.pictures += 1;
        }
        window.bytes += bytes;
        self.facts.set(facts);
        self.window.set(window);
    }

    /// Counts a unit that is not delivered.
    pub(super) fn on_skipped(&self, lost_packets: u16) {
        let mut facts = self.facts.get();
        facts.skipped_units += 1;
        facts.lost_packets += u64::from(lost_packets);
        self.facts.set(facts);
    }

    /// A session's first key frame: what was measured before may not hold any more.
    pub(super) fn on_streaming(&self) {
        self.forget_rates();
        let mut facts = self.facts.get();
        facts.sessions += 1;
        self.facts.set(facts);
    }

    /// The session ended: nothing flows.
    pub(super) fn forget_rates(&self) {
        self.window.set(Window::default());
        self.facts.set(Facts { fps: None, bitrate: 0, gop: None, ..self.facts.get() });
    }
}

/// Bits per second.
pub(super) fn rate(bytes: u64, span: Ticks) -> u64 {
    let (bits, span) = (u128::from(bytes) * 8, u128::try_from(span.0).unwrap_or(0).max(1));
    u64::try_from(bits * 90_000 / span).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ingest::tests::{format, now};

    #[test]
    fn rates_are_measured_by_the_cameras_own_time() {
        let (meter, t0, format) = (Meter::default(), now(), format());
        for n in 0..151 {
            let dts = Ticks(900_000 + 3600 * n);
            let received = t0 + Duration::from_millis(7 * n.unsigned_abs());
            let mut unit = AccessUnit::video(&format, dts, n % 50 == 0, vec![0; 1000], received);
            unit.lost_packets = u16::from(n == 3) * 2;
            meter.on_unit(&unit, false);
        }
        let facts = meter.facts();
        assert_eq!((facts.access_units, facts.bytes, facts.lost_packets), (151, 151_000, 2));
        assert_eq!((facts.fps, facts.bitrate, facts.gop), (Some(25.0), 200_000, Some(Ticks::from_secs(2))));
        assert_eq!(facts.last_key_frame, Some(t0 + Duration::from_millis(1050)));
        meter.forget_rates();
        assert_eq!((meter.facts().fps, meter.facts().bitrate, meter.facts().gop), (None, 0, None));
        assert_eq!(meter.facts().access_units, 151);
    }

    #[test]
    fn a_discontinuity_starts_a_new_measurement() {
        let (meter, format) = (Meter::default(), format());
        for (n, seconds) in [10, 11, 500, 501].into_iter().enumerate() {
            let mut unit = AccessUnit::video(&format, Ticks::from_secs(seconds), true, vec![0; 10], now());
            unit.discontinuity = n == 2;
            meter.on_unit(&unit, false);
        }
        assert_eq!((meter.facts().fps, meter.facts().gop), (None, Some(Ticks::from_secs(1))));
    }
}
