//! A status and a body in, a [`Response`] out: JSON, errors, headers that every answer carries, gzip.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use super::http::{Request, Response};

/// Response headers, without Content-Length.
pub(super) type Headers = Vec<(&'static str, String)>;

/// How a body may be gzipped here and now.
#[derive(Clone, Copy)]
pub(super) struct Coding {
    /// The configuration allows it (then the answer depends on `Accept-Encoding`).
    pub(super) enabled: bool,
    /// This client accepts it.
    pub(super) accepted: bool,
}

impl Coding {
    /// What `request` gets when the configuration says `enabled`.
    pub(super) fn of(request: &Request, enabled: bool) -> Self {
        Self { enabled, accepted: request.accepts_gzip }
    }
}

/// 200 with `document` as JSON, never cached.
pub(super) fn json(document: &impl Serialize, coding: Coding) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => text(200, "application/json", body, vec![("Cache-Control", "no-store".to_owned())], coding),
        Err(error) => fault(500, &format!("the answer cannot be written as JSON: {error}"), None, Vec::new()),
    }
}

/// An error as JSON: `{"error": sentence}` and, when the fault has one, its stable `code`. Never cached.
pub(super) fn fault(status: u16, sentence: &str, code: Option<&str>, mut headers: Headers) -> Response {
    #[derive(Serialize)]
    struct Document<'a> {
        error: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
    }
    let body = serde_json::to_vec(&Document { error: sentence, code }).unwrap_or_default();
    headers.push(("Cache-Control", "no-store".to_owned()));
    let plain = Coding { enabled: false, accepted: false };
    text(status, "application/json", body, headers, plain)
}

/// Text of some media type, gzipped when that is allowed and makes it smaller.
pub(super) fn text(status: u16, media_type: &str, body: Vec<u8>, mut headers: Headers, coding: Coding) -> Response {
    headers.push(("Content-Type", media_type.to_owned()));
    headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
    if coding.enabled {
        headers.push(("Vary", "Accept-Encoding".to_owned()));
    }
    let packed = if coding.enabled && coding.accepted { gzip(&body) } else { None };
    let body = match packed {
        Some(packed) if packed.len() < body.len() => {
            headers.push(("Content-Encoding", "gzip".to_owned()));
            packed
        }
        _ => body,
    };
    Response::Full { status, headers, body }
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
