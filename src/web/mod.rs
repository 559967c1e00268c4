//! The web port: the gate owns client sockets, tiny_http's workers route, authorise and answer.

pub mod http;
