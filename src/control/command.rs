//! What the media thread can be asked to do. The channel is bounded; a full channel refuses, it never blocks.

use std::time::Duration;

use smol::channel::{Receiver, Sender, bounded};

use crate::media::StreamId;

/// A command to the media thread, with the place its typed reply goes.
#[derive(Debug)]
pub enum Command {
    /// Somebody wants to see this camera: connect it if it sleeps, and keep it for its idle time.
    Wake(StreamId, Sender<Wake>),
}

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
        self.commands
            .try_send(Command::Wake(camera, reply))
            .map_err(|error| if error.is_full() { Refused::Busy } else { Refused::Stopping })?;
        answer.recv().await.map_err(|_| Refused::Stopping)
    }
}
