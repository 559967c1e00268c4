//! The dependency direction: which folder of `src` may name which, read from the `crate::` paths in the code.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What each folder may name besides itself. `web/gate` has a row of its own: only the gate reads slots.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("media", &[]),
    ("ingest", &["media", "hub"]),
    ("hub", &["media"]),
    ("mpegts", &["media"]),
    ("segment", &["media", "mpegts", "hub"]),
    ("hls", &["media", "segment"]),
    ("webrtc", &["media", "hub"]),
    ("control", &["media"]),
    ("web", &["control", "config", "media"]),
    ("web/gate", &["control", "config", "media", "hls", "web"]),
    ("config", &["media"]),
    ("board", &["config", "ingest", "webrtc"]),
    ("system", &["media"]),
    ("demo", &["media"]),
];

/// Files beside the folders: they compose, so they may name everything.
const COMPOSERS: &[&str] = &["lib.rs", "main.rs", "cli.rs", "gateway"];

#[test]
fn every_use_follows_the_data_flow() {
    let mut wrong = Vec::new();
    let mut folders = BTreeSet::new();
    for (path, code) in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let top = path.split('/').next().unwrap_or("").to_owned();
        if COMPOSERS.contains(&top.as_str()) {
            continue;
        }
        folders.insert(top.clone());
        wrong.extend(violations(&path, &code));
    }
    assert_eq!(wrong, Vec::<String>::new(), "arrows that the table in tests/layers.rs does not allow");
    let known: BTreeSet<_> = MAY_NAME.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert!(folders.is_subset(&known), "folders without a row: {:?}", folders.difference(&known));
}

#[test]
fn an_injected_import_is_found() {
    assert_eq!(violations("media/time.rs", "use crate::hub::Hub;\n"), ["media/time.rs names hub"]);
    assert_eq!(violations("hls/window.rs", "    let x = crate::web::http::Method::Get;"), ["hls/window.rs names web"]);
    assert_eq!(violations("hub/queue.rs", "use crate::{media::Ticks, ingest::task};"), ["hub/queue.rs names ingest"]);
    assert_eq!(violations("web/routes.rs", "use crate::hls::Store;"), ["web/routes.rs names hls"]);
    assert_eq!(violations("web/gate/task.rs", "use crate::hls::Store;"), Vec::<String>::new());
    assert_eq!(
        violations("hub/queue.rs", "// crate::ingest is upstream\nuse crate::media::Ticks;"),
        Vec::<String>::new()
    );
}

#[test]
fn the_table_has_no_circle() {
    let allowed: BTreeMap<_, _> = MAY_NAME.iter().copied().filter(|(name, _)| !name.contains('/')).collect();
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    while settled.len() < allowed.len() {
        let next = allowed.iter().find(|(name, needs)| {
            !settled.contains(**name) && needs.iter().all(|need| settled.contains(need) || !allowed.contains_key(need))
        });
        let (name, _) = next.expect("the folders form a circle");
        settled.insert(name);
    }
}

fn violations(path: &str, code: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let row = MAY_NAME.iter().filter(|(name, _)| folder == *name || folder.starts_with(&format!("{name}/")));
    let Some((name, allowed)) = row.max_by_key(|(name, _)| name.len()) else {
        return vec![format!("{path} has no row")];
    };
    let own = name.split('/').next().unwrap_or(name);
    named(code)
        .into_iter()
        .filter(|target| target != own && !allowed.contains(&target.as_str()))
        .map(|target| format!("{path} names {target}"))
        .collect()
}

/// The folders named by `crate::x` and `crate::{x::.., y::..}` outside comments.
fn named(code: &str) -> BTreeSet<String> {
    let code: String = code.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        if let Some(group) = after.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.extend(first_name(&std::mem::take(&mut item))),
                    _ => item.push(c),
                }
            }
            found.extend(first_name(&item));
        } else {
            found.extend(first_name(after));
        }
    }
    found
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty() && name.starts_with(char::is_lowercase)).then_some(name)
}

fn sources(root: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                all.push((relative, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    all
}
