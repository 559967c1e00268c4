//! Percent-encoding and Range: a sound text survives a round trip, a range stays inside of what there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use porthole::web::gate::fuzzing::{decode, encode, pick};
use porthole_fuzz::Bytes;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let len = bytes.u16() as usize * if bytes.flag() { 65_537 } else { 1 };
    let Ok(text) = std::str::from_utf8(bytes.rest()) else { return };

    if let Some(path) = decode(text) {
        assert!(path.len() <= text.len());
        let canonical = encode(&path);
        assert!(canonical.len() <= 3 * path.len() && canonical.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!canonical.contains(['?', '#', '\\']), "{canonical}");
        // Control characters that were not escaped are the head parser's to refuse.
        if !path.contains(|c: char| c.is_ascii_control()) {
            assert_eq!(decode(&canonical).as_deref(), Some(path.as_str()));
        }
        assert_eq!(path.matches('/').count(), text.matches('/').count(), "an escape made a slash");
    }
    for header in [text.to_owned(), format!("bytes={text}")] {
        match pick(&header, len) {
            Some(part) => assert!(part.end <= len && (part.start < part.end || part == (0..len)), "{part:?} of {len}"),
            None => assert!(header.trim().starts_with("bytes=")),
        }
    }
});
