use super::*;

fn ok(text: &str) -> Head {
    parse(text.as_bytes()).unwrap().unwrap()
}

fn refused(lines: &str) -> Refusal {
    parse(format!("{lines}\r\n\r\n").as_bytes()).unwrap_err()
}

#[test]
fn a_browsers_head_is_read_whole() {
    let text = "GET /hls/a%20b/index.m3u8?x=1&y=%2F HTTP/1.1\r\nHost: 10.0.0.2:8107\r\nUser-Agent: caf\u{e9}\r\n\
        Accept-Encoding: deflate, gzip;q=0.5\r\nIf-None-Match: \"abc\"\r\nRange: bytes=0-9\r\n\r\nrest";
    let head = ok(text);
    assert_eq!(
        (head.method, head.path.as_str(), head.query.as_str()),
        (Method::Get, "/hls/a b/index.m3u8", "x=1&y=%2F")
    );
    assert_eq!((head.http_1_0, head.keep_alive, head.accepts_gzip), (false, true, true));
    assert_eq!((head.if_none_match.as_deref(), head.range.as_deref()), (Some("\"abc\""), Some("bytes=0-9")));
    assert_eq!(head.len, text.len() - 4);
}

#[test]
fn every_prefix_of_a_head_is_incomplete_not_wrong() {
    let text = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    for end in 0..text.len() {
        assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "{end}");
    }
    assert_eq!(ok(text).content_length, 3);
}

#[test]
fn keep_alive_follows_the_version_and_the_connection_header() {
    assert!(ok("GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
    assert!(!ok("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n").keep_alive);
    assert!(!ok("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    assert!(!ok("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert!(ok("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
}

#[test]
fn lengths_that_can_be_read_two_ways_are_refused() {
    let post = |headers: &str| refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}"));
    assert_eq!(post("Content-Length: 3\r\nTransfer-Encoding: chunked"), Refusal::AmbiguousLength);
    assert_eq!(post("Transfer-Encoding: chunked\r\nContent-Length: 3"), Refusal::AmbiguousLength);
    assert_eq!(post("Content-Length: 3\r\nContent-Length: 3"), Refusal::AmbiguousLength);
    for bad in ["", "-1", "+3", "3 3", "3, 3", "0x10", "1e3", "3;"] {
        assert_eq!(post(&format!("Content-Length: {bad}")), Refusal::AmbiguousLength, "{bad:?}");
    }
    for large in ["65537", "9000000000000000000", "18446744073709551615", "99999999999999999999999999"] {
        assert_eq!(post(&format!("Content-Length: {large}")), Refusal::BodyTooLarge, "{large}");
    }
    assert_eq!(post("Transfer-Encoding: chunked"), Refusal::LengthRequired);
    assert_eq!(post("Transfer-Encoding: identity"), Refusal::LengthRequired);
}

#[test]
fn folding_bare_line_feeds_and_odd_header_lines_are_refused() {
    for bad in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b",
        "GET / HTTP/1.1\r\nHost: a\r\n: b",
        "GET / HTTP/1.1\r\nHost: a\nX: b",
        "GET / HTTP/1.1\nHost: a",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb",
        "GET /\r\nHost: a",
        "\u{16}\u{3}\u{1}",
    ] {
        assert_eq!(refused(bad), Refusal::Malformed, "{bad:?}");
    }
}

#[test]
fn targets_other_than_a_path_are_refused() {
    for bad in ["http://a/", "*", "a", "/a#b", "/%zz", "/a%2Fb", "/%0a", "//%00", "/%ff"] {
        let method = if bad == "*" { "OPTIONS" } else { "GET" };
        assert_eq!(refused(&format!("{method} {bad} HTTP/1.1\r\nHost: a")), Refusal::BadTarget, "{bad:?}");
    }
    let not_ascii = parse("GET /caf\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes()).unwrap_err();
    assert!(matches!(not_ascii, Refusal::BadTarget | Refusal::Malformed));
}

#[test]
fn hosts_methods_versions_upgrades_and_expectations_have_their_rules() {
    assert_eq!(refused("GET / HTTP/1.1\r\nX: y"), Refusal::BadHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a"), Refusal::BadHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a b"), Refusal::BadHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: u@a"), Refusal::BadHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: caf\u{e9}"), Refusal::NotAscii);
    assert_eq!(refused("CONNECT /a HTTP/1.1\r\nHost: a"), Refusal::UnknownMethod);
    assert_eq!(refused("get / HTTP/1.1\r\nHost: a"), Refusal::UnknownMethod);
    assert_eq!(refused("GET / HTTP/2.0\r\nHost: a"), Refusal::Version);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket"), Refusal::Upgrade);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok"), Refusal::BadExpectation);
    assert!(ok("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n").expects_continue);
}

#[test]
fn heads_are_bounded_in_bytes_and_lines() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(HEAD_LIMIT));
    assert_eq!(parse(&long.as_bytes()[..HEAD_LIMIT]), Err(Refusal::HeadTooLarge));
    assert_eq!(parse(&long.as_bytes()[..HEAD_LIMIT - 1]), Ok(None));
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a{}", "\r\nX: y".repeat(64))), Refusal::HeadTooLarge);
    assert_eq!(parse("\r\n".repeat(HEAD_LIMIT / 2).as_bytes()), Err(Refusal::HeadTooLarge));
}

#[test]
fn gzip_needs_a_quality_above_zero() {
    for (value, accepted) in
        [("gzip", true), ("GZIP ; q=1", true), ("br,gzip;q=0.001", true), ("gzip;q=0", false), ("gzip; q=0.0", false)]
    {
        assert_eq!(names_gzip(value), accepted, "{value}");
    }
    assert!(!names_gzip("x-gzip, deflate, *"));
}

#[test]
fn random_and_mutated_bytes_never_panic() {
    let good = b"POST /hls/a%20b?q HTTP/1.1\r\nHost: a:1\r\nContent-Length: 12\r\nRange: bytes=1-\r\nExpect: 100-continue\r\n\r\n";
    let mut random = fastrand::Rng::with_seed(3);
    let mut outcomes = [0_u32; 3];
    for round in 0..20_000 {
        let bytes: Vec<u8> = if round % 2 == 0 {
            (0..random.usize(..300)).map(|_| random.u8(..)).collect()
        } else {
            let mut bytes = good.to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(1..=2 * good.len()));
            bytes
        };
        match parse(&bytes) {
            Ok(None) => outcomes[0] += 1,
            Ok(Some(head)) => {
                assert!(head.path.starts_with('/') && head.len <= bytes.len() && head.content_length <= BODY_LIMIT);
                outcomes[1] += 1;
            }
            Err(_) => outcomes[2] += 1,
        }
    }
    assert!(outcomes.iter().all(|count| *count > 100), "the mutations reach every outcome: {outcomes:?}");
}
