//! The one form in which a request crosses to the workers: a parsed [`Head`] in, canonical bytes out, and back to a [`Request`].

use std::net::IpAddr;

use super::head::Head;
use super::percent;
use crate::web::http::{Method, Request};

const ID: &str = "X-Porthole-Id";
const WAITED: &str = "X-Porthole-Waited";
const ARRIVED: &str = "X-Porthole-Arrived";

/// What the gate knows of a request besides what was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// [`Request::id`]
    pub(super) id: u64,
    /// [`Request::waited`]
    pub(super) waited: bool,
    /// [`Request::arrived_at`]
    pub(super) arrived_at: Option<IpAddr>,
}

/// The gate's side: everything the routes need and nothing else that the stranger sent.
pub(super) fn encode(head: &Head, body: &[u8], known: Known) -> Vec<u8> {
    let path = percent::encode(&head.path);
    let mut text = format!("{} {path}", head.method.name());
    if !head.query.is_empty() {
        text.push('?');
        text.push_str(&head.query);
    }
    text.push_str(" HTTP/1.1\r\nConnection: close\r\n");
    let mut header = |name: &str, value: &str| {
        for piece in [name, ": ", value, "\r\n"] {
            text.push_str(piece);
        }
    };
    header(ID, &known.id.to_string());
    if known.waited {
        header(WAITED, "1");
    }
    if let Some(address) = known.arrived_at {
        header(ARRIVED, &address.to_string());
    }
    if head.accepts_gzip {
        header("Accept-Encoding", "gzip");
    }
    if let Some(tags) = &head.if_none_match {
        header("If-None-Match", tags);
    }
    if let Some(content_type) = &head.content_type {
        header("Content-Type", content_type);
    }
    if !body.is_empty() {
        header("Content-Length", &body.len().to_string());
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The workers' side. `None` when this is not what [`encode`] makes.
pub(in crate::web) fn decode<'a>(
    method: &str,
    target: &str,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: Vec<u8>,
) -> Option<Request> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: Method::named(method)?,
        path: percent::decode(path)?,
        query: query.to_owned(),
        accepts_gzip: false,
        if_none_match: None,
        content_type: None,
        body,
        arrived_at: None,
        waited: false,
        id: 0,
    };
    for (name, value) in headers {
        match name {
            ID => request.id = value.parse().ok()?,
            WAITED => request.waited = true,
            ARRIVED => request.arrived_at = Some(value.parse().ok()?),
            "Accept-Encoding" => request.accepts_gzip = true,
            "If-None-Match" => request.if_none_match = Some(value.to_owned()),
            "Content-Type" => request.content_type = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::web::gate::head;

    #[test]
    fn only_what_the_routes_need_crosses() {
        let sent = "POST /hls/a%20%41?q=%20 HTTP/1.1\r\nHost: evil\r\nX-Porthole-Waited: 1\r\nx-porthole-id: 9\r\n\
            x-porthole-arrived: 9.9.9.9\r\nCookie: c\r\nAccept-Encoding: br, gzip\r\n\
            Content-Type: application/sdp\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        let head = head::parse(sent.as_bytes()).unwrap().unwrap();
        let known = Known { id: 12, waited: false, arrived_at: Some(Ipv4Addr::LOCALHOST.into()) };
        assert_eq!(
            String::from_utf8(encode(&head, b"hi", known)).unwrap(),
            "POST /hls/a%20A?q=%20 HTTP/1.1\r\nConnection: close\r\nX-Porthole-Id: 12\r\n\
             X-Porthole-Arrived: 127.0.0.1\r\nAccept-Encoding: gzip\r\nContent-Type: application/sdp\r\n\
             Content-Length: 2\r\n\r\nhi"
        );
        let head = head::parse(b"GET / HTTP/1.0\r\nIf-None-Match: \"e\"\r\n\r\n").unwrap().unwrap();
        assert_eq!(
            String::from_utf8(encode(&head, b"", Known { id: 1, waited: true, arrived_at: None })).unwrap(),
            "GET / HTTP/1.1\r\nConnection: close\r\nX-Porthole-Id: 1\r\nX-Porthole-Waited: 1\r\nIf-None-Match: \"e\"\r\n\r\n"
        );
    }

    #[test]
    fn the_worker_reads_back_what_the_gate_wrote() {
        let headers = [
            ("Connection", "close"),
            (ID, "7"),
            (WAITED, "1"),
            (ARRIVED, "fd00::1"),
            ("Accept-Encoding", "gzip"),
            ("Content-Type", "t"),
        ];
        let request = decode("PUT", "/a%20b?x=%2F", headers.into_iter(), b"body".to_vec()).unwrap();
        assert_eq!((request.method, request.path.as_str(), request.query.as_str()), (Method::Put, "/a b", "x=%2F"));
        assert_eq!((request.id, request.waited, request.accepts_gzip), (7, true, true));
        assert_eq!(request.arrived_at, Some("fd00::1".parse().unwrap()));
        assert_eq!(
            (request.content_type.as_deref(), request.if_none_match, request.body),
            (Some("t"), None, b"body".to_vec())
        );
        assert!(decode("BREW", "/", std::iter::empty(), Vec::new()).is_none());
        assert!(decode("GET", "/", [(ARRIVED, "here")].into_iter(), Vec::new()).is_none());
        assert!(decode("GET", "/%zz", std::iter::empty(), Vec::new()).is_none());
    }
}
