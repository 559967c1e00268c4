//! Packs the page: the files of `ui/` and, when npm has fetched it, hls.js, each gzipped, into one table for `src/web/page.rs`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::{Compression, write::GzEncoder};

/// The page's own files and their media types. `index.html` comes first: it is the page, the others are its assets.
const FILES: [(&str, &str); 12] = [
    ("index.html", "text/html; charset=utf-8"),
    ("style.css", "text/css; charset=utf-8"),
    ("app.js", "text/javascript; charset=utf-8"),
    ("tile.js", "text/javascript; charset=utf-8"),
    ("player.js", "text/javascript; charset=utf-8"),
    ("live.js", "text/javascript; charset=utf-8"),
    ("whep.js", "text/javascript; charset=utf-8"),
    ("playlist.js", "text/javascript; charset=utf-8"),
    ("reasons.js", "text/javascript; charset=utf-8"),
    ("strings.js", "text/javascript; charset=utf-8"),
    ("words.js", "text/javascript; charset=utf-8"),
    ("icon.svg", "image/svg+xml"),
];

/// The full build: the light one refuses H.265 in a transport stream.
const HLS_JS: &str = "ui/node_modules/hls.js/dist/hls.min.js";

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut files = Vec::new();
    for (name, media_type) in FILES {
        let path = Path::new("ui").join(name);
        watch(&path);
        files.push((name, media_type, read(&path)));
    }
    let hls_js = hls_js_path().map(|path| hls_js(&path));
    let version = hls_js.as_ref().map(|(version, ..)| version.clone());
    if let Some((_, script, license)) = hls_js {
        files.push(("hls.min.js", "text/javascript; charset=utf-8", script));
        files.push(("hls.min.js.LICENSE.txt", "text/plain; charset=utf-8", license));
    }

    // One name for all assets of a build, so that modules find each other by relative paths and may be cached for ever.
    let revision = format!("{:016x}", files.iter().fold(FNV_OFFSET, |hash, (_, _, bytes)| fnv1a(hash, bytes)));
    let mut table = format!(
        "/// Names this build's assets in their URLs.\nconst REVISION: &str = {revision:?};\n\
         /// The packed files; the page itself comes first.\nstatic FILES: [File; {}] = [\n",
        files.len()
    );
    for (name, media_type, bytes) in files {
        let bytes = if name == "index.html" { fill(bytes, &revision, version.as_deref()) } else { bytes };
        let packed = out.join(format!("{name}.gz"));
        fs::write(&packed, gzip(&bytes)).unwrap_or_else(|error| panic!("cannot write {}: {error}", packed.display()));
        writeln!(
            table,
            "File {{ name: {name:?}, media_type: {media_type:?}, gzip: include_bytes!({packed:?}), len: {} }},",
            bytes.len()
        )
        .expect("writing to a String succeeds");
    }
    table.push_str("];\n");
    fs::write(out.join("page_files.rs"), table).expect("OUT_DIR is writable");
}

/// `PORTHOLE_HLS_JS` names a file to use instead of npm's; without either the page uses the browser's own HLS player.
fn hls_js_path() -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed=PORTHOLE_HLS_JS");
    if let Some(path) = env::var_os("PORTHOLE_HLS_JS").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let path = PathBuf::from(HLS_JS);
    if path.is_file() {
        return Some(path);
    }
    // A watched path that does not exist would rerun this script on every build; the folder changes when npm runs.
    watch(Path::new("ui"));
    None
}

/// Version, script and licence of the hls.js at `path`.
fn hls_js(path: &Path) -> (String, Vec<u8>, Vec<u8>) {
    watch(path);
    let package = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let version = fs::read_to_string(package.join("package.json"))
        .ok()
        .and_then(|json| Some(json.split_once("\"version\": \"")?.1.split_once('"')?.0.to_owned()))
        .unwrap_or_else(|| "of unknown version".to_owned());
    let license = fs::read(package.join("LICENSE")).unwrap_or_else(|_| b"Apache-2.0\n".to_vec());
    let script = String::from_utf8(read(path)).unwrap_or_else(|_| panic!("{} is not UTF-8", path.display()));
    // Without its map, which is not packed, a browser's developer tools would ask for it in vain.
    let script = script.split("\n//# sourceMappingURL=").next().unwrap_or_default();
    let note = format!(
        "/*! hls.js {version}, Apache-2.0 (hls.min.js.LICENSE.txt), https://github.com/video-dev/hls.js */\n{script}\n"
    );
    (version, note.into_bytes(), license)
}

/// `index.html` with its placeholders filled in.
fn fill(html: Vec<u8>, revision: &str, hls_js: Option<&str>) -> Vec<u8> {
    let html = String::from_utf8(html).expect("index.html is UTF-8");
    html.replace("{{revision}}", revision).replace("{{hlsjs}}", hls_js.unwrap_or("")).into_bytes()
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("writing to a Vec succeeds");
    encoder.finish().expect("writing to a Vec succeeds")
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bit.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
