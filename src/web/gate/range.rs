//! One byte range of a segment: the Range header and the length in, what to send out. RFC 9110 section 14.

use std::ops::Range;

/// What part of a segment answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// 200: all of it.
    Whole,
    /// 206: these bytes; not empty.
    Some(Range<usize>),
    /// 416: the range starts past the end.
    Unsatisfiable,
}

/// Picks the part of `len` bytes that `header` asks for. What is not one well-formed byte range gets the whole: a server may
/// always ignore Range, and does so for several ranges.
pub(super) fn pick(header: Option<&str>, len: usize) -> Part {
    let asked = header.and_then(|header| header.trim().strip_prefix("bytes=")).and_then(|spec| spec.split_once('-'));
    let Some((first, last)) = asked else { return Part::Whole };
    let (first, last) = (first.trim(), last.trim());
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(last)) if start <= last => (start, last.saturating_add(1).min(len)),
        (Some(start), None) if last.is_empty() => (start, len),
        (None, Some(suffix)) if first.is_empty() => (len - suffix.min(len), len),
        _ => return Part::Whole,
    };
    if start < end { Part::Some(start..end) } else { Part::Unsatisfiable }
}

/// Digits only; a number too large to hold is as good as the largest.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sound_range_is_a_part() {
        for (header, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-", 2..10),
            ("bytes=2-5", 2..6),
            ("bytes=8-99", 8..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=0-18446744073709551615", 0..10),
            ("bytes=0-99999999999999999999999", 0..10),
        ] {
            assert_eq!(pick(Some(header), 10), Part::Some(part), "{header}");
        }
    }

    #[test]
    fn past_the_end_is_unsatisfiable() {
        for header in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(pick(Some(header), 10), Part::Unsatisfiable, "{header}");
        }
        assert_eq!(pick(Some("bytes=0-"), 0), Part::Unsatisfiable);
        assert_eq!(pick(Some("bytes=-1"), 0), Part::Unsatisfiable);
    }

    #[test]
    fn anything_else_gets_the_whole() {
        for header in
            ["bytes=5-2", "bytes=0-1,3-4", "bytes=-", "bytes=a-b", "bytes=+1-2", "items=0-1", "bytes", "", "bytes=1"]
        {
            assert_eq!(pick(Some(header), 10), Part::Whole, "{header}");
        }
        assert_eq!(pick(None, 10), Part::Whole);
    }
}
