//! A request and a response as the routes see them; neither knows tiny_http nor sockets.

use crate::media::StreamId;

/// Request methods that the gate lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: routed as GET, answered without a body.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
}

/// One parsed request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, percent-decoded, without query; starts with `/`.
    pub path: String,
    /// The raw query, without `?`; empty when there is none.
    pub query: String,
    /// `Accept-Encoding` names gzip with a quality above 0.
    pub accepts_gzip: bool,
    /// `If-None-Match`, as sent.
    pub if_none_match: Option<String>,
    /// `Content-Type`, as sent.
    pub content_type: Option<String>,
    /// The body, bounded by the gate.
    pub body: Vec<u8>,
    /// True when the gate has waited for the camera already ([`Response::WaitFor`]): answer now, with the cause.
    pub waited: bool,
    /// Ordinal of the request in this run, for the log.
    pub id: u64,
}

/// What a route answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Status, headers and body; the server adds Content-Length.
    Full {
        /// HTTP status.
        status: u16,
        /// Headers besides Content-Length.
        headers: Vec<(&'static str, String)>,
        /// The body (for HEAD: what GET would send; the server leaves it out and keeps its length).
        body: Vec<u8>,
    },
    /// The gate answers with this segment's bytes (200, or 206/416 when the client sent Range), or with 404.
    Segment {
        /// The stream.
        stream: StreamId,
        /// File name, e.g. `k3x9_main_seg812.ts`.
        file_name: String,
        /// Headers besides Content-Length, Content-Range and Accept-Ranges.
        headers: Vec<(&'static str, String)>,
    },
    /// The gate wakes this camera, waits until its playlist exists or the deadline passes, and asks again once
    /// with [`Request::waited`].
    WaitFor {
        /// The stream.
        stream: StreamId,
    },
}
