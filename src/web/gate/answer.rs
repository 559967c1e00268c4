//! The form in which an answer crosses back from the workers, and the head that the client gets: [`Response`] in, bytes out, and
//! [`Answer`] back; a segment or a camera to wait for is named in a header, the X-Accel way.

use httparse::{EMPTY_HEADER, Status};

use crate::media::StreamId;
use crate::web::http::{Response, Until};

/// Longest head of an answer, bytes.
pub(super) const ANSWER_HEAD_LIMIT: usize = 16 * 1024;
const HEADER_COUNT_LIMIT: usize = 64;
const SEGMENT: &str = "X-Porthole-Segment";
const WAIT: &str = "X-Porthole-Wait";

/// What the workers decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The body that follows the head.
    Body,
    /// This segment's bytes.
    Segment(StreamId, String),
    /// Wake this camera, wait until it has this, ask again.
    WaitFor(StreamId, Until),
}

/// The head of a worker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    pub(super) status: u16,
    /// Header lines for the client, each with CRLF.
    pub(super) headers: Vec<u8>,
    /// Content-Length, bytes (for HEAD no body follows).
    pub(super) length: usize,
    /// Bytes of this head, blank line included.
    pub(super) head_len: usize,
}

/// The workers' side: the head, and the body, which is empty for HEAD (`body_follows`).
pub(in crate::web) fn encode(response: Response, body_follows: bool) -> (Vec<u8>, Vec<u8>) {
    let (status, headers, body, internal) = match response {
        Response::Full { status, headers, body } => (status, headers, body, None),
        Response::Segment { stream, file_name, headers } => {
            (200, headers, Vec::new(), Some((SEGMENT, format!("{stream} {file_name}"))))
        }
        Response::WaitFor { stream, until } => {
            (200, Vec::new(), Vec::new(), Some((WAIT, format!("{stream} {}", word(until)))))
        }
        // The worker asks; by now nobody can.
        Response::Ask(_) => {
            log::error!("a route's question to the media thread was not asked");
            (500, Vec::new(), Vec::new(), None)
        }
    };
    let mut lines = Vec::new();
    for (name, value) in headers.iter().chain(&internal) {
        // A value that breaks the line would let whoever chose it write headers.
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            log::error!("a route set the header {name} to a value with control characters; it is left out");
            continue;
        }
        line(&mut lines, name, value);
    }
    let mut bytes = client_head(status, &lines, Some(body.len()));
    bytes.extend_from_slice(b"\r\n");
    (bytes, if body_follows { body } else { Vec::new() })
}

/// The gate's side: `None` while the head is incomplete, `Err` when it is not an answer.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<Answer>, Unreadable> {
    let mut storage = [EMPTY_HEADER; HEADER_COUNT_LIMIT];
    let mut parsed = httparse::Response::new(&mut storage);
    let head_len = match parsed.parse(bytes) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if bytes.len() < ANSWER_HEAD_LIMIT => return Ok(None),
        Ok(Status::Partial) | Err(_) => return Err(Unreadable),
    };
    let mut answer = Answer {
        decision: Decision::Body,
        status: parsed.code.ok_or(Unreadable)?,
        headers: Vec::new(),
        length: 0,
        head_len,
    };
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| Unreadable)?;
        match header.name {
            "Content-Length" => answer.length = value.parse().map_err(|_| Unreadable)?,
            SEGMENT => {
                let (stream, file_name) = value.split_once(' ').ok_or(Unreadable)?;
                let stream = StreamId::parse(stream).map_err(|_| Unreadable)?;
                answer.decision = Decision::Segment(stream, file_name.to_owned());
            }
            WAIT => {
                let (stream, until) = value.split_once(' ').ok_or(Unreadable)?;
                let stream = StreamId::parse(stream).map_err(|_| Unreadable)?;
                let until = [Until::Playlist, Until::Pictures].into_iter().find(|known| word(*known) == until);
                answer.decision = Decision::WaitFor(stream, until.ok_or(Unreadable)?);
            }
            name => line(&mut answer.headers, name, value),
        }
    }
    Ok(Some(answer))
}

