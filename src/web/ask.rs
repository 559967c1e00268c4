//! A request in, an answer out, as a worker gives it: the routes' own, or what the media thread replies to their question.

use super::http::{Ask, Request, Response};
use super::metrics::Sample;
use super::routes::{RouteSettings, respond};
use super::whep;
use crate::control::{Control, StatusBoard};

/// Answers `request`; `gate` is what `/metrics` shows besides the snapshot. Blocks the worker while the media thread is
/// asked, for 2 s at most.
pub fn answer(
    request: &Request,
    board: &StatusBoard,
    control: &Control,
    gate: &[Sample],
    settings: &RouteSettings,
) -> Response {
    match respond(request, &board.read(), gate, settings) {
        Response::Ask(Ask::Watch(offer)) => {
            let camera = offer.camera;
            let reply = control.watch(offer);
            // Read anew: a refusal may be for something that has happened since.
            whep::conclude_watch(camera, reply, &board.read())
        }
        Response::Ask(Ask::HangUp { camera, session }) => {
            whep::conclude_hang_up(camera, control.hang_up(camera, session))
        }
        response => response,
    }
}
