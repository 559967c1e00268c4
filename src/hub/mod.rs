//! Fan-out per camera: access units in, the same units out to every reader, each behind its own bounded queue.

mod queue;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::Poll;

use queue::Queue;
pub use queue::{Delivery, Limits, QueueCounters};

use crate::media::AccessUnit;

/// One camera's fan-out. Lives on the media thread; clones share the same readers.
#[derive(Clone, Default)]
pub struct Hub {
    readers: Rc<RefCell<Vec<Weak<RefCell<Queue>>>>>,
    published: Rc<Cell<u64>>,
}

impl Hub {
    /// A hub without readers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands `unit` to every reader. Never waits: a full reader skips to the next key frame and is counted.
    pub fn publish(&self, unit: &Rc<AccessUnit>) {
        self.published.set(self.published.get() + 1);
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
        let queue = Rc::new(RefCell::new(Queue::new(limits)));
        self.readers.borrow_mut().push(Rc::downgrade(&queue));
        Reader { queue }
    }
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
