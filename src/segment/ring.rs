//! The slots of one stream: one being written, the finished ones behind it; a slot is written again when nobody holds it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use nix::errno::Errno;

use super::folder::hidden;
use super::slot::{Draft, Slot};
use super::{Fault, Folder, FolderError, Prefix};

/// Unheld slots kept for the next segments; more are given back to the tmpfs. One more than needed bridges jitter.
const SPARE: usize = 1;

/// The bounds of a ring; both hold at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingLimits {
    /// Most files, the one being written included.
    pub files: usize,
    /// Most bytes of tmpfs.
    pub bytes: u64,
}

/// Why there is no room.
#[derive(Debug)]
pub(super) enum NoRoom {
    /// The tmpfs or this stream's share of it is used up: something must be let go of first.
    Full(Fault),
    /// A file operation failed.
    Failed(Fault),
}

/// A finished segment and its place in the folder.
#[derive(Debug)]
struct Finished {
    name: String,
    slot: Arc<Slot>,
}

/// The slots of one stream.
#[derive(Debug)]
pub(super) struct Ring {
    folder: Rc<Folder>,
    prefix: Prefix,
    limits: RingLimits,
    /// The slot being written, under its hidden name.
    open: Option<(String, Draft)>,
    /// Oldest first.
    finished: VecDeque<Finished>,
    /// Cut off from the ring, but still held by readers.
    revoked: Vec<Weak<Slot>>,
}

impl Ring {
    /// An empty ring in `folder`.
    pub(super) const fn new(folder: Rc<Folder>, prefix: Prefix, limits: RingLimits) -> Self {
        Self { folder, prefix, limits, open: None, finished: VecDeque::new(), revoked: Vec::new() }
    }

    /// Opens a slot for segment `sequence`: the oldest that nobody holds, or a new file, or, at the limit, a new file in
    /// place of the oldest, whose readers are cut off; then that is the fault returned.
    ///
    /// # Errors
    /// When a file cannot be made or renamed.
    pub(super) fn start(&mut self, sequence: u64) -> Result<Option<Fault>, NoRoom> {
        let name = hidden(&self.prefix.segment(sequence));
        let mut cut_off = None;
        let draft = if let Some((old, mut draft)) = self.open.take().or_else(|| self.take_unheld()) {
            if let Err(error) = self.folder.rename(&old, &name) {
                self.folder.remove(&old);
                return Err(no_room(error));
            }
            draft.rewind();
            draft
        } else {
            if self.finished.len() >= self.limits.files {
                cut_off = self.cut_off_oldest();
            }
            Draft::new(self.folder.file(&name).map_err(no_room)?)
        };
        self.open = Some((name, draft));
        while self.unheld().nth(SPARE).is_some() && self.release() {}
        Ok(cut_off)
    }

    /// Another share of the tmpfs, from the next growth on.
    pub(super) const fn set_bytes(&mut self, bytes: u64) {
        self.limits.bytes = bytes;
    }

    /// Makes room for `need` more bytes in the open slot.
    ///
    /// # Errors
    /// When the tmpfs, or this stream's share of it, is full.
    pub(super) fn reserve(&mut self, need: usize) -> Result<(), NoRoom> {
        let shortfall = self.open.as_ref().map_or(0, |(_, draft)| draft.shortfall(need));
        if shortfall == 0 {
            return Ok(());
        }
        if self.allocated() + shortfall as u64 > self.limits.bytes {
            return Err(NoRoom::Full(Fault::ShareFull { megabytes: self.limits.bytes.div_ceil(1_000_000) }));
        }
        let Some((name, draft)) = &mut self.open else { return Ok(()) };
        draft.grow(shortfall).map_err(|errno| no_room(self.folder.failed("grow", name, errno)))
    }

