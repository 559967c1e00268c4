//! One camera's pictures since the last key frame, each cut into packets when the first viewer needs it, once for all.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use super::packet::Packets;
use crate::hub::Gop;
use crate::media::AccessUnit;

/// A picture and, once somebody watched it, its packets.
pub(super) struct Picture {
    unit: Rc<AccessUnit>,
    packets: OnceCell<Rc<Packets>>,
}

impl Picture {
    pub(super) fn new(unit: Rc<AccessUnit>) -> Self {
        Self { unit, packets: OnceCell::new() }
    }

    pub(super) fn packets(&self) -> &Rc<Packets> {
        self.packets.get_or_init(|| Rc::new(Packets::new(&self.unit)))
    }

    pub(super) fn unit(&self) -> &AccessUnit {
        &self.unit
    }
}

/// One camera while somebody watches it. Pictures have ordinals, counted from its first one.
pub(super) struct Stream {
    gop: Gop<Rc<Picture>>,
    next: u64,
}

impl Stream {
    /// A stream that keeps pictures up to `most_bytes`, beginning with those that the hub kept.
    pub(super) fn new(most_bytes: usize, kept: Vec<Rc<AccessUnit>>) -> Self {
        let mut stream = Self { gop: Gop::new(most_bytes), next: 0 };
        for unit in kept {
            stream.push(unit);
        }
        stream
    }

    /// Adds a picture of the camera.
    pub(super) fn push(&mut self, unit: Rc<AccessUnit>) -> Rc<Picture> {
        let (bytes, starts, breaks) = (unit.data.capacity(), unit.key_frame, unit.discontinuity);
        let picture = Rc::new(Picture::new(unit));
        self.gop.push(Rc::clone(&picture), bytes, starts, breaks);
        self.next += 1;
        picture
    }

    /// Ordinals of the pictures that are kept: the last key frame and what followed; empty when there are none.
    pub(super) fn kept(&self) -> Range<u64> {
        self.next - self.gop.len() as u64..self.next
    }

    /// The kept picture with this ordinal.
    pub(super) fn get(&self, ordinal: u64) -> Option<Rc<Picture>> {
        let index = usize::try_from(ordinal.checked_sub(self.kept().start)?).ok()?;
        self.gop.get(index).cloned()
    }
}
