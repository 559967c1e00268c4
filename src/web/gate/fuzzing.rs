//! Doors for the fuzz targets to the gate's parsers, which stay private otherwise: a stranger's bytes in, plain types out.

use std::ops::Range;

use super::range::Part;
use super::{canonical, head, percent, range};
use crate::web::http::Request;

/// Longest head, bytes.
pub const HEAD_LIMIT: usize = head::HEAD_LIMIT;
/// Longest body, bytes.
pub const BODY_LIMIT: usize = head::BODY_LIMIT;

/// A head that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the head, blank line included.
    pub len: usize,
    /// Bytes of the body that follow it.
    pub content_length: usize,
    /// The path, decoded.
    pub path: String,
    /// The query, as sent.
    pub query: String,
    /// The request as it crosses to the workers, with `body`.
    pub canonical: Vec<u8>,
}

/// Reads the head at the start of `bytes`: `None` while it is incomplete, a sentence when it is refused.
///
/// # Errors
/// Why it is refused.
pub fn read_head(bytes: &[u8], body: &[u8]) -> Result<Option<Head>, String> {
    let head = head::parse(bytes).map_err(|refusal| refusal.to_string())?;
    Ok(head.map(|head| {
        let canonical = canonical::encode(&head, body, canonical::Known { id: 7, waited: false, arrived_at: None });
        let head::Head { len, content_length, path, query, .. } = head;
        Head { len, content_length, path, query, canonical }
    }))
}

/// What a worker makes of a canonical request.
pub fn on_worker<'a>(
    method: &str,
    target: &str,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: Vec<u8>,
) -> Option<Request> {
    canonical::decode(method, target, headers, body)
}

/// A path, percent-decoded.
pub fn decode(text: &str) -> Option<String> {
    percent::decode(text)
}

/// A path, percent-encoded.
pub fn encode(path: &str) -> String {
    percent::encode(path)
}

/// The part of `len` bytes that a Range header asks for; `None` is 416.
pub fn pick(header: &str, len: usize) -> Option<Range<usize>> {
    match range::pick(Some(header), len) {
        Part::Whole => Some(0..len),
        Part::Some(part) => Some(part),
        Part::Unsatisfiable => None,
    }
}
