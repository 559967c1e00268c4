//! Fan-out per camera: access units in, the same units out to every reader, each behind its own bounded queue; and the
//! current GOP for readers that come in the middle of it.

mod gop;
mod queue;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::Poll;

pub use gop::Gop;
use queue::Queue;
pub use queue::{Delivery, Limits, QueueCounters};

use crate::media::{AccessUnit, Track};

/// One camera's fan-out. Lives on the media thread; clones share the same readers.
#[derive(Clone, Default)]
pub struct Hub {
    readers: Rc<RefCell<Vec<Weak<RefCell<Queue>>>>>,
    published: Rc<Cell<u64>>,
    gop: Rc<RefCell<Option<Gop<Rc<AccessUnit>>>>>,
}

/// What a hub's current GOP holds and has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GopFacts {
    /// Bytes of memory held now.
    pub bytes: usize,
    /// GOPs dropped because they exceeded the bound.
    pub overflows: u64,
}

impl Hub {
    /// A hub without readers that keeps nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A hub without readers that keeps the video of the current GOP, in at most `most_bytes` of memory.
    pub fn with_gop(most_bytes: usize) -> Self {
        let hub = Self::new();
        hub.keep_gop(most_bytes);
        hub
    }

    /// Keeps the video of the current GOP from now on, in at most `most_bytes` of memory; 0 keeps none.
    pub fn keep_gop(&self, most_bytes: usize) {
        let mut gop = self.gop.borrow_mut();
        match &mut *gop {
            _ if most_bytes == 0 => *gop = None,
            Some(gop) => gop.set_most_bytes(most_bytes),
            None => *gop = Some(Gop::new(most_bytes)),
        }
    }

    /// Hands `unit` to every reader. Never waits: a full reader skips to the next key frame and is counted.
    pub fn publish(&self, unit: &Rc<AccessUnit>) {
        self.published.set(self.published.get() + 1);
        if let (Some(gop), Track::Video) = (&mut *self.gop.borrow_mut(), unit.track) {
            gop.push(Rc::clone(unit), held_bytes(unit), unit.key_frame, unit.discontinuity);
        }
        self.readers.borrow_mut().retain(|reader| {
            let Some(queue) = reader.upgrade() else { return false };
            let waker = queue.borrow_mut().push(unit);
            if let Some(waker) = waker {
                waker.wake();
            }
            true
        });
    }

    /// Access units published since the hub was made, video and audio.
    pub fn published(&self) -> u64 {
        self.published.get()
    }

    /// A new reader: it gets every unit published from now on, starting with a key frame.
    pub fn subscribe(&self, limits: Limits) -> Reader {
        self.attach(Queue::new(limits))
    }

    /// The current GOP so far, and a reader that continues exactly behind it. Where no GOP is kept (too large, none yet,
    /// a hub without one), it is empty and the reader starts with a key frame.
    pub fn subscribe_with_gop(&self, limits: Limits) -> (Vec<Rc<AccessUnit>>, Reader) {
        let units: Vec<_> = self.gop.borrow().as_ref().map(|gop| gop.iter().cloned().collect()).unwrap_or_default();
        let queue = if units.is_empty() { Queue::new(limits) } else { Queue::continuing(limits) };
        (units, self.attach(queue))
    }

    /// What the current GOP holds and has counted; zeros for a hub that keeps none.
    pub fn gop_facts(&self) -> GopFacts {
        let gop = self.gop.borrow();
        gop.as_ref().map_or_else(GopFacts::default, |gop| GopFacts { bytes: gop.bytes(), overflows: gop.overflows() })
    }

    fn attach(&self, queue: Queue) -> Reader {
        let queue = Rc::new(RefCell::new(queue));
        self.readers.borrow_mut().push(Rc::downgrade(&queue));
        Reader { queue }
    }
}

/// Bytes of memory that `unit` keeps: its data as allocated, and itself, so that a GOP of countless tiny pictures is bounded too.
const fn held_bytes(unit: &AccessUnit) -> usize {
    const SHARED: usize = size_of::<AccessUnit>() + 2 * size_of::<usize>() + size_of::<Rc<AccessUnit>>();
    unit.data.capacity() + SHARED
}

/// One consumer of a hub; dropping it ends the subscription.
pub struct Reader {
    queue: Rc<RefCell<Queue>>,
}

impl Reader {
    /// The next unit, waiting for it. Cancel-safe.
    pub async fn next(&mut self) -> Delivery {
        poll_fn(|context| match self.queue.borrow_mut().pop(context.waker()) {
            Some(delivery) => Poll::Ready(delivery),
            None => Poll::Pending,
        })
        .await
    }

    /// The next unit if one is waiting.
    pub fn try_next(&mut self) -> Option<Delivery> {
        self.queue.borrow_mut().try_pop()
    }

    /// What this reader's queue has counted.
    pub fn counters(&self) -> QueueCounters {
        self.queue.borrow().counters()
    }
}
