//! Stream ids: the camera's id in URLs, file names and log lines.

use std::fmt;

/// A camera's id: 1 to 32 characters of `[A-Za-z0-9_-]`, so that it is safe in a path, a URL and a log line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

/// Why a string is not a stream id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStreamId {
    /// The string is empty.
    #[error("is empty; use 1 to 32 letters, digits, '-' or '_'")]
    Empty,
    /// The string has more than 32 characters.
    #[error("has {0} characters; at most 32 are allowed")]
    TooLong(usize),
    /// The string has a character outside the alphabet.
    #[error("has the character {0:?}; only letters A-Z a-z, digits, '-' and '_' are allowed")]
    BadCharacter(char),
}

impl StreamId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 32;

    /// Reads an id.
    ///
    /// # Errors
    /// When the text is empty, too long, or has a character outside `[A-Za-z0-9_-]`.
    pub fn parse(text: &str) -> Result<Self, InvalidStreamId> {
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
            return Err(InvalidStreamId::BadCharacter(bad));
        }
        let len = u8::try_from(text.len()).ok().filter(|len| usize::from(*len) <= Self::MAX_LEN);
        let Some(len) = len else { return Err(InvalidStreamId::TooLong(text.len())) };
        if len == 0 {
            return Err(InvalidStreamId::Empty);
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("ids are ASCII by construction")
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for StreamId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_a_safe_alphabet_of_bounded_length() {
        assert_eq!(StreamId::parse("CCTV-TEST_1").unwrap().as_str(), "CCTV-TEST_1");
        assert_eq!(StreamId::parse(""), Err(InvalidStreamId::Empty));
        assert_eq!(StreamId::parse("../etc"), Err(InvalidStreamId::BadCharacter('.')));
        assert_eq!(StreamId::parse("카메라"), Err(InvalidStreamId::BadCharacter('카')));
        assert_eq!(StreamId::parse(&"a".repeat(33)), Err(InvalidStreamId::TooLong(33)));
        assert_eq!(StreamId::parse(&"a".repeat(300)), Err(InvalidStreamId::TooLong(300)));
        assert!(StreamId::parse(&"a".repeat(32)).is_ok());
    }
}
