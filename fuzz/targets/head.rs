//! The gate's head parser, and the one form in which a request crosses to the workers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use porthole::web::gate::fuzzing::{BODY_LIMIT, HEAD_LIMIT, encode, on_worker, read_head};

fuzz_target!(|bytes: &[u8]| {
    let body = b"GET / HTTP/1.1\r\n\r\n";
    let head = match read_head(bytes, body) {
        Ok(Some(head)) => head,
        Ok(None) => return assert!(bytes.len() < HEAD_LIMIT, "waits for more than it takes"),
        Err(sentence) => return assert!(!sentence.is_empty() && !sentence.contains(char::is_control)),
    };
    assert!(head.len <= bytes.len() && head.len <= HEAD_LIMIT && head.content_length <= BODY_LIMIT);
    assert!(bytes[..head.len].ends_with(b"\r\n\r\n"));
    assert!(head.path.starts_with('/') && !head.path.contains(|c: char| c.is_ascii_control()), "{:?}", head.path);
    assert!(head.query.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", head.query);
    // What follows a head does not change it, and without its last byte it is none yet.
    let alone = read_head(&bytes[..head.len], body).expect("the same head").expect("complete");
    assert_eq!(alone, head);
    assert_eq!(read_head(&bytes[..head.len - 1], body), Ok(None));

    // The workers see one request with this body, not two, and the same path and query.
    let canonical = head.canonical;
    assert!(canonical.len() <= 3 * HEAD_LIMIT + body.len() + 512, "{} bytes", canonical.len());
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    let len = request.parse(&canonical).expect("well-formed").unwrap();
    assert_eq!(&canonical[len..], body);
    let text = |header: &httparse::Header<'_>| String::from_utf8(header.value.to_vec()).expect("ASCII");
    let headers: Vec<_> = request.headers.iter().map(|header| (header.name.to_owned(), text(header))).collect();
    let lengths: Vec<_> = headers.iter().filter(|(name, _)| name == "Content-Length").map(|(_, value)| value).collect();
    assert_eq!(lengths, ["18"]);
    let (method, target) = (request.method.unwrap(), request.path.unwrap());
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = on_worker(method, target, pairs, body.to_vec()).expect("the worker reads what the gate wrote");
    assert_eq!((&request.path, &request.query, request.id, request.waited), (&head.path, &head.query, 7, false));
    assert_eq!(target.split('?').next(), Some(encode(&head.path).as_str()));
});
