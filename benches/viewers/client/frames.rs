//! RTP packets of H.264 in, what a load test wants to know out: key frames that are whole, gaps, arrival times. RFC 6184.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

/// (ns of CLOCK_MONOTONIC, last 8 bytes) of each picture.
pub(crate) type Arrivals = Rc<RefCell<Vec<(i64, u64)>>>;

/// What has arrived.
#[derive(Default)]
pub(crate) struct Frames {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) pictures: u64,
    /// Packets known to be missing when the next one came.
    pub(crate) gaps: u64,
    /// When the first key frame was there whole.
    pub(crate) first_key: Option<Instant>,
    /// Where arrivals are noted, if anybody wants them.
    pub(crate) log: Option<Arrivals>,
    next: Option<u64>,
    key: bool,
    whole: bool,
}

impl Frames {
    /// Takes a packet in: extended sequence number, marker bit, payload.
    pub(crate) fn on_packet(&mut self, sequence: u64, marker: bool, payload: &[u8]) {
        self.packets += 1;
        self.bytes += payload.len() as u64;
        match self.next {
            // The stream begins: with the beginning of a key frame, or in the middle of something.
            None => self.whole = begins_key_frame(payload),
            Some(next) if sequence < next => return,
            Some(next) => {
                self.gaps += sequence - next;
                self.whole &= sequence == next;
            }
        }
        self.next = Some(sequence + 1);
        self.key |= is_key(payload);
        if marker {
            self.pictures += 1;
            if self.key && self.whole && self.first_key.is_none() {
                self.first_key = Some(Instant::now());
            }
            (self.key, self.whole) = (false, true);
            if let Some(log) = &self.log {
                note(log, payload);
            }
        }
    }
}

/// Notes that a picture's last packet, which has this payload, is there.
pub(crate) fn note(log: &Arrivals, payload: &[u8]) {
    if let Some(tail) = payload.last_chunk() {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
        log.borrow_mut().push((now.tv_sec() * 1_000_000_000 + now.tv_nsec(), u64::from_be_bytes(*tail)));
    }
}

/// NAL unit type of a payload; of the unit in it where it is a fragment.
fn kind(payload: &[u8]) -> u8 {
    match *payload {
        [first, second, ..] if first & 0x1f == 28 => second & 0x1f,
        [first, ..] => first & 0x1f,
        [] => 0,
    }
}

fn is_key(payload: &[u8]) -> bool {
    kind(payload) == 5
}

/// STAP-A, SPS, AUD or SEI before a key frame, or the beginning of one.
fn begins_key_frame(payload: &[u8]) -> bool {
    let begins = !matches!(*payload, [first, second, ..] if first & 0x1f == 28 && second & 0x80 == 0);
    begins && matches!(kind(payload), 5..=9 | 24)
}
