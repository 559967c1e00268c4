use std::collections::BTreeSet;

use serde_json::Value;

use super::super::fixture::{get, header, parts, snapshot};
use super::*;
use crate::control::CameraState;
use crate::web::routes::{RouteSettings, respond};

fn ask(path: &str, gzip: bool, if_none_match: Option<&str>) -> (u16, Headers, Vec<u8>) {
    let request = Request { accepts_gzip: gzip, if_none_match: if_none_match.map(str::to_owned), ..get(path) };
    parts(respond(&request, &snapshot(), &[], &RouteSettings::default()))
}

fn content(name: &str) -> String {
    let file = FILES.iter().find(|file| file.name == name).unwrap();
    let mut text = String::new();
    GzDecoder::new(file.gzip).read_to_string(&mut text).unwrap();
    text
}

/// The page's own modules.
fn modules() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.name).filter(|name| name.ends_with(".js") && *name != "hls.min.js")
}

#[test]
fn the_page_is_asked_for_anew_and_may_load_nothing_from_elsewhere() {
    let (status, headers, body) = ask("/", false, None);
    assert_eq!(status, 200);
    assert_eq!(header(&headers, "content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(header(&headers, "cache-control"), Some("no-cache"));
    let policy = header(&headers, "content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:;"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8(body).unwrap();
    assert!(!html.contains("{{") && !html.contains("http://") && !html.contains("https://"), "{html}");
    assert!(!html.contains("style=") && !html.contains("<style") && !html.contains("onclick"), "the policy forbids it");
}

#[test]
fn everything_the_page_names_is_there_and_immutable() {
    let html = content("index.html");
    let links = html.split('"').filter(|text| text.starts_with("assets/")).collect::<BTreeSet<_>>();
    assert!(links.len() >= 7, "{links:?}");
    for link in links {
        let (status, headers, _) = ask(&format!("/{link}"), true, None);
        assert_eq!(status, 200, "{link}");
        assert_eq!(header(&headers, "cache-control"), Some("public, max-age=31536000, immutable"));
    }
    for module in modules() {
        for import in content(module).split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(asset(REVISION, import).is_some(), "{module} imports {import}");
            assert!(html.contains(&format!("/{import}\">")), "{import} is not fetched ahead");
        }
    }
}

#[test]
fn a_file_that_did_not_change_is_304() {
    for path in ["/".to_owned(), format!("/assets/{REVISION}/app.js"), "/favicon.svg".to_owned()] {
        let (_, plain, _) = ask(&path, false, None);
        let (_, packed, _) = ask(&path, true, None);
        let (plain, packed) = (header(&plain, "etag").unwrap(), header(&packed, "etag").unwrap());
        assert_ne!(plain, packed, "each coding has its own tag");
        for tags in [packed.to_owned(), format!("W/{packed}"), format!("\"other\", {packed}"), "*".to_owned()] {
            let (status, headers, body) = ask(&path, true, Some(&tags));
            assert_eq!((status, body.len()), (304, 0), "{path} {tags}");
            assert_eq!(header(&headers, "etag"), Some(packed));
            assert_eq!(header(&headers, "vary"), Some("Accept-Encoding"));
        }
        for tags in [plain, "\"other\"", "", ",,", "W/"] {
            assert_eq!(ask(&path, true, Some(tags)).0, 200, "{path} {tags}");
        }
    }
}

#[test]
fn a_client_without_gzip_gets_the_same_bytes() {
    for file in &FILES[1..] {
        let path = format!("/assets/{REVISION}/{}", file.name);
        let (_, headers, packed) = ask(&path, true, None);
        assert_eq!(header(&headers, "content-encoding"), Some("gzip"));
        let (_, headers, plain) = ask(&path, false, None);
        assert_eq!((header(&headers, "content-encoding"), plain.len()), (None, file.len));
        let mut unpacked = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain, "{path}");
    }
}

fn strings() -> Value {
    let text = content("strings.js");
    let json = text.strip_prefix("export default ").and_then(|text| text.strip_suffix(";\n")).unwrap();
    serde_json::from_str(json).unwrap()
}

/// Every text of a language by its path, e.g. `fault.password_refused.what`, with the names of its values.
fn texts(path: &str, value: &Value, found: &mut BTreeSet<(String, BTreeSet<String>)>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| texts(&format!("{path}.{key}"), value, found)),
        Value::String(text) => {
            assert!(!text.trim().is_empty(), "{path} is empty");
            let values = text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect();
            assert!(found.insert((path.to_owned(), values)));
        }
        other => panic!("{path} is not a text: {other}"),
    }
}

