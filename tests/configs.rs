//! The documented configuration: it parses, and it shows every key there is.

use std::path::Path;

use porthole::config::task::{Files, load};
use porthole::config::{Config, Machine, TmpfsFacts};

fn configs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

fn machine(_: &Path) -> Machine {
    Machine { memory: 4 << 30, tmpfs: Some(TmpfsFacts { is_tmpfs: true, size: 1 << 30 }) }
}

#[test]
fn the_examples_make_a_plan() {
    for (name, cameras) in [("porthole.toml", 2), ("minimal.toml", 1)] {
        let files = Files { config: configs().join(name), board: None };
        let plan = load(&files, machine).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.cameras.len(), cameras, "{name}");
    }
}

#[test]
fn the_documented_example_shows_every_key() {
    let text = std::fs::read_to_string(configs().join("porthole.toml")).unwrap();
    let document: toml::Table = text.parse().unwrap();
    let shown = |section: &str, key: &str| match &document[section] {
        toml::Value::Array(tables) => tables.iter().any(|table| table.get(key).is_some()),
        table => table.get(key).is_some(),
    };
    let keys = Config::keys();
    assert!(keys.len() > 10, "{keys:?}");
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| {
            let (section, key) = key.split_once('.').unwrap();
            !shown(section, key)
        })
        .collect();
    assert!(missing.is_empty(), "configs/porthole.toml does not document {missing:?}");
}

#[test]
fn the_documented_defaults_are_the_real_ones() {
    let text = std::fs::read_to_string(configs().join("porthole.toml")).unwrap();
    let documented = Config::parse(&text, |_| Ok("x".to_owned())).unwrap();
    let minimal = std::fs::read_to_string(configs().join("minimal.toml")).unwrap();
    let minimal = Config::parse(&minimal, |_| Ok("x".to_owned())).unwrap();
    assert_eq!((&documented.web, &documented.hls), (&minimal.web, &minimal.hls));
    let (shown, real) = (&documented.cameras[0], &minimal.cameras[0]);
    assert_eq!(
        (shown.transport, shown.on_demand, shown.idle_timeout, shown.audio),
        (real.transport, real.on_demand, real.idle_timeout, real.audio)
    );
}
