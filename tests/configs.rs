//! The documented configuration: it parses, and it shows every key there is.

use std::path::Path;

use porthole::config::task::{Files, load};
use porthole::config::{Board, Config, Machine, TmpfsFacts};

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
fn the_documented_board_shows_every_key() {
    let text = std::fs::read_to_string(configs().join("board.toml")).unwrap();
    Board::parse(&text).unwrap();
    let document: toml::Table = text.parse().unwrap();
    let missing: Vec<_> = Board::keys().into_iter().filter(|key| !document.contains_key(key)).collect();
    assert!(missing.is_empty() && document.len() > 3, "configs/board.toml does not document {missing:?}");
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

#[test]
fn a_wrong_file_that_also_does_not_fit_hears_of_both() {
    let folder = std::env::temp_dir().join(format!("porthole-configs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("config.toml");
    std::fs::write(&config, "[hls]\nsegment_lenght = 1\n[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\n").unwrap();
    let disk = |_: &Path| Machine { memory: 4 << 30, tmpfs: Some(TmpfsFacts { is_tmpfs: false, size: 1 << 30 }) };
    let error = load(&Files { config, board: None }, disk).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[0].ends_with("config.toml: line 2: hls.segment_lenght: unknown key; did you mean `segment_count`?"));
    assert!(lines[1].contains("hls.output_dir: /run/porthole/hls is not on tmpfs"), "{error}");
}