#[test]
fn every_text_exists_in_english_and_korean_with_the_same_values() {
    let strings = strings();
    let [mut english, mut korean] = [BTreeSet::new(), BTreeSet::new()];
    texts("", &strings["en"], &mut english);
    texts("", &strings["ko"], &mut korean);
    assert_eq!(english.symmetric_difference(&korean).collect::<Vec<_>>(), Vec::<&(String, _)>::new());
    assert_eq!(strings.as_object().unwrap().len(), 2);
    for (key, fault) in strings["en"]["fault"].as_object().unwrap() {
        assert!(fault["what"].is_string() && fault["fix"].is_string(), "{key} says what is wrong and what to do");
    }
}

/// The faults of other folders, by code, with the source file that names their values.
fn fault_codes() -> Vec<(String, String)> {
    let mut codes = Vec::new();
    for folder in ["ingest", "segment", "hls"] {
        for entry in std::fs::read_dir(format!("{}/src/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
            let source = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            for body in source.split("fn code(&self) -> &'static str {").skip(1) {
                let body = body.split("\n    }\n").next().unwrap();
                codes.extend(body.split('"').skip(1).step_by(2).map(|code| (code.to_owned(), source.clone())));
            }
        }
    }
    codes
}

#[test]
fn every_fault_of_the_other_folders_is_translated_with_values_it_has() {
    let strings = strings();
    for (code, source) in fault_codes() {
        let fault = &strings["en"]["fault"][&code];
        assert!(fault.is_object(), "{code} has no words on the page: add them to ui/strings.js");
        let mut found = BTreeSet::new();
        texts(&code, fault, &mut found);
        for value in found.iter().flat_map(|(_, values)| values) {
            assert!(source.contains(&format!("\"{value}\"")), "{code} has no value {value}");
        }
    }
}

#[test]
fn every_reason_against_webrtc_has_words_and_none_is_unused() {
    let code = modules().filter(|name| *name != "strings.js").map(content).collect::<String>();
    let code = code.split("of(").collect::<Vec<_>>().join("code: ");
    let words = strings()["en"]["why"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    for reason in code.split("code: \"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(words.contains(reason), "{reason} has no words");
    }
    // These come from the gateway, as the `problem` of WebRTC or of a camera.
    let reported = ["b_frames", "webrtc_starting", "webrtc_port", "webrtc_certificate"];
    for word in words.iter().filter(|word| !reported.contains(&word.as_str())) {
        assert!(code.contains(&format!("\"{word}\"")), "{word} is never used");
    }
}

#[test]
fn every_state_has_a_word() {
    let states = [CameraState::Sleeping, CameraState::Starting, CameraState::Streaming, CameraState::Waiting];
    let names = states.map(|state| serde_json::to_value(state).unwrap().as_str().unwrap().to_owned());
    let words = strings()["en"]["state"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(words, BTreeSet::from(names));
}

#[test]
fn every_word_the_page_uses_exists_and_none_is_unused() {
    let mut used = BTreeSet::new();
    let code = ["index.html", "app.js", "tile.js", "words.js"].map(content).concat();
    for marker in ["word(\"", "data-word=\"", "notice(\"", "return \"", "? \"", ": \"", ", \""] {
        used.extend(code.split(marker).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    let words = strings()["en"]["ui"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(words.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "never used");
    for marker in ["word(\"", "data-word=\"", "notice(\""] {
        for key in code.split(marker).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(words.contains(key), "{key} has no text");
        }
    }
}
