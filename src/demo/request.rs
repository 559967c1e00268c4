//! RTSP requests: bytes of a client in, one request or interleaved packet at a time out. RFC 2326 sections 6 and 10.12.

use super::Method;

/// Most bytes of a request's head, and of its body.
pub(super) const HEAD_LIMIT: usize = 8 * 1024;
const BODY_LIMIT: usize = 4 * 1024;
/// Most bytes that one request or interleaved packet can need.
pub(super) const INPUT_LIMIT: usize = 4 + 65_535;

/// What the front of a client's bytes is, and how long.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input<'a> {
    /// More bytes are needed.
    Incomplete,
    /// An RTP or RTCP packet of the client, not looked at.
    Interleaved {
        len: usize,
    },
    Request {
        request: Request<'a>,
        len: usize,
    },
    /// Not RTSP, or more than the limits allow: answer 400 and close.
    Bad,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// `None`: a method that the camera does not know (501).
    pub(super) method: Option<Method>,
    pub(super) method_name: &'a str,
    pub(super) url: &'a str,
    head: &'a str,
}

impl<'a> Request<'a> {
    /// The first header of this name, any case, trimmed.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The URL from its path on: `/demo?x=1`. Empty for `*` and URLs without a path.
    pub(super) fn path(&self) -> &'a str {
        match self.url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
            None if self.url.starts_with('/') => self.url,
            None => "",
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Input<'_> {
    if let Some(rest) = bytes.strip_prefix(b"$") {
        let &[_, high, low, ..] = rest else { return Input::Incomplete };
        let len = 4 + usize::from(u16::from_be_bytes([high, low]));
        return if bytes.len() < len { Input::Incomplete } else { Input::Interleaved { len } };
    }
    let Some(head_len) = bytes.windows(4).take(HEAD_LIMIT).position(|window| window == b"\r\n\r\n") else {
        // A first line that cannot become RTSP is refused at once instead of at the limit.
        let printable = bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b'\t' | 0x20..=0x7E | 0x80..));
        return if bytes.len() < HEAD_LIMIT && printable { Input::Incomplete } else { Input::Bad };
    };
    let Ok(text) = std::str::from_utf8(&bytes[..head_len]) else { return Input::Bad };
    let (line, head) = text.split_once("\r\n").unwrap_or((text, ""));
    let mut words = line.split(' ');
    let (Some(name), Some(url), Some("RTSP/1.0"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Input::Bad;
    };
    if url.chars().any(char::is_control) || head.contains('\0') {
        return Input::Bad;
    }
    let request = Request { method: method(name), method_name: name, url, head };
    let body_len = match request.header("Content-Length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(len)) if len <= BODY_LIMIT => len,
        Some(_) => return Input::Bad,
    };
    let len = head_len + 4 + body_len;
    if bytes.len() < len { Input::Incomplete } else { Input::Request { request, len } }
}

fn method(name: &str) -> Option<Method> {
    Some(match name {
        "OPTIONS" => Method::Options,
        "DESCRIBE" => Method::Describe,
        "SETUP" => Method::Setup,
        "PLAY" => Method::Play,
        "PAUSE" => Method::Pause,
        "GET_PARAMETER" => Method::GetParameter,
        "SET_PARAMETER" => Method::SetParameter,
        "TEARDOWN" => Method::Teardown,
        _ => return None,
    })
}

/// What a client may ask of its transport (RFC 2326 section 12.39).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Channels of RTP and RTCP, as asked for.
    Tcp(Option<[u8; 2]>),
    /// The client's ports of RTP and RTCP.
    Udp([u16; 2]),
}

/// The transports of a `Transport` header that could be served, in the client's order. Multicast is none of them.
pub(super) fn transports(header: &str) -> impl Iterator<Item = Transport> {
    header.split(',').filter_map(|choice| {
        let mut parts = choice.split(';').map(str::trim);
        let profile = parts.next()?;
        let parts: Vec<&str> = parts.collect();
        if parts.contains(&"multicast") {
            return None;
        }
        let value = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        match profile {
            "RTP/AVP/TCP" => Some(Transport::Tcp(value("interleaved").and_then(pair))),
            "RTP/AVP" | "RTP/AVP/UDP" => value("client_port").and_then(pair).map(Transport::Udp),
            _ => None,
        }
    })
}

/// `4-5`, or `4`, which means the same.
fn pair<T: TryFrom<u32>>(text: &str) -> Option<[T; 2]> {
    let (first, second) = text.split_once('-').map_or((text, None), |(first, second)| (first, Some(second)));
    let first: u32 = first.parse().ok()?;
    let second = match second {
        Some(second) => second.parse().ok()?,
        None => first.checked_add(1)?,
    };
    Some([T::try_from(first).ok()?, T::try_from(second).ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requests_one_after_the_other() {
        let bytes = b"SETUP rtsp://cam:554/demo/trackID=0 RTSP/1.0\r\nCSeq: 3\r\ntransport:  RTP/AVP/TCP \r\n\r\n$rest";
        let Input::Request { request, len } = parse(bytes) else { panic!("no request") };
        assert_eq!((request.method, request.path()), (Some(Method::Setup), "/demo/trackID=0"));
        assert_eq!((request.header("CSEQ"), request.header("Transport")), (Some("3"), Some("RTP/AVP/TCP")));
        assert_eq!((request.header("Session"), &bytes[len..]), (None, &b"$rest"[..]));
        for shorter in 0..len {
            assert_eq!(parse(&bytes[..shorter]), Input::Incomplete, "{shorter} bytes");
        }
    }

    #[test]
    fn skips_bodies_and_interleaved_packets() {
        let bytes = b"SET_PARAMETER * RTSP/1.0\r\nContent-Length: 4\r\n\r\nbody";
        assert!(matches!(parse(bytes), Input::Request { len: 51, .. }));
        assert_eq!(parse(&bytes[..50]), Input::Incomplete);
        assert_eq!(parse(b"$\x01\x00\x02ab"), Input::Interleaved { len: 6 });
        assert_eq!(parse(b"$\x01\xFF\xFFab"), Input::Incomplete);
    }

    #[test]
    fn refuses_what_is_not_rtsp_or_too_much() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"OPTIONS *\r\n\r\n",
            b"OPTIONS  * RTSP/1.0\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"OPTIONS * RTSP/1.0\r\nContent-Length: 4097\r\n\r\n",
            b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
            b"OPTIONS * RTSP/1.0\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            b"OPTIONS \xFF RTSP/1.0\r\n\r\n",
            &[b'A'; HEAD_LIMIT],
        ] {
            assert_eq!(parse(bytes), Input::Bad, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(parse(&[b'A'; HEAD_LIMIT - 1]), Input::Incomplete);
    }

    #[test]
    fn takes_the_transports_it_could_serve_in_order() {
        let of = |header| transports(header).collect::<Vec<_>>();
        assert_eq!(
            of("RTP/AVP;multicast;client_port=1-2, RTP/AVP/TCP;unicast;interleaved=2-3,RTP/AVP;client_port=5000-5001"),
            [Transport::Tcp(Some([2, 3])), Transport::Udp([5000, 5001])]
        );
        assert_eq!(of("RTP/AVP/TCP;interleaved=300-301"), [Transport::Tcp(None)]);
        assert_eq!(of("RTP/AVP;client_port=65535"), []);
        assert_eq!(of("RTP/SAVP;client_port=1-2"), []);
        assert_eq!(of(""), []);
    }
}
