use std::collections::{BTreeMap, BTreeSet};

use super::super::fixture::{get, header, parts, snapshot};
use super::*;
use crate::web::routes::{RouteSettings, respond};

const GATE: [Sample; 3] = [
    Sample {
        name: "porthole_gate_refused_total",
        help: "Requests refused.",
        kind: Counter,
        label: Some(("rule", "slow")),
        value: 4,
    },
    Sample {
        name: "porthole_gate_refused_total",
        help: "Requests refused.",
        kind: Counter,
        label: Some(("rule", "full")),
        value: 5,
    },
    Sample { name: "porthole_gate_connections", help: "Connections now.", kind: Gauge, label: None, value: 2 },
];

#[test]
fn the_document_is_what_prometheus_reads() {
    let answer = respond(&get("/metrics"), &snapshot(), &GATE, &RouteSettings::default());
    let (status, headers, body) = parts(answer);
    assert_eq!(status, 200);
    assert_eq!(header(&headers, "content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let samples = parse(std::str::from_utf8(&body).unwrap());
    for (series, value) in [
        (r#"porthole_build_info{version="0.1.0",board="generic"}"#, "1"),
        ("porthole_uptime_seconds", "3600"),
        ("porthole_tmpfs_limit_bytes", "40000000"),
        (r#"porthole_camera_info{camera="gate",name="Gate \"A\"\\north"}"#, "1"),
        (r#"porthole_camera_state{camera="yard",state="streaming"}"#, "1"),
        (r#"porthole_camera_state{camera="yard",state="waiting"}"#, "0"),
        (r#"porthole_camera_receive_bytes_per_second{camera="yard"}"#, "500000"),
        (r#"porthole_camera_last_key_frame_age_seconds{camera="yard"}"#, "0.5"),
        (r#"porthole_camera_access_units_total{camera="yard"}"#, "720"),
        (r#"porthole_hls_access_units_total{camera="yard"}"#, "700"),
        (r#"porthole_hls_errors_total{camera="yard"}"#, "2"),
        ("porthole_webrtc_sessions", "2"),
        ("porthole_webrtc_sessions_limit", "16"),
        ("porthole_webrtc_sessions_total", "41"),
        ("porthole_webrtc_refused_total", "42"),
        ("porthole_webrtc_vanished_total", "43"),
        ("porthole_webrtc_sent_packets_total", "44"),
        ("porthole_webrtc_sent_bytes_total", "45"),
        ("porthole_webrtc_nacks_total", "46"),
        ("porthole_webrtc_key_frame_requests_total", "47"),
        ("porthole_webrtc_skips_total", "48"),
        ("porthole_webrtc_stray_datagrams_total", "49"),
        ("porthole_webrtc_unsent_datagrams_total", "50"),
        (r#"porthole_webrtc_viewers{camera="yard"}"#, "2"),
        (r#"porthole_webrtc_viewers_limit{camera="yard"}"#, "8"),
        (r#"porthole_webrtc_gop_bytes{camera="yard"}"#, "1000000"),
        (r#"porthole_webrtc_gop_overflows_total{camera="yard"}"#, "1"),
        (r#"porthole_webrtc_viewers{camera="gate"}"#, "0"),
        (r#"porthole_gate_refused_total{rule="slow"}"#, "4"),
        (r#"porthole_gate_refused_total{rule="full"}"#, "5"),
        ("porthole_gate_connections", "2"),
    ] {
        assert_eq!(samples.get(series).map(String::as_str), Some(value), "{series}");
    }
    assert_eq!(samples.get(r#"porthole_camera_frames_per_second{camera="gate"}"#), None, "unknown is absent, not 0");
}

#[test]
fn with_webrtc_off_there_is_nothing_of_it() {
    let off = super::super::fixture::webrtc_off();
    assert_eq!(parse(&render(&off, &[])).keys().find(|series| series.contains("webrtc")), None);
}

#[test]
fn a_value_that_is_no_number_is_left_out() {
    let mut camera = super::super::fixture::yard();
    camera.last_key_frame_age = Some(f64::INFINITY);
    let samples = parse(&render(&super::super::fixture::only(camera), &[]));
    assert_eq!(samples.get(r#"porthole_camera_last_key_frame_age_seconds{camera="yard"}"#), None);
    assert!(samples.contains_key(r#"porthole_camera_frames_per_second{camera="yard"}"#));
}

#[test]
fn a_line_feed_in_a_name_stays_in_its_label() {
    let mut camera = super::super::fixture::yard();
    camera.name = "a\nb".to_owned();
    assert!(
        parse(&render(&super::super::fixture::only(camera), &[]))
            .contains_key(r#"porthole_camera_info{camera="yard",name="a\nb"}"#)
    );
}

/// Reads the text as strictly as `promtool check metrics`: every family has HELP then TYPE, then all its samples
/// together; names, labels and values are well formed; no series twice; counters, and only they, end in `_total`;
/// units are base units.
fn parse(text: &str) -> BTreeMap<String, String> {
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind, mut typed) = (String::new(), String::new(), false);
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, sentence) = help.split_once(' ').expect("HELP has a name and a text");
            assert!(is_name(name), "{name}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            assert!(sentence.ends_with('.') && !sentence.contains('\\'), "{sentence}");
            for unit in ["bits", "kilobytes", "milliseconds", "minutes", "percent"] {
                assert!(!name.split('_').any(|word| word == unit), "{name} is not in base units");
            }
            (family, typed) = (name.to_owned(), false);
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, word) = declared.split_once(' ').expect("TYPE has a name and a kind");
            assert_eq!((name, typed), (family.as_str(), false), "TYPE follows its HELP");
            assert!(["counter", "gauge"].contains(&word), "{word}");
            assert_eq!(word == "counter", name.ends_with("_total"), "{name} is a {word}");
            (kind, typed) = (word.to_owned(), true);
        } else {
            assert!(typed, "{line}: a sample before its TYPE");
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let (name, labels) = series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
            assert_eq!(name, family, "samples of one family stand together");
            if let Some(labels) = labels {
                check_labels(labels.strip_suffix('}').expect("labels end"));
            }
            let number: f64 = value.parse().expect("a number");
            assert!(number.is_finite() && (kind == "gauge" || number >= 0.0), "{line}");
            assert!(samples.insert(series.to_owned(), value.to_owned()).is_none(), "{series} comes twice");
        }
    }
    samples
}

fn check_labels(mut labels: &str) {
    let mut names = BTreeSet::new();
    loop {
        let (name, rest) = labels.split_once("=\"").expect("a label has a quoted value");
        assert!(is_name(name) && !name.contains(':') && names.insert(name.to_owned()), "label {name}");
        let mut end = None;
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{rest}: unknown escape"),
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let rest = rest.get(end.expect("a label's value ends") + 1..).unwrap();
        match rest.strip_prefix(',') {
            Some(more) => labels = more,
            None => return assert_eq!(rest, ""),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}
