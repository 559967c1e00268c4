//! Who may watch: an `Authorization` header in, a verdict out. Basic (RFC 7617) and Digest with MD5, without qop, as
//! cameras do it (RFC 2617 section 3.2.2.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

const REALM: &str = "Porthole demo camera";

/// How clients are asked who they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// Everyone may watch.
    None,
    /// User and password in the clear.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A digest of user and password.
    Digest {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

/// Without user and password, so that settings may be logged.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic",
            Self::Digest { .. } => "Digest",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// No credentials, or of another scheme.
    Missing,
    Wrong,
    /// The right password with an old nonce.
    Stale,
}

impl Auth {
    /// The value of `WWW-Authenticate`. Where everyone may watch (a 401 is then a fault) it is a Digest challenge.
    pub(super) fn challenge(&self, nonce: &str, stale: bool) -> String {
        match self {
            Self::Basic { .. } => format!("Basic realm=\"{REALM}\""),
            Self::None | Self::Digest { .. } => {
                let stale = if stale { ", stale=true" } else { "" };
                format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\"{stale}")
            }
        }
    }

    pub(super) fn check(&self, authorization: Option<&str>, method: &str, nonce: &str) -> Verdict {
        let given = authorization.and_then(|value| value.split_once(' '));
        match self {
            Self::None => Verdict::Passed,
            Self::Basic { user, password } => match given {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("Basic") => {
                    let right = token.trim() == STANDARD.encode(format!("{user}:{password}"));
                    if right { Verdict::Passed } else { Verdict::Wrong }
                }
                _ => Verdict::Missing,
            },
            Self::Digest { user, password } => match given {
                Some((scheme, fields)) if scheme.eq_ignore_ascii_case("Digest") => {
                    let field = |name: &str| {
                        let found = fields_of(fields).find(|(key, _)| key.eq_ignore_ascii_case(name));
                        found.map(|(_, value)| value).unwrap_or_default()
                    };
                    let ha1 = md5_hex(&format!("{user}:{REALM}:{password}"));
                    let ha2 = md5_hex(&format!("{method}:{}", field("uri")));
                    let expected = md5_hex(&format!("{ha1}:{}:{ha2}", field("nonce")));
                    if field("username") != *user || field("response") != expected {
                        Verdict::Wrong
                    } else if field("nonce") != nonce {
                        Verdict::Stale
                    } else {
                        Verdict::Passed
                    }
                }
                _ => Verdict::Missing,
            },
        }
    }
}

fn md5_hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `a="x\"y", b=z`: names and values, unquoted. Ends at what does not fit.
fn fields_of(mut rest: &str) -> impl Iterator<Item = (&str, String)> {
    std::iter::from_fn(move || {
        let (name, after) = rest.trim_start_matches([' ', ',']).split_once('=')?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let quoted = after.starts_with('"');
        if quoted {
            chars.next();
        }
        rest = "";
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if quoted => value.extend(chars.next().map(|(_, escaped)| escaped)),
                '"' | ',' if quoted == (c == '"') => {
                    rest = &after[at + 1..];
                    break;
                }
                _ => value.push(c),
            }
        }
        Some((name.trim(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_takes_the_right_password_for_the_method_and_nonce_it_was_made_for() {
        let auth = Auth::Digest { user: "us\"er".to_owned(), password: "p@ss:w/ö\"rd".to_owned() };
        // printf %s 'us"er:Porthole demo camera:p@ss:w/ö"rd' | md5sum; then of DESCRIBE:rtsp://h/demo; then of all three.
        let header = "Digest username=\"us\\\"er\", realm=\"Porthole demo camera\", nonce=\"abc\", \
                      uri=\"rtsp://h/demo\",response=\"871e005d20b125f16e5d1c2653c95237\", algorithm=MD5";
        assert_eq!(auth.check(Some(header), "DESCRIBE", "abc"), Verdict::Passed);
        assert_eq!(auth.check(Some(header), "DESCRIBE", "abd"), Verdict::Stale);
        assert_eq!(auth.check(Some(header), "PLAY", "abc"), Verdict::Wrong);
        assert_eq!(auth.check(Some(&header.replace("demo\"", "live\"")), "DESCRIBE", "abc"), Verdict::Wrong);
        assert_eq!(auth.check(None, "DESCRIBE", "abc"), Verdict::Missing);
        assert_eq!(auth.check(Some("Basic dXNlcjpwYXNz"), "DESCRIBE", "abc"), Verdict::Missing);
        for hostile in ["Digest", "Digest ", "Digest =", "Digest username=\"", "Digest a=\\", "Digest ,,,=\"\\"] {
            assert_ne!(auth.check(Some(hostile), "DESCRIBE", "abc"), Verdict::Passed, "{hostile}");
        }
    }

    #[test]
    fn basic_takes_the_right_pair_only() {
        let auth = Auth::Basic { user: "user".to_owned(), password: "p@ss:w/ö\"rd".to_owned() };
        assert_eq!(auth.check(Some("basic dXNlcjpwQHNzOncvw7YicmQ="), "PLAY", ""), Verdict::Passed);
        assert_eq!(auth.check(Some("Basic dXNlcjpwYXNz"), "PLAY", ""), Verdict::Wrong);
        assert_eq!(auth.challenge("n", true), "Basic realm=\"Porthole demo camera\"");
    }
}
