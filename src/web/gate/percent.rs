//! Percent-encoding of paths: wire text to the path that routes see, and back to one canonical spelling. RFC 3986 section 2.1.

/// Decodes `text`. `None` when an escape is malformed, hides a `/` or a control character, or the result is not UTF-8.
pub(in crate::web) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (hex(rest.next()?)?, hex(rest.next()?)?);
        let decoded = high << 4 | low;
        // An escaped slash means one thing to a proxy and another to a router; control characters reach logs.
        if decoded == b'/' || decoded.is_ascii_control() {
            return None;
        }
        bytes.push(decoded);
    }
    String::from_utf8(bytes).ok()
}

/// Encodes `path` so that [`decode`] gives it back: everything but unreserved characters and `/` is escaped.
pub(in crate::web) fn encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    text
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_sound_and_refuses_the_rest() {
        assert_eq!(decode("/hls/a%20b").as_deref(), Some("/hls/a b"));
        assert_eq!(decode("/%ec%b9%b4").as_deref(), Some("/카"));
        for bad in ["/%", "/%4", "/%zz", "/%+1", "/a%2fb", "/a%2Fb", "/%00", "/%0d%0a", "/%7f", "/%ff", "/%ec%b9"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn encoding_is_canonical_and_reversible() {
        assert_eq!(encode("/a b%카?#"), "/a%20b%25%EC%B9%B4%3F%23");
        assert_eq!(decode(&encode("/a b%카?#\u{80}")).as_deref(), Some("/a b%카?#\u{80}"));
    }
}