const fn word(until: Until) -> &'static str {
    match until {
        Until::Playlist => "playlist",
        Until::Pictures => "pictures",
    }
}

/// The workers sent something that is not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Status line, header lines and Content-Length, without the blank line at the end. RFC 9110 section 8.6: 204 never carries a
/// length, and 304 would have to carry that of the 200 answer.
pub(super) fn client_head(status: u16, headers: &[u8], length: Option<usize>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
    bytes.extend_from_slice(headers);
    if let Some(length) = length.filter(|_| has_body(status)) {
        line(&mut bytes, "Content-Length", &length.to_string());
    }
    bytes
}

/// False for the statuses that never have a body.
pub(super) fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

/// Adds one header line.
pub(super) fn line(bytes: &mut Vec<u8>, name: &str, value: &str) {
    for piece in [name, ": ", value, "\r\n"] {
        bytes.extend_from_slice(piece.as_bytes());
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::SessionId;
    use crate::web::http::Ask;

    fn full(status: u16, body: &[u8]) -> Response {
        Response::Full { status, headers: vec![("Content-Type", "text/plain".into())], body: body.to_vec() }
    }

    #[test]
    fn answers_carry_their_length_and_head_answers_keep_it() {
        let text = |response, body_follows| {
            let (head, body) = encode(response, body_follows);
            String::from_utf8([head, body].concat()).unwrap()
        };
        assert_eq!(
            text(full(200, b"hi"), true),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert_eq!(
            text(full(200, b"hi"), false),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n"
        );
        assert_eq!(text(full(304, b""), true), "HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain\r\n\r\n");
    }

    #[test]
    fn a_header_value_cannot_break_its_line() {
        let headers = vec![("Location", "/\r\nX-Porthole-Segment: a b".to_owned())];
        let (head, _) = encode(Response::Full { status: 200, headers, body: Vec::new() }, true);
        assert_eq!(head, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn the_gate_reads_back_every_kind_of_answer() {
        let stream = StreamId::parse("cam-1").unwrap();
        let answer = decode(&encode(full(201, b"hello"), true).0).unwrap().unwrap();
        assert_eq!((answer.decision, answer.status, answer.length), (Decision::Body, 201, 5));
        assert_eq!((answer.headers, answer.head_len), (b"Content-Type: text/plain\r\n".to_vec(), 69));

        let segment =
            Response::Segment { stream, file_name: "k_main_seg8.ts".into(), headers: vec![("A", "b".into())] };
        let answer = decode(&encode(segment, true).0).unwrap().unwrap();
        assert_eq!(answer.decision, Decision::Segment(stream, "k_main_seg8.ts".into()));
        assert_eq!(answer.headers, b"A: b\r\n");

        let ask = Ask::HangUp { camera: Some(stream), session: SessionId::new(1) };
        let answer = decode(&encode(Response::Ask(ask), true).0).unwrap().unwrap();
        assert_eq!((answer.decision, answer.status), (Decision::Body, 500));

        for until in [Until::Playlist, Until::Pictures] {
            let answer = decode(&encode(Response::WaitFor { stream, until }, true).0).unwrap().unwrap();
            assert_eq!(answer.decision, Decision::WaitFor(stream, until));
        }
    }

    #[test]
    fn unreadable_answers_are_refused_and_incomplete_ones_waited_for() {
        assert_eq!(decode(b"HTTP/1.1 200 OK\r\nContent-"), Ok(None));
        for bad in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Porthole-Wait: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Porthole-Wait: a b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Porthole-Wait: a! pictures\r\n\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(Unreadable), "{bad}");
        }
        assert_eq!(decode(&[b'x'; ANSWER_HEAD_LIMIT]), Err(Unreadable));
    }
}
