//! The web port as one task: a bound listener in, service until dropped; everything it needs is made here and removed again.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::{self, Backlog, sockopt};

use super::gate::task::Gate;
use super::gate::{Seams, Settings};

/// Connections that wait to be accepted; a burst beyond it would wait a second for the next SYN.
const BACKLOG: i32 = 1024;

/// Why the web port does not work.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", advice(.source))]
    Listen {
        /// `[web] listen`.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The directory of the workers' socket cannot be used.
    #[error("cannot use {} for the HTTP workers' socket: {source}", .path.display())]
    SocketDir {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The workers cannot be started.
    #[error("cannot start the HTTP workers on {}: {source}", .path.display())]
    Workers {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has this port: stop it, or change [web] listen",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address: change [web] listen",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: use 8107, or change [web] listen",
        _ => "",
    }
}

/// Listens on `address`, `[web] listen`.
///
/// # Errors
/// When the address is taken, not this machine's, or not allowed; the sentence names it and says what to do.
pub fn bind(address: SocketAddr) -> Result<TcpListener, TaskError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        // Accepted sockets inherit it: answers are written whole, Nagle would only delay their ends.
        socket::setsockopt(&listener, sockopt::TcpNoDelay, &true)?;
        socket::listen(&listener, Backlog::new(BACKLOG)?)?;
        listener.set_nonblocking(true)?;
        io::Result::Ok(listener)
    };
    listen().map_err(|source| TaskError::Listen { address, source })
}

/// Serves on `listener` (see [`bind`]) until dropped. Runs on the media thread, inside a tokio runtime with net and time.
///
/// # Errors
/// When the workers or their socket cannot be made. Once it serves, it does not end.
pub async fn run(listener: TcpListener, settings: Settings, seams: Seams) -> Result<(), TaskError> {
    let dir = settings.socket_dir.clone();
    private_dir(&dir).map_err(|source| TaskError::SocketDir { path: dir.clone(), source })?;
    let path = dir.join("http.sock");
    let address = listener.local_addr();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| TaskError::Listen {
        address: address.unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0))),
        source,
    })?;
    let gate = Gate::start(settings, path.clone(), seams).map_err(|source| TaskError::Workers { path, source })?;
    gate.run(listener).await;
    Ok(())
}

/// Makes `path` a directory that only this user can enter.
fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}
