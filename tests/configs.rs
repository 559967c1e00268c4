//! The documented configuration: it parses, and it shows every key there is.

use std::path::Path;

use porthole::config::task::{Files, load};
use porthole::config::{Board, Config, Machine, Plan, TmpfsFacts};

fn configs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

fn machine(_: &Path) -> Machine {
    Machine { memory: 4 << 30, tmpfs: Some(TmpfsFacts { is_tmpfs: true, size: 1 << 30 }) }
}

/// Keys that are absent by default stand in comments: `# key = value`. Here they are keys.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn is_key(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
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
    let document: toml::Table = uncommented(&text).parse().unwrap();
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
fn what_stands_in_comments_is_right_too() {
    let text = uncommented(&std::fs::read_to_string(configs().join("porthole.toml")).unwrap());
    let problems = Config::parse(&text, |_| Ok("x".to_owned())).unwrap_err();
    let [only] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(
        (only.field.as_str(), only.sentence.as_str()),
        ("webrtc.addresses", "is given beside interfaces; keep one of them")
    );
}

#[test]
fn the_documented_board_shows_every_key() {
    let text = std::fs::read_to_string(configs().join("board.toml")).unwrap();
    Board::parse(&text).unwrap();
    let document: toml::Table = uncommented(&text).parse().unwrap();
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
    assert_eq!((&documented.webrtc, &documented.system), (&minimal.webrtc, &minimal.system));
    let (shown, real) = (&documented.cameras[0], &minimal.cameras[0]);
    assert_eq!(
        (shown.transport, shown.on_demand, shown.idle_timeout, shown.audio, shown.max_viewers),
        (real.transport, real.on_demand, real.idle_timeout, real.audio, real.max_viewers)
    );
    let board = std::fs::read_to_string(configs().join("board.toml")).unwrap();
    let (shown, least) = (Board::parse(&board).unwrap(), Board::parse("id = \"my-board\"").unwrap());
    assert_eq!(shown, Board { tmpfs: shown.tmpfs, ..least });
}

#[test]
fn the_documented_board_holds_the_cameras_it_speaks_of() {
    use std::fmt::Write as _;
    let board = Board::parse(&std::fs::read_to_string(configs().join("board.toml")).unwrap()).unwrap();
    let mut text = String::new();
    for n in 0..board.cameras {
        let _ = write!(text, "[[camera]]\nid = \"c{n}\"\nurl = \"rtsp://10.0.0.1/{n}\"\n");
    }
    let config = Config::parse(&text, |_| Ok(String::new())).unwrap();
    let plan = Plan::resolve(&config, &board, &machine(Path::new("/run"))).unwrap();
    let webrtc = plan.webrtc.unwrap();
    // 3 s of 8 Mbit/s.
    assert!(webrtc.max_viewers == 8 && webrtc.gop_bytes > 3_000_000, "{webrtc:?}");
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
