//! Datagrams to send in; out come batches as large as one system call takes, and what the kernel does not take now waits, bounded.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use heapless::Vec as FixedVec;

use crate::webrtc::socket::LONGEST_DATAGRAM;

/// Messages of one `sendmmsg`.
pub(super) const MOST_MESSAGES: usize = 32;
/// UDP_MAX_SEGMENTS of kernels before 6.9: datagrams in one message.
const MOST_SEGMENTS: usize = 64;
/// Bytes in one message: 65535 less the longest headers.
const MOST_MESSAGE_BYTES: usize = 65_000;
/// Memory kept while nothing waits, bytes.
const KEPT_CAPACITY: usize = 256 * 1024;
/// Messages refused in a row, whose datagrams were then taken one by one, after which segmentation is given up: that network
/// device cannot do it. One alone may be a path with a small MTU.
const MOST_REFUSED_IN_A_ROW: u32 = 8;

/// Consecutive datagrams on one path, of equal size but for the last: one message where the kernel divides it.
#[derive(Debug)]
struct Group {
    local: IpAddr,
    remote: SocketAddr,
    /// Size of each datagram but the last, which may be shorter.
    segment: usize,
    /// Bytes of all.
    len: usize,
    /// The last datagram was shorter, or there are enough.
    complete: bool,
    /// The kernel refused to divide it: goes out one by one.
    divided: bool,
}

impl Group {
    fn datagrams(&self) -> usize {
        self.len.div_ceil(self.segment)
    }
}

/// What one `sendmmsg` sends: messages from one address, which the kernel divides at `segment` bytes.
pub(super) struct Batch<'a> {
    pub(super) local: IpAddr,
    pub(super) segment: Option<u16>,
    pub(super) messages: FixedVec<(SocketAddr, &'a [u8]), MOST_MESSAGES>,
}

/// What became of a flush.
#[derive(Debug, Default)]
pub(super) struct Flushed {
    /// The kernel takes no more now.
    pub(super) blocked: bool,
    /// Datagrams taken.
    pub(super) sent: u64,
    /// Datagrams that cannot be sent where they should go, and the last such destination and error.
    pub(super) failed: u64,
    pub(super) error: Option<(SocketAddr, io::Error)>,
    /// Segmentation was given up just now.
    pub(super) gave_up_segmentation: bool,
}

/// The datagrams that are to be sent. Policy beyond `most` bytes: drop the newest.
#[derive(Debug)]
pub(super) struct Outbox {
    most: usize,
    segmentation: bool,
    refused_in_a_row: u32,
    /// All datagrams one after the other; those before `start` are sent.
    bytes: Vec<u8>,
    start: usize,
    groups: VecDeque<Group>,
}

impl Outbox {
    pub(super) fn new(most: usize, segmentation: bool) -> Self {
        Self { most, segmentation, refused_in_a_row: 0, bytes: Vec::new(), start: 0, groups: VecDeque::new() }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// False: dropped, because there is no such datagram or no room.
    pub(super) fn queue(&mut self, local: IpAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        let len = datagram.len();
        let possible = (1..=LONGEST_DATAGRAM).contains(&len) && local.is_ipv4() == remote.is_ipv4();
        if !possible || self.len() + len > self.most {
            return false;
        }
        // What was sent is removed once it is the larger part, so that each byte moves at most once.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(datagram);
        match self.groups.back_mut() {
            Some(last)
                if !last.complete
                    && last.remote == remote
                    && last.local == local
                    && len <= last.segment
                    && last.len + len <= MOST_MESSAGE_BYTES =>
            {
                last.len += len;
                last.complete = len < last.segment || last.len >= MOST_SEGMENTS * last.segment;
            }
            _ => {
                let group = Group { local, remote, segment: len, len, complete: false, divided: false };
                self.groups.push_back(group);
            }
        }
        true
    }

    /// Sends until nothing waits or the kernel takes no more. `transmit` returns how many messages were taken, at least one, or
    /// the error of the first.
    pub(super) fn flush(&mut self, mut transmit: impl FnMut(&Batch<'_>) -> io::Result<usize>) -> Flushed {
        let mut flushed = Flushed::default();
        let mut next = |outbox: &Self| {
            let batch = outbox.batch()?;
            let first = batch.messages.first().map(|(remote, _)| *remote)?;
            Some((batch.segment, first, transmit(&batch)))
        };
        while let Some((segment, first, result)) = next(self) {
            match result {
                Ok(messages) => {
                    let was_divided = self.groups.front().is_some_and(|group| group.divided);
                    flushed.sent += self.advance(messages.max(1), segment);
                    flushed.gave_up_segmentation |= self.on_taken(segment, was_divided);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    flushed.blocked = true;
                    break;
                }
                Err(error) if segment.is_some() && may_refuse_segmentation(&error) => {
                    if let Some(group) = self.groups.front_mut() {
                        group.divided = true;
                        group.complete = true;
                    }
                }
                Err(error) => {
                    flushed.failed += self.advance(1, segment);
                    flushed.error = Some((first, error));
                }
            }
        }
        if self.groups.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_CAPACITY);
            self.start = 0;
        }
        flushed
    }

    /// Learns from a batch that was taken whether segmentation works; true when it is given up.
    fn on_taken(&mut self, segment: Option<u16>, was_divided: bool) -> bool {
        if segment.is_some() {
            self.refused_in_a_row = 0;
        } else if was_divided && self.groups.front().is_none_or(|group| !group.divided) {
            self.refused_in_a_row += 1;
        }
        let give_up = self.segmentation && self.refused_in_a_row >= MOST_REFUSED_IN_A_ROW;
        self.segmentation &= !give_up;
        give_up
    }

    /// The next messages that share address and segment size.
    fn batch(&self) -> Option<Batch<'_>> {
        let first = self.groups.front()?;
        let segment = self.segment(first);
        let mut batch = Batch { local: first.local, segment, messages: FixedVec::new() };
        let mut rest = self.bytes.get(self.start..)?;
        for group in &self.groups {
            if group.local != batch.local || self.segment(group) != segment {
                break;
            }
            let (datagrams, after) = rest.split_at_checked(group.len)?;
            rest = after;
            let size = if segment.is_some() { group.len } else { group.segment };
            for message in datagrams.chunks(size) {
                if batch.messages.push((group.remote, message)).is_err() {
                    return Some(batch);
                }
            }
        }
        Some(batch)
    }

    /// The size at which the kernel divides this group, if it does.
    fn segment(&self, group: &Group) -> Option<u16> {
        let divisible = self.segmentation && !group.divided && group.len > group.segment;
        divisible.then(|| u16::try_from(group.segment).ok()).flatten()
    }

    /// The first `messages` are done with; returns how many datagrams they held.
    fn advance(&mut self, messages: usize, segment: Option<u16>) -> u64 {
        let mut datagrams = 0;
        for _ in 0..messages {
            let Some(group) = self.groups.front_mut() else { break };
            let (bytes, held) = match segment {
                Some(_) => (group.len, group.datagrams()),
                None => (group.segment.min(group.len), 1),
            };
            self.start += bytes;
            datagrams += held as u64;
            group.len -= bytes;
            if group.len == 0 {
                self.groups.pop_front();
            }
        }
        datagrams
    }
}

/// EIO: the device does not compute checksums. EINVAL, EMSGSIZE: segment larger than the MTU, or many other things. The others:
/// this kernel has no such thing.
fn may_refuse_segmentation(error: &io::Error) -> bool {
    let codes = [libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP, libc::ENOPROTOOPT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
