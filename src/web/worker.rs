//! tiny_http behind the gate: canonical requests in over a Unix socket, encoded answers out. The server is this file only.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use super::gate::{BODY_LIMIT, Respond, answer, canonical};
use super::http::{Request, Response};

/// Bodies up to this are copied behind their head, bytes.
const ONE_WRITE: usize = 16 * 1024;

/// The running workers; dropping them ends them and removes the socket.
pub(super) struct Workers {
    server: Arc<tiny_http::Server>,
    threads: Vec<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
}

impl Workers {
    /// Starts `count` workers, named `http-0` and so on, on a socket at `path`, which only this user may open.
    pub(super) fn start(path: &Path, count: usize, respond: &Arc<Respond>) -> io::Result<Self> {
        // Left by a run that was killed; tiny_http removes its own.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
        // tiny_http's own threads are unnamed, and an unnamed thread inherits the name of the one that makes it.
        let start = || tiny_http::Server::from_listener(listener, None).map_err(io::Error::other);
        let server = std::thread::scope(|scope| {
            let starter = Builder::new().name("http-io".into()).spawn_scoped(scope, start)?;
            starter.join().unwrap_or_else(|_| Err(io::Error::other("tiny_http panicked while starting")))
        })?;
        let mut workers = Self { server: Arc::new(server), threads: Vec::new(), stopping: Arc::default() };
        for number in 0..count {
            let (server, stopping) = (Arc::clone(&workers.server), Arc::clone(&workers.stopping));
            let respond = Arc::clone(respond);
            let work = move || work(&server, &stopping, &*respond);
            workers.threads.push(Builder::new().name(format!("http-{number}")).spawn(work)?);
        }
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        for _ in &self.threads {
            self.server.unblock();
        }
        for thread in self.threads.drain(..) {
            // A worker that panicked has ended, which is all that is wanted here.
            let _ = thread.join();
        }
    }
}

fn work(server: &tiny_http::Server, stopping: &AtomicBool, respond: &Respond) {
    loop {
        match server.recv() {
            Ok(request) => serve(request, respond),
            Err(_) if stopping.load(Ordering::Relaxed) => return,
            Err(error) => log::error!("tiny_http stopped accepting: {error}"),
        }
    }
}

fn serve(mut request: tiny_http::Request, respond: &Respond) {
    let body_follows = *request.method() != tiny_http::Method::Head;
    // A route that panics costs one answer. (Release builds abort instead: then the service manager restarts us.)
    let response = catch_unwind(AssertUnwindSafe(|| read(&mut request).map(|request| respond(&request))))
        .unwrap_or_else(|_| Some(failure(500, "internal error")))
        .unwrap_or_else(|| failure(400, "this is not a request from the gate"));
    let (mut head, mut body) = answer::encode(response, body_follows);
    // A short answer goes out in one write, and the gate is woken once.
    if body.len() <= ONE_WRITE {
        head.append(&mut body);
    }
    let mut writer = request.into_writer();
    let written = writer.write_all(&head).and_then(|()| writer.write_all(&body)).and_then(|()| writer.flush());
    if let Err(error) = written {
        log::debug!("the gate hung up before its answer: {error}");
    }
}

/// The request as the routes see it; `None` when it is not one of the gate's.
fn read(request: &mut tiny_http::Request) -> Option<Request> {
    let len = request.body_length().unwrap_or(0);
    if len > BODY_LIMIT {
        return None;
    }
    let mut body = vec![0; len];
    request.as_reader().read_exact(&mut body).ok()?;
    let headers = request.headers().iter().map(|header| (header.field.as_str().as_str(), header.value.as_str()));
    canonical::decode(request.method().as_str(), request.url(), headers, body)
}

fn failure(status: u16, sentence: &str) -> Response {
    let headers = vec![("Content-Type", "application/json".to_owned())];
    Response::Full { status, headers, body: format!("{{\"error\":\"{sentence}\"}}").into_bytes() }
}
