//! The Yocto layer: what its recipe repeats of Cargo.toml, Cargo.lock and ui/package-lock.json is what stands there.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const RECIPE: &str = "yocto/meta-porthole/recipes-porthole/porthole";

/// Written by `UPDATE=1 cargo test --test yocto`.
#[test]
fn the_recipe_fetches_the_crates_of_cargo_lock() {
    let path = root().join(RECIPE).join("porthole-crates.inc");
    let expected = crates(&read("Cargo.lock"));
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is old: UPDATE=1 cargo test --test yocto", path.display());
}

#[test]
fn only_the_registry_s_crates_are_fetched_each_with_its_checksum() {
    let lock = r#"
        [[package]]
        name = "porthole"
        version = "0.1.0"

        [[package]]
        name = "url"
        version = "2.5.8"
        source = "registry+https://github.com/rust-lang/crates.io-index"
        checksum = "ff67"
    "#;
    let expected = "# Written from Cargo.lock by `UPDATE=1 cargo test --test yocto`.\n\
        SRC_URI += \"\\\n    crate://crates.io/url/2.5.8 \\\n\"\n\n\
        SRC_URI[url-2.5.8.sha256sum] = \"ff67\"\n";
    assert_eq!(crates(lock), expected);
}

#[test]
fn the_recipe_has_the_version_of_cargo_toml() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let version = manifest["package"]["version"].as_str().unwrap();
    assert!(root().join(RECIPE).join(format!("porthole_{version}.bb")).is_file(), "no recipe for version {version}");
}

#[test]
fn the_recipe_packs_the_hls_js_that_npm_would() {
    let lock: serde_json::Value = serde_json::from_str(&read("ui/package-lock.json")).unwrap();
    let package = &lock["packages"]["node_modules/hls.js"];
    let integrity = package["integrity"].as_str().unwrap().strip_prefix("sha512-").unwrap();
    let recipe = recipe();
    for line in [
        format!("HLSJS_VERSION = {}", package["version"]),
        format!("SRC_URI[hlsjs.sha512sum] = \"{}\"", hex_of_base64(integrity)),
    ] {
        assert!(recipe.lines().any(|found| found == line), "the recipe lacks: {line}");
    }
}

/// In the form that `bitbake -c update_crates` writes.
fn crates(lock: &str) -> String {
    let lock: toml::Table = toml::from_str(lock).unwrap();
    let (mut uris, mut sums) = (String::new(), String::new());
    for package in lock["package"].as_array().unwrap() {
        let [Some(name), Some(version), Some(source)] = ["name", "version", "source"].map(|key| text(package, key))
        else {
            continue;
        };
        assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
        let sum = text(package, "checksum").unwrap();
        writeln!(uris, "    crate://crates.io/{name}/{version} \\").unwrap();
        writeln!(sums, "SRC_URI[{name}-{version}.sha256sum] = \"{sum}\"").unwrap();
    }
    format!("# Written from Cargo.lock by `UPDATE=1 cargo test --test yocto`.\nSRC_URI += \"\\\n{uris}\"\n\n{sums}")
}

fn text<'a>(package: &'a toml::Value, key: &str) -> Option<&'a str> {
    package.get(key).and_then(toml::Value::as_str)
}

fn recipe() -> String {
    let files = fs::read_dir(root().join(RECIPE)).unwrap().map(|entry| entry.unwrap().path());
    let recipes: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "bb")).collect();
    assert_eq!(recipes.len(), 1, "{recipes:?}");
    fs::read_to_string(&recipes[0]).unwrap()
}

/// npm writes checksums in base64, BitBake reads hexadecimal.
fn hex_of_base64(text: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String =
        text.trim_end_matches('=').chars().map(|digit| format!("{:06b}", DIGITS.find(digit).unwrap())).collect();
    let bytes = bits.as_bytes().chunks_exact(8).map(|byte| std::str::from_utf8(byte).unwrap());
    bytes.map(|byte| format!("{:02x}", u8::from_str_radix(byte, 2).unwrap())).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