    /// The bytes after what is written in the open slot; at least as many as were reserved.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.open.as_mut().map_or(&mut [], |(_, draft)| draft.space())
    }

    /// Counts `bytes` of [`Self::space`] as written.
    pub(super) fn advance(&mut self, bytes: usize) {
        if let Some((_, draft)) = &mut self.open {
            draft.advance(bytes);
        }
    }

    /// Bytes written into the open slot.
    pub(super) fn written(&self) -> usize {
        self.open.as_ref().map_or(0, |(_, draft)| draft.written())
    }

    /// Ends the open slot and gives it its name.
    ///
    /// # Errors
    /// When nothing is open, or the file cannot be cut to length or renamed; then its contents are lost.
    pub(super) fn finish(&mut self, sequence: u64) -> Result<(String, Arc<Slot>), Fault> {
        let name = self.prefix.segment(sequence);
        let Some((part, draft)) = self.open.take() else {
            return Err(self.folder.failed("finish", &name, Errno::ENOENT).into());
        };
        let finished = draft
            .finish()
            .map_err(|errno| self.folder.failed("cut", &part, errno))
            .and_then(|slot| self.folder.rename(&part, &name).map(|()| slot));
        let slot = Arc::new(finished.inspect_err(|_| self.folder.remove(&part))?);
        self.finished.push_back(Finished { name: name.clone(), slot: Arc::clone(&slot) });
        Ok((name, slot))
    }

    /// Gives up the open slot and its memory.
    pub(super) fn drop_open(&mut self) {
        if let Some((name, _)) = self.open.take() {
            self.folder.remove(&name);
        }
    }

    /// Gives the oldest slot that nobody holds back to the tmpfs; false when there is none.
    pub(super) fn release(&mut self) -> bool {
        let Some((name, _)) = self.take_unheld() else { return false };
        self.folder.remove(&name);
        true
    }

    /// Finished slots in the ring, held or not.
    pub(super) fn finished(&self) -> usize {
        self.finished.len()
    }

    /// Bytes of tmpfs held, by revoked slots that readers still hold too.
    pub(super) fn allocated(&mut self) -> u64 {
        self.revoked.retain(|slot| slot.strong_count() > 0);
        let open = self.open.as_ref().map_or(0, |(_, draft)| draft.allocated());
        let finished = self.finished.iter().map(|finished| finished.slot.allocated());
        let revoked = self.revoked.iter().filter_map(Weak::upgrade).map(|slot| slot.allocated());
        finished.chain(revoked).map(page_multiple).sum::<u64>() + page_multiple(open)
    }

    /// Indices of finished slots that nobody else holds.
    fn unheld(&self) -> impl Iterator<Item = usize> + '_ {
        let held = |slot: &Arc<Slot>| Arc::strong_count(slot) > 1;
        self.finished.iter().enumerate().filter(move |(_, finished)| !held(&finished.slot)).map(|(index, _)| index)
    }

    fn take_unheld(&mut self) -> Option<(String, Draft)> {
        let index = self.unheld().next()?;
        let Finished { name, slot } = self.finished.remove(index)?;
        match Slot::reclaim(slot) {
            Ok(draft) => Some((name, draft)),
            Err(slot) => {
                self.finished.insert(index, Finished { name, slot });
                None
            }
        }
    }

    /// Takes the oldest finished slot from whoever reads it: it is revoked and its file removed.
    pub(super) fn cut_off_oldest(&mut self) -> Option<Fault> {
        let Finished { name, slot } = self.finished.pop_front()?;
        slot.revoke();
        self.folder.remove(&name);
        self.revoked.push(Arc::downgrade(&slot));
        Some(Fault::ReaderCutOff { file_name: name })
    }
}

fn no_room(error: FolderError) -> NoRoom {
    match error {
        FolderError::Full(_) => NoRoom::Full(error.into()),
        error => NoRoom::Failed(error.into()),
    }
}

/// tmpfs holds whole pages.
fn page_multiple(bytes: usize) -> u64 {
    bytes.next_multiple_of(4096) as u64
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
