//! A set of CPU cores, as the kernel writes it: "0,2-3" in, the same or a bit mask out.

use std::fmt;

/// Cores of a board, by number; at most [`Cores::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores(u32);

impl Cores {
    /// Most cores of a board. Up to here, the kernel's masks are one word without commas.
    pub const MOST: u32 = 32;

    /// Reads the kernel's list format; `None` when it is not that, names no core, or one beyond [`Cores::MOST`].
    pub fn parse(text: &str) -> Option<Self> {
        let mut mask = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            for core in first..=last {
                mask |= 1_u32.checked_shl(core)?;
            }
        }
        Some(Self(mask))
    }

    /// True when `core` is one of them.
    pub fn contains(self, core: u32) -> bool {
        1_u32.checked_shl(core).is_some_and(|bit| self.0 & bit != 0)
    }

    /// The highest one.
    pub fn last(self) -> u32 {
        self.0.checked_ilog2().unwrap_or(0)
    }

    /// For files such as `rps_cpus`: hexadecimal, without prefix.
    pub fn mask(self) -> String {
        format!("{:x}", self.0)
    }
}

/// Digits only: `u32::from_str` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// One by one, separated by blanks: systemd and people read it.
impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = (0..Self::MOST).filter(|core| self.contains(*core)).map(|core| core.to_string()).collect();
        f.write_str(&all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_mask_and_a_list_again() {
        let shown = |text| Cores::parse(text).map(|cores| (cores.mask(), cores.to_string(), cores.last()));
        assert_eq!(shown("0"), Some(("1".to_owned(), "0".to_owned(), 0)));
        assert_eq!(shown("0,2-3"), Some(("d".to_owned(), "0 2 3".to_owned(), 3)));
        assert_eq!(shown("4-7"), Some(("f0".to_owned(), "4 5 6 7".to_owned(), 7)));
        assert_eq!(shown("31"), Some(("80000000".to_owned(), "31".to_owned(), 31)));
    }

    #[test]
    fn what_is_no_list_of_cores_is_refused() {
        for text in ["", "a", "1,", "-1", "+1", "3-1", "1-", "32", "0 1", "4294967296"] {
            assert_eq!(Cores::parse(text), None, "{text:?}");
        }
    }
}
