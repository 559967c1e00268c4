//! A request and a response as the routes see them; neither knows tiny_http nor sockets.

use std::net::IpAddr;

use crate::control::{Offer, SessionId};
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

impl Method {
    /// Every method there is.
    pub const ALL: [Self; 7] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options];

    /// The method's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// The method with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
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
    /// The address of this machine on which the client's connection arrived; known for a POST under `/whep` only, which
    /// names it to the browser.
    pub arrived_at: Option<IpAddr>,
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
    /// The gate wakes this camera, waits until it has what is wanted or the deadline passes, and asks again once
    /// with [`Request::waited`].
    WaitFor {
        /// The stream.
        stream: StreamId,
        /// What is wanted.
        until: Until,
    },
    /// The worker asks the media thread, and its reply makes the answer; never crosses to the gate.
    Ask(Ask),
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// A playlist worth serving.
    Playlist,
    /// Pictures arrive from the camera, whether or not HLS has made something of them.
    Pictures,
}

/// What a route asks of the media thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Open a WebRTC session.
    Watch(Offer),
    /// End one.
    HangUp {
        /// The camera that it must watch; `None`: any.
        camera: Option<StreamId>,
        /// The session.
        session: SessionId,
    },
}
