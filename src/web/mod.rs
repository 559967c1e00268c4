//! The web port: the gate owns client sockets, tiny_http's workers route, authorise and answer.

mod answer;
mod api;
pub mod ask;
mod delivery;
#[cfg(test)]
pub(crate) mod fixture;
pub mod gate;
pub mod http;
pub mod metrics;
mod page;
pub mod routes;
pub mod task;
mod whep;
mod worker;
