//! Why the gate answers a request itself: the sentence for the client, the HTTP status, and what happens to the connection.

/// A request that the gate does not pass on, or whose answer it cannot give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Not HTTP/1.x by the grammar.
    #[error("this is not a well-formed HTTP request")]
    Malformed,
    /// The request target is not a plain path.
    #[error("the request target must be a path such as /hls/cam1/index.m3u8, correctly percent-encoded")]
    BadTarget,
    /// HTTP/1.1 without Host, or a Host that is unsound or repeated.
    #[error("exactly one valid Host header is needed")]
    BadHost,
    /// Content-Length twice, not a number, or next to Transfer-Encoding.
    #[error("the length of the body is ambiguous")]
    AmbiguousLength,
    /// A header that the gate reads has bytes outside ASCII.
    #[error("headers must be ASCII")]
    NotAscii,
    /// Transfer-Encoding without Content-Length.
    #[error("send the body with Content-Length; chunked bodies are not accepted")]
    LengthRequired,
    /// The body is longer than the limit.
    #[error("the body is larger than 65536 bytes")]
    BodyTooLarge,
    /// The head is longer than the limit or has too many lines.
    #[error("the request head is larger than 8192 bytes or has more than 64 headers")]
    HeadTooLarge,
    /// `Expect` other than `100-continue`.
    #[error("the expectation is not supported")]
    BadExpectation,
    /// A method outside the list.
    #[error("the method is not supported")]
    UnknownMethod,
    /// `Upgrade`.
    #[error("protocol upgrades are not supported")]
    Upgrade,
    /// HTTP/2 or unknown.
    #[error("only HTTP/1.0 and HTTP/1.1 are supported")]
    Version,
    /// The head or the body did not arrive in time.
    #[error("the request did not arrive in time")]
    TooSlow,
    /// All connections are taken by requests in progress.
    #[error("too many connections; try again")]
    Full,
    /// Too many requests wait for a worker already.
    #[error("the server is busy; try again")]
    Busy,
    /// The workers did not answer in time.
    #[error("the server did not answer in time")]
    NoAnswer,
    /// The workers answered nonsense or not at all.
    #[error("the server could not answer")]
    BadAnswer,
    /// The segment left the window between routing and reading.
    #[error("this segment is gone")]
    SegmentGone,
}

impl Refusal {
    /// The HTTP status.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::BadTarget | Self::BadHost | Self::AmbiguousLength | Self::NotAscii => 400,
            Self::SegmentGone => 404,
            Self::TooSlow => 408,
            Self::LengthRequired => 411,
            Self::BodyTooLarge => 413,
            Self::BadExpectation => 417,
            Self::HeadTooLarge => 431,
            Self::UnknownMethod | Self::Upgrade => 501,
            Self::BadAnswer => 502,
            Self::Full | Self::Busy => 503,
            Self::NoAnswer => 504,
            Self::Version => 505,
        }
    }

    /// True when the connection can serve another request: the request was read whole and only its answer is missing.
    pub(super) fn keeps_connection(self) -> bool {
        matches!(self, Self::Busy | Self::NoAnswer | Self::BadAnswer | Self::SegmentGone)
    }

    /// The headers and the JSON body of the answer.
    pub(super) fn answer(self) -> (Vec<u8>, Vec<u8>) {
        // Pages from elsewhere that play /hls or /whep may read why they cannot, and when to ask again.
        let mut headers =
            b"Content-Type: application/json\r\nCache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n\
            Access-Control-Expose-Headers: Location, ETag, Link, Retry-After\r\n"
                .to_vec();
        if self.status() == 503 {
            headers.extend_from_slice(b"Retry-After: 1\r\n");
        }
        (headers, format!("{{\"error\":\"{self}\"}}").into_bytes())
    }
}
