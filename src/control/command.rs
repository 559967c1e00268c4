//! What the media thread can be asked to do. The channel is bounded; a full channel refuses, it never blocks.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use smol::channel::{Receiver, Sender, TrySendError, bounded};

use super::watch::{Answer, Offer, SessionId, WatchRefusal};
use crate::media::StreamId;

/// How long a worker waits for the media thread's reply. It answers within milliseconds, or something is wrong.
const REPLY_DEADLINE: Duration = Duration::from_secs(2);

/// A command to the media thread, with the place its typed reply goes.
#[derive(Debug)]
pub enum Command {
    /// Somebody wants to see this camera: connect it if it sleeps, and keep it for its idle time.
    Wake(StreamId, Sender<Wake>),
    /// A browser wants to watch by WebRTC.
    Watch(Offer, Reply<Result<Answer, WatchRefusal>>),
    /// End this WebRTC session, if it is one of this camera (`None`: whichever it watches); the reply says whether there
    /// was one.
    Hangup(Option<StreamId>, SessionId, Reply<bool>),
}

/// Where a reply to a worker goes: it holds one, so sending never waits.
pub type Reply<T> = SyncSender<T>;

/// The reply to [`Command::Wake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The camera delivers already.
    Delivering,
    /// The camera starts (or is on its way already, or tries again by itself); wait for a new snapshot.
    Starting,
    /// There is no such camera.
    Unknown,
}

/// A command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The channel is full. HTTP 503.
    #[error("the gateway is busy; try again")]
    Busy,
    /// The media thread did not answer in time. HTTP 504.
    #[error("the gateway did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The media thread is stopping. HTTP 503.
    #[error("the gateway is stopping")]
    Stopping,
}

/// The asking end; clone it.
#[derive(Clone, Debug)]
pub struct Control {
    commands: Sender<Command>,
}

/// The media thread's end.
pub type Commands = Receiver<Command>;

/// A channel that holds at most `depth` commands.
pub fn channel(depth: usize) -> (Control, Commands) {
    let (sender, receiver) = bounded(depth.max(1));
    (Control { commands: sender }, receiver)
}

impl Control {
    /// Asks for `camera` to be connected.
    ///
    /// # Errors
    /// When the channel is full or the media thread is stopping.
    pub async fn wake(&self, camera: StreamId) -> Result<Wake, Refused> {
        let (reply, answer) = bounded(1);
        self.commands.try_send(Command::Wake(camera, reply)).map_err(|error| refused(&error))?;
        answer.recv().await.map_err(|_| Refused::Stopping)
    }

    /// Opens a WebRTC session. Blocks the calling worker, for 2 s at most; never call it on the media thread.
    ///
    /// # Errors
    /// When the channel is full, or the media thread is stopping or does not answer in time.
    pub fn watch(&self, offer: Offer) -> Result<Result<Answer, WatchRefusal>, Refused> {
        self.ask(|reply| Command::Watch(offer, reply))
    }

    /// Ends a WebRTC session; `false` when there is none with this id, or it watches another camera than `camera`. Blocks
    /// as [`Control::watch`] does.
    ///
    /// # Errors
    /// As [`Control::watch`].
    pub fn hang_up(&self, camera: Option<StreamId>, session: SessionId) -> Result<bool, Refused> {
        self.ask(|reply| Command::Hangup(camera, session, reply))
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refused> {
        let (reply, answer) = sync_channel(1);
        self.commands.try_send(command(reply)).map_err(|error| refused(&error))?;
        answer.recv_timeout(REPLY_DEADLINE).map_err(|error| match error {
            RecvTimeoutError::Timeout => Refused::TimedOut(REPLY_DEADLINE),
            RecvTimeoutError::Disconnected => Refused::Stopping,
        })
    }
}

fn refused(error: &TrySendError<Command>) -> Refused {
    if error.is_full() { Refused::Busy } else { Refused::Stopping }
}
