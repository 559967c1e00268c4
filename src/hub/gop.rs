//! The current group of pictures: video units in, all of them since the last key frame out, bounded in bytes.

/// The units since the last key frame, that one included, in order.
///
/// Policy DropWholeGop: what exceeds the bound empties it until the next key frame, for decoding cannot start in the middle.
/// Transitions: Waiting -key frame-> Growing -full, break, clear-> Waiting.
#[derive(Clone, Debug)]
pub struct Gop<T> {
    units: Vec<T>,
    bytes: usize,
    most_bytes: usize,
    state: State,
    overflows: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Empty; the next key frame begins a group.
    Waiting,
    /// Holds every unit from the key frame on.
    Growing,
}

impl<T> Gop<T> {
    /// An empty group that never holds more than `most_bytes`.
    pub const fn new(most_bytes: usize) -> Self {
        Self { units: Vec::new(), bytes: 0, most_bytes, state: State::Waiting, overflows: 0 }
    }

    /// Another bound. What exceeds it goes with the next unit.
    pub const fn set_most_bytes(&mut self, most_bytes: usize) {
        self.most_bytes = most_bytes;
    }

    /// Adds a video unit that holds `bytes` of memory. `starts`: it is a key frame, and a new group begins with it.
    /// `breaks`: it does not continue the units before it, so those are dropped even if it is no key frame.
    pub fn push(&mut self, item: T, bytes: usize, starts: bool, breaks: bool) {
        if starts || breaks {
            self.clear();
        }
        if starts {
            self.state = State::Growing;
        }
        if self.state == State::Waiting {
            return;
        }
        if bytes > self.most_bytes.saturating_sub(self.bytes) {
            self.overflows += 1;
            self.clear();
            return;
        }
        self.bytes += bytes;
        self.units.push(item);
    }

    /// Drops what is held; the next key frame begins a group again.
    pub fn clear(&mut self) {
        self.units.clear();
        self.bytes = 0;
        self.state = State::Waiting;
    }

    /// The units, from the key frame on.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + DoubleEndedIterator {
        self.units.iter()
    }

    /// The unit `index` places after the key frame.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.units.get(index)
    }

    /// Units held.
    pub const fn len(&self) -> usize {
        self.units.len()
    }

    /// True while no group is held.
    pub const fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Bytes held, as told to [`push`](Self::push).
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Groups dropped because they exceeded the bound.
    pub const fn overflows(&self) -> u64 {
        self.overflows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes `(name, bytes, key frame)`s that continue one another.
    fn pushed(gop: &mut Gop<char>, units: &[(char, usize, bool)]) -> String {
        for (name, bytes, starts) in units {
            gop.push(*name, *bytes, *starts, false);
        }
        gop.iter().collect()
    }

    #[test]
    fn holds_the_units_since_the_last_key_frame() {
        let mut gop = Gop::new(100);
        assert_eq!(pushed(&mut gop, &[('x', 1, false)]), "", "decoding cannot start there");
        assert!(gop.is_empty());
        assert_eq!(pushed(&mut gop, &[('a', 10, true), ('b', 2, false), ('c', 3, false)]), "abc");
        assert_eq!((gop.len(), gop.bytes()), (3, 15));
        assert_eq!((gop.get(0), gop.get(2), gop.get(3)), (Some(&'a'), Some(&'c'), None));
        assert_eq!(pushed(&mut gop, &[('d', 20, true), ('e', 1, false)]), "de");
        assert_eq!((gop.len(), gop.bytes(), gop.overflows()), (2, 21, 0));
    }

    #[test]
    fn a_group_over_the_bound_is_dropped_whole_and_counted_once() {
        let mut gop = Gop::new(30);
        assert_eq!(pushed(&mut gop, &[('a', 20, true), ('b', 10, false)]), "ab", "the bound itself is allowed");
        assert_eq!(pushed(&mut gop, &[('c', 1, false)]), "");
        assert_eq!((gop.bytes(), gop.overflows()), (0, 1));
        assert_eq!(pushed(&mut gop, &[('d', 1, false), ('e', 40, false)]), "", "the rest of the group is not taken");
        assert_eq!(gop.overflows(), 1);
        assert_eq!(pushed(&mut gop, &[('f', 5, true), ('g', 5, false)]), "fg");
        assert_eq!((gop.bytes(), gop.overflows()), (10, 1));
    }

    #[test]
    fn a_key_frame_over_the_bound_is_an_overflow_too() {
        let mut gop = Gop::new(30);
        assert_eq!(pushed(&mut gop, &[('a', 1, true), ('b', 31, true), ('c', 1, false)]), "");
        assert_eq!(gop.overflows(), 1);
        assert_eq!(pushed(&mut gop, &[('d', usize::MAX, true), ('e', 30, true)]), "e");
        assert_eq!(gop.overflows(), 2);
    }

    #[test]
    fn a_break_ends_the_group_and_only_a_key_frame_begins_another() {
        let mut gop = Gop::new(30);
        pushed(&mut gop, &[('a', 1, true), ('b', 1, false)]);
        gop.push('c', 1, false, true);
        assert_eq!(pushed(&mut gop, &[('d', 1, false)]), "");
        gop.push('e', 1, true, true);
        assert_eq!(pushed(&mut gop, &[('f', 1, false)]), "ef");
        gop.clear();
        assert_eq!(pushed(&mut gop, &[('g', 1, false)]), "");
        assert_eq!((gop.bytes(), gop.overflows()), (0, 0));
    }
}
