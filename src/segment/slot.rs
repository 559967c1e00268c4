//! A slot: one tmpfs file, mapped shared and pre-faulted; written by its one owner, then read by many, then written again.
#![expect(unsafe_code, reason = "maps files; the only place outside system/ that does")]

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::mman::{MRemapFlags, MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mremap, munmap};
use nix::unistd::ftruncate;

/// Slots grow in steps of this many bytes: a step is zeroed by the kernel, and what a segment does not use is given back.
pub(super) const STEP: usize = 64 * 1024;

/// The slot being written. It has one owner, so nobody reads what is not finished.
#[derive(Debug)]
pub struct Draft {
    file: OwnedFd,
    map: Option<Map>,
    /// Length of the file, all of it allocated and mapped: writing below it cannot fail.
    len: usize,
    written: usize,
}

impl Draft {
    /// Takes an empty file, open for reading and writing, on tmpfs.
    pub const fn new(file: OwnedFd) -> Self {
        Self { file, map: None, len: 0, written: 0 }
    }

    /// Bytes of tmpfs that it holds.
    pub const fn allocated(&self) -> usize {
        self.len
    }

    /// Bytes written.
    pub const fn written(&self) -> usize {
        self.written
    }

    /// By how many bytes the file must grow to have room for `need` more.
    pub fn shortfall(&self, need: usize) -> usize {
        let end = self.written.saturating_add(need);
        if end <= self.len { 0 } else { end.next_multiple_of(STEP) - self.len }
    }

    /// Makes the file longer by `bytes`: allocates first, since writing past the end of a mapped file is a SIGBUS and
    /// writing into a hole of a full tmpfs is one too.
    ///
    /// # Errors
    /// ENOSPC when the tmpfs is full; the slot stays as it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Errno> {
        if bytes == 0 {
            return Ok(());
        }
        let len = self.len.checked_add(bytes).ok_or(Errno::EFBIG)?;
        let offset = |bytes: usize| i64::try_from(bytes).map_err(|_| Errno::EFBIG);
        let (from, span) = (offset(self.len)?, offset(bytes)?);
        let allocated = loop {
            // A signal (SIGHUP, SIGTERM) interrupts the allocation.
            match fallocate(&self.file, FallocateFlags::empty(), from, span) {
                Err(Errno::EINTR) => {}
                result => break result.and_then(|()| self.map_to(len)),
            }
        };
        if let Err(errno) = allocated {
            // What a failed call allocated in part goes back; when even that fails the file is merely longer than `len`.
            let _longer = ftruncate(&self.file, from);
            return Err(errno);
        }
        self.populate(self.len, len);
        self.len = len;
        Ok(())
    }

    /// The bytes after what is written, as far as the file reaches.
    pub fn space(&mut self) -> &mut [u8] {
        let Some(map) = &mut self.map else { return &mut [] };
        // SAFETY: `start` is mapped for at least `len` bytes (grow), the file is that long, so no access faults, and `&mut self`
        // is the only way to these bytes in this process: a `Slot` gives a `Draft` back only when nobody shares it.
        let all = unsafe { std::slice::from_raw_parts_mut(map.start.as_ptr(), self.len) };
        all.get_mut(self.written..).unwrap_or(&mut [])
    }

    /// Counts `bytes` of [`Self::space`] as written.
    pub fn advance(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes).min(self.len);
    }

    /// Starts over, keeping the allocated length.
    pub const fn rewind(&mut self) {
        self.written = 0;
    }

    /// Ends writing: the file gets its exact length, and from now on it is only read.
    ///
    /// # Errors
    /// When the file cannot be cut to its length.
    pub fn finish(mut self) -> Result<Slot, Errno> {
        if self.written < self.len {
            ftruncate(&self.file, i64::try_from(self.written).map_err(|_| Errno::EFBIG)?)?;
            self.len = self.written;
        }
        Ok(Slot { draft: self, revoked: AtomicBool::new(false) })
    }

    fn map_to(&mut self, len: usize) -> Result<(), Errno> {
        let wanted = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
        let Some(map) = &mut self.map else {
            let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            // SAFETY: a new mapping at an address of the kernel's choice overlaps no Rust object.
            let start = unsafe { mmap(None, wanted, protection, MapFlags::MAP_SHARED, &self.file, 0) }?;
            self.map = Some(Map { start: start.cast(), len });
            return Ok(());
        };
        if map.len < len {
            // SAFETY: `start` and `len` describe our mapping, and no slice of it lives across this `&mut self` call.
            let start = unsafe { mremap(map.start.cast(), map.len, len, MRemapFlags::MREMAP_MAYMOVE, None) }?;
            // Field by field: assigning a new `Map` would drop the old one, and with it unmap what just grew.
            (map.start, map.len) = (start.cast(), len);
        }
        Ok(())
    }

    /// Enters the pages into the page table at once, so that writing takes no faults. Kernels before 5.14 cannot; there
    /// the first write to each page faults once.
    fn populate(&self, from: usize, to: usize) {
        let Some(map) = &self.map else { return };
        // Down to a page boundary, whatever the page size; pages that are there already cost nothing.
        let from = from - from % STEP;
        // SAFETY: the range lies inside our mapping; populating changes no byte.
        let start = unsafe { map.start.add(from) };
        // SAFETY: as above.
        let _old_kernel = unsafe { madvise(start.cast(), to - from, MmapAdvise::MADV_POPULATE_WRITE) };
    }
}

/// A finished slot: [`Slot::bytes`] never change while anybody holds it.
#[derive(Debug)]
pub struct Slot {
    draft: Draft,
    revoked: AtomicBool,
}

impl Slot {
    /// The segment.
    pub fn bytes(&self) -> &[u8] {
        let Some(map) = &self.draft.map else { return &[] };
        // SAFETY: `start` is mapped for at least `written` bytes and the file is that long. Nothing in this process writes
        // to them while the slot exists: writing needs the `Draft`, which only `reclaim` takes out, of an unshared slot.
        // Other processes: the folder is ours, and files in it are not writable for others.
        unsafe { std::slice::from_raw_parts(map.start.as_ptr(), self.draft.written) }
    }

    /// True when the ring needs the room: stop reading and let go of it.
    pub fn revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    /// Asks the readers to let go.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    /// Bytes of tmpfs that it holds.
    pub const fn allocated(&self) -> usize {
        self.draft.allocated()
    }

    /// The slot to write again, when nobody else holds it.
    ///
    /// # Errors
    /// The slot as it was, when somebody does.
    pub fn reclaim(slot: Arc<Self>) -> Result<Draft, Arc<Self>> {
        Arc::try_unwrap(slot).map(|slot| slot.draft)
    }
}

#[derive(Debug)]
struct Map {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached through `Draft` and `Slot` alone, whose `&mut`
// and `&` methods follow the usual rules for bytes.
unsafe impl Send for Map {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Map {}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: our mapping, and the borrow rules ended every slice of it. A failure would only leak address space.
        let _leaked = unsafe { munmap(self.start.cast(), self.len) };
    }
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
