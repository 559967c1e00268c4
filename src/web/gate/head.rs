//! The head of one request: bytes as a stranger sent them in, a [`Head`] or a [`Refusal`] out. RFC 9112 sections 2 to 6.

use httparse::{EMPTY_HEADER, Header, Status};

use super::percent;
use super::refusal::Refusal;
use crate::web::http::Method;

/// Longest request head, bytes, blank line included.
pub(super) const HEAD_LIMIT: usize = 8 * 1024;
/// Longest request body, bytes.
pub(in crate::web) const BODY_LIMIT: usize = 64 * 1024;
const HEADER_COUNT_LIMIT: usize = 64;

/// One request head that means one thing only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The method.
    pub(super) method: Method,
    /// The path, percent-decoded; starts with `/`.
    pub(super) path: String,
    /// The query as sent, without `?`; visible ASCII; empty when there is none.
    pub(super) query: String,
    /// True for HTTP/1.0.
    pub(super) http_1_0: bool,
    /// The client wants to send another request on this connection.
    pub(super) keep_alive: bool,
    /// Body bytes that follow the head; at most [`BODY_LIMIT`].
    pub(super) content_length: usize,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// `Accept-Encoding` names gzip with a quality above 0.
    pub(super) accepts_gzip: bool,
    /// `If-None-Match`, as sent.
    pub(super) if_none_match: Option<String>,
    /// `Content-Type`, as sent.
    pub(super) content_type: Option<String>,
    /// `Range`, as sent.
    pub(super) range: Option<String>,
    /// True when `If-Range` was sent.
    pub(super) if_range: bool,
    /// Bytes of the head, blank line included.
    pub(super) len: usize,
}

/// Reads the head at the start of `bytes`; `None` while it is incomplete, an error when it never can become a request.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let mut storage = [EMPTY_HEADER; HEADER_COUNT_LIMIT];
    let mut parsed = httparse::Request::new(&mut storage);
    let len = match parsed.parse(bytes) {
        Ok(Status::Complete(len)) if len <= HEAD_LIMIT => len,
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Refusal::Version),
        Err(_) => return Err(Refusal::Malformed),
    };
    if has_bare_line_feed(bytes.get(..len).unwrap_or_default()) {
        return Err(Refusal::Malformed);
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::Malformed);
    };
    let method = Method::named(method).ok_or(Refusal::UnknownMethod)?;
    let (path, query) = split_target(target)?;
    let mut head = Head {
        method,
        path,
        query,
        http_1_0: version == 0,
        keep_alive: version != 0,
        content_length: 0,
        expects_continue: false,
        accepts_gzip: false,
        if_none_match: None,
        content_type: None,
        range: None,
        if_range: false,
        len,
    };
    read_headers(&mut head, parsed.headers)?;
    Ok(Some(head))
}

fn read_headers(head: &mut Head, headers: &[Header<'_>]) -> Result<(), Refusal> {
    let (mut hosts, mut lengths, mut transfer_encoding, mut close) = (0, 0, false, false);
    for header in headers {
        match header.name.to_ascii_lowercase().as_str() {
            "host" => {
                hosts += 1;
                let sound = text(header)?.bytes().all(|byte| byte.is_ascii_graphic() && !b"/@,?#\\".contains(&byte));
                if !sound {
                    return Err(Refusal::BadHost);
                }
            }
            "content-length" => {
                lengths += 1;
                head.content_length = body_length(text(header)?)?;
            }
            "transfer-encoding" => transfer_encoding = true,
            "connection" => {
                for token in text(header)?.split(',').map(str::trim) {
                    close |= token.eq_ignore_ascii_case("close");
                    head.keep_alive |= token.eq_ignore_ascii_case("keep-alive");
                }
            }
            "upgrade" => return Err(Refusal::Upgrade),
            "expect" if text(header)?.eq_ignore_ascii_case("100-continue") => head.expects_continue = !head.http_1_0,
            "expect" => return Err(Refusal::BadExpectation),
            "accept-encoding" => head.accepts_gzip |= names_gzip(text(header)?),
            "if-none-match" => head.if_none_match = Some(text(header)?.to_owned()),
            "content-type" => head.content_type = Some(text(header)?.to_owned()),
            "range" => head.range = Some(text(header)?.to_owned()),
            "if-range" => head.if_range = true,
            _ => {}
        }
    }
    head.keep_alive &= !close;
    if hosts > 1 || (hosts == 0 && !head.http_1_0) {
        return Err(Refusal::BadHost);
    }
    match (transfer_encoding, lengths) {
        (false, 0 | 1) => Ok(()),
        (true, 0) => Err(Refusal::LengthRequired),
        _ => Err(Refusal::AmbiguousLength),
    }
}

/// A line that ends in LF alone: some intermediaries see a line end there and some do not.
fn has_bare_line_feed(head: &[u8]) -> bool {
    let mut before = 0;
    for &byte in head {
        if byte == b'\n' && before != b'\r' {
            return true;
        }
        before = byte;
    }
    false
}

fn split_target(target: &str) -> Result<(String, String), Refusal> {
    let plain = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !plain {
        return Err(Refusal::BadTarget);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = percent::decode(path).ok_or(Refusal::BadTarget)?;
    Ok((path, query.to_owned()))
}

fn text<'a>(header: &Header<'a>) -> Result<&'a str, Refusal> {
    let text = std::str::from_utf8(header.value).map_err(|_| Refusal::NotAscii)?;
    if text.is_ascii() { Ok(text) } else { Err(Refusal::NotAscii) }
}

fn body_length(text: &str) -> Result<usize, Refusal> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::AmbiguousLength);
    }
    // Digits that overflow are a number too, and one that is too large.
    text.parse().ok().filter(|length| *length <= BODY_LIMIT).ok_or(Refusal::BodyTooLarge)
}

fn names_gzip(value: &str) -> bool {
    value.split(',').any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.bytes().all(|b| matches!(b, b'0' | b'.')));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests;
