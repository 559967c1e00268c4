//! The settings of `cross`: found under the name it reads, and sufficient for what the build needs.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs;
use std::path::Path;

#[test]
fn cross_finds_its_settings_under_the_name_it_reads() {
    assert_eq!(fs::read_link(root().join("Cross.toml")).unwrap(), Path::new("cross.toml"));
}

#[test]
fn cross_builds_in_an_image_that_is_new_enough() {
    let settings: toml::Table = toml::from_str(&read("Cross.toml")).unwrap();
    let image = settings["target"]["aarch64-unknown-linux-gnu"]["image"].as_str().unwrap();
    assert_eq!(image, "ghcr.io/cross-rs/aarch64-unknown-linux-gnu:main");
}

#[test]
fn what_the_build_script_reads_reaches_the_container() {
    let settings: toml::Table = toml::from_str(&read("Cross.toml")).unwrap();
    let passed = settings["build"]["env"]["passthrough"].as_array().unwrap();
    let script = read("build.rs");
    let read: Vec<_> =
        script.split("cargo::rerun-if-env-changed=").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(passed.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>(), read);
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
