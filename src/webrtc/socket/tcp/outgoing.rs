//! Datagrams for one TCP peer in, bytes for its connection out; what a slow peer does not take waits, bounded.

use crate::webrtc::framing::header;

/// Frames that are to be written. Policy beyond `most` bytes: drop the newest datagram, whole.
#[derive(Debug)]
pub(super) struct Outgoing {
    most: usize,
    /// Frames one after the other; those before `start` are written.
    bytes: Vec<u8>,
    start: usize,
}

impl Outgoing {
    pub(super) fn new(most: usize) -> Self {
        Self { most, bytes: Vec::new(), start: 0 }
    }

    /// False: dropped, because it is no datagram or there is no room.
    pub(super) fn push(&mut self, datagram: &[u8]) -> bool {
        let Ok(header) = header(datagram) else { return false };
        if self.pending().len() + header.len() + datagram.len() > self.most {
            return false;
        }
        // What was written is removed once it is the larger part, so that each byte moves at most once.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(datagram);
        true
    }

    /// What is to be written next.
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// `written` bytes of it were.
    pub(super) fn advance(&mut self, written: usize) {
        self.start += written;
        if self.pending().is_empty() {
            // A connection that keeps up holds no memory.
            *self = Self::new(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_written_in_any_pieces() {
        let mut outgoing = Outgoing::new(100);
        assert!(outgoing.push(b"ab") && outgoing.push(b"c"));
        assert_eq!(outgoing.pending(), [0, 2, b'a', b'b', 0, 1, b'c']);
        outgoing.advance(6);
        assert!(outgoing.push(b"d"));
        assert_eq!(outgoing.pending(), [b'c', 0, 1, b'd']);
        outgoing.advance(4);
        assert!(outgoing.pending().is_empty());
        assert_eq!(outgoing.bytes.capacity(), 0);
    }

    #[test]
    fn the_newest_datagram_is_dropped_whole_when_the_bound_is_reached() {
        let mut outgoing = Outgoing::new(10);
        assert!(outgoing.push(b"abcd"));
        assert!(!outgoing.push(b"12345"), "11 bytes");
        assert!(outgoing.push(b"12"));
        outgoing.advance(1);
        assert!(!outgoing.push(b""), "an empty frame says nothing");
        assert!(!outgoing.push(b"3"));
        assert_eq!(outgoing.pending(), [4, b'a', b'b', b'c', b'd', 0, 2, b'1', b'2']);
    }

    #[test]
    fn a_peer_that_is_always_a_little_behind_does_not_make_it_grow() {
        let mut outgoing = Outgoing::new(1000);
        assert!(outgoing.push(&[1; 100]));
        for _ in 0..10_000 {
            assert!(outgoing.push(&[2; 100]));
            outgoing.advance(102);
        }
        assert_eq!(outgoing.pending().len(), 102);
        assert!(outgoing.bytes.capacity() <= 1000, "{}", outgoing.bytes.capacity());
    }
}
