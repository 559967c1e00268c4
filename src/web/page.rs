//! A request in, the page or one of its assets out. `build.rs` packs the files of `ui/`, gzipped.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::answer::Headers;
use super::http::{Request, Response};

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// A packed file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    name: &'static str,
    media_type: &'static str,
    gzip: &'static [u8],
    /// Bytes when unpacked.
    len: usize,
}

/// What the page may load: its own files, and the blobs that hls.js plays from and works in.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// `GET /`: asked for anew each time, answered with 304 while nothing changed.
pub(super) fn index(request: &Request) -> Response {
    let headers = vec![
        ("Cache-Control", "no-cache".to_owned()),
        ("Content-Security-Policy", POLICY.to_owned()),
        ("Referrer-Policy", "no-referrer".to_owned()),
    ];
    let [page, ..] = &FILES;
    file(page, request, headers)
}

/// The name of this build in asset URLs.
#[cfg(test)]
pub(super) fn revision() -> &'static str {
    REVISION
}

/// The asset `name` of this build; a page of another build asks for another revision and finds nothing.
pub(super) fn asset(revision: &str, name: &str) -> Option<&'static File> {
    let [_page, assets @ ..] = &FILES;
    assets.iter().find(|file| revision == REVISION && file.name == name)
}

/// `GET /assets/<revision>/<name>`: never changes under its name.
pub(super) fn answer_asset(asset: &File, request: &Request) -> Response {
    file(asset, request, vec![("Cache-Control", "public, max-age=31536000, immutable".to_owned())])
}

/// `GET /favicon.svg`
pub(super) fn icon(request: &Request) -> Response {
    let headers = vec![("Cache-Control", "public, max-age=86400".to_owned())];
    match asset(REVISION, "icon.svg") {
        Some(icon) => file(icon, request, headers),
        None => Response::Full { status: 404, headers, body: Vec::new() },
    }
}

/// The files are packed at build time, so gzip costs nothing here and does not depend on `enable_compression`.
fn file(file: &File, request: &Request, mut headers: Headers) -> Response {
    let tag = if request.accepts_gzip { format!("\"{REVISION}-gz\"") } else { format!("\"{REVISION}\"") };
    headers.push(("Vary", "Accept-Encoding".to_owned()));
    let unchanged = request.if_none_match.as_deref().is_some_and(|tags| names(tags, &tag));
    headers.push(("ETag", tag));
    if unchanged {
        return Response::Full { status: 304, headers, body: Vec::new() };
    }
    headers.push(("Content-Type", file.media_type.to_owned()));
    headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
    if request.accepts_gzip {
        headers.push(("Content-Encoding", "gzip".to_owned()));
        return Response::Full { status: 200, headers, body: file.gzip.to_vec() };
    }
    let mut body = Vec::with_capacity(file.len);
    match GzDecoder::new(file.gzip).read_to_end(&mut body) {
        Ok(_) => Response::Full { status: 200, headers, body },
        Err(_) => Response::Full { status: 500, headers: Vec::new(), body: Vec::new() },
    }
}

/// RFC 9110 section 13.1.2: `*`, or a list of tags compared weakly.
fn names(if_none_match: &str, tag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|sent| sent == "*" || sent.strip_prefix("W/").unwrap_or(sent) == tag)
}

#[cfg(test)]
mod tests;
