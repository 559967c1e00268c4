//! The effects of segmenting: reads the subscription and the clock, writes into the stream's folder.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::ring::{Ring, RingLimits};
use super::writer::Writer;
use super::{Counters, Event, Folder, Prefix, Reader, Sequence};
use crate::media::{Ticks, WallTime};

/// Units handled before other tasks get their turn.
const BATCH: usize = 32;

/// Settings of one mux run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The part of segment names that differs in every run.
    pub prefix: Prefix,
    /// Segments last at least this long where key frames allow it.
    pub segment_duration: Ticks,
    /// Most segment files in the folder, at least 2, the one being written included.
    pub files: usize,
    /// Most bytes of one segment; at most a fifth of `bytes` leaves room for three in the playlist.
    pub segment_bytes: usize,
    /// Most bytes of tmpfs, all segments together; may change while the run lasts.
    pub bytes: Rc<Cell<u64>>,
    /// The first sequence number: [`Sequence::first`] of the time since boot.
    pub first_sequence: u64,
    /// The time of day while the clock is trusted.
    pub wall: fn() -> Option<WallTime>,
}

/// Makes segments of what `reader` delivers, in `folder`, until dropped; tells `sink` what happens.
#[expect(clippy::disallowed_methods, reason = "this file reads the clock")]
pub async fn run(
    mut reader: Reader,
    folder: Rc<Folder>,
    settings: Settings,
    mut sink: impl FnMut(Event, &Counters),
) -> std::convert::Infallible {
    let Settings { prefix, segment_duration, files, segment_bytes, bytes, first_sequence, wall } = settings;
    let ring = Ring::new(folder, prefix, RingLimits { files, bytes: bytes.get() });
    let sequence = Sequence::new(first_sequence, Instant::now());
    let date_of =
        Box::new(move |arrived: Instant| wall().map(|now| now.plus(-Ticks::from_duration(arrived.elapsed()))));
    let mut writer = Writer::new(segment_duration, segment_bytes, ring, sequence, date_of);
    let mut dropped = 0;
    loop {
        let mut next = Some(reader.next().await);
        writer.set_bytes(bytes.get());
        let mut handled = 0;
        while let Some(delivery) = next.take().or_else(|| reader.try_next()) {
            if delivery.discontinuity {
                let total = reader.counters().dropped_units;
                if total > dropped {
                    writer.on_overflow(total - dropped, &mut sink);
                    dropped = total;
                }
            }
            writer.handle(&delivery, &mut sink);
            handled += 1;
            if handled == BATCH {
                futures_lite::future::yield_now().await;
                break;
            }
        }
    }
}
