//! The effects of HLS: makes the stream's folder, runs segmenting in it, puts the playlist file in place.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::playlist;
use super::publisher::Publisher;
use super::store::{Facts, Store};
use super::window::MOST;
use crate::media::{StreamId, Ticks, WallTime};
use crate::segment::{self, Event, Fault, Folder, FolderError, PLAYLIST, Prefix, Reader};

/// The same fault is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Settings of one stream's HLS output.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The stream.
    pub id: StreamId,
    /// The folder that holds a folder per stream; on tmpfs.
    pub output_dir: PathBuf,
    /// Random for every run.
    pub prefix: Prefix,
    /// Segments last at least this long where key frames allow it.
    pub segment_duration: Ticks,
    /// Segments in the playlist, at least.
    pub segment_count: usize,
    /// Most segment files in the folder, 2 to 64.
    pub cleanup_threshold: usize,
    /// Most bytes of one segment.
    pub segment_bytes: usize,
    /// Most bytes of tmpfs, all segments together; may change while the run lasts, as cameras come and go.
    pub stream_bytes: Rc<Cell<u64>>,
    /// The first sequence number: `Sequence::first` of the time since boot.
    pub first_sequence: u64,
    /// The time of day while the clock is trusted.
    pub wall: fn() -> Option<WallTime>,
}

/// Publishes what `reader` delivers as HLS until dropped; then the stream leaves `store` and its files are removed.
/// `on_change` gets the figures whenever a segment is complete or something was lost.
///
/// One run per stream at a time: drop the old run before the new one starts.
///
/// # Errors
/// When the stream's folder cannot be made. Later faults are counted and reported; they do not end the run.
pub async fn run(
    reader: Reader,
    settings: Settings,
    store: Store,
    on_change: impl Fn(&Facts),
) -> Result<std::convert::Infallible, FolderError> {
    let id = settings.id;
    recover(&store, &settings.output_dir, id)?;
    let folder = Rc::new(Folder::create(&settings.output_dir, id)?);
    let files = settings.cleanup_threshold.clamp(2, MOST);
    let mut publisher = Publisher::new(store, id, settings.segment_count, files - 1, settings.first_sequence);
    let mut log = FaultLog::default();
    let playlists = Rc::clone(&folder);
    let sink = move |event: Event, counters: &segment::Counters| {
        if let Event::Fault(fault) = &event {
            log.warn(id, fault);
        }
        if let Some(playlist) = publisher.handle(event, counters)
            && let Err(error) = playlists.replace(PLAYLIST, playlist.as_bytes())
        {
            let fault = Fault::from(error);
            log.warn(id, &fault);
            publisher.on_fault(fault);
        }
        on_change(&publisher.facts());
    };
    let segmenting = segment::task::Settings {
        prefix: settings.prefix,
        segment_duration: settings.segment_duration,
        files,
        segment_bytes: settings.segment_bytes,
        bytes: settings.stream_bytes,
        first_sequence: settings.first_sequence,
        wall: settings.wall,
    };
    Ok(segment::task::run(reader, folder, segmenting, sink).await)
}

/// Removes what a crashed run of stream `id` left in `output_dir`, and remembers in `store` where it ended, so that its
/// numbers do not go back. For the start of the program; [`run`] does it too. Returns how many files there were.
///
/// # Errors
/// When a link or file is where the stream's folder should be, or the system refuses.
pub fn recover(store: &Store, output_dir: &Path, id: StreamId) -> Result<usize, FolderError> {
    let leftovers = segment::clean_leftovers(output_dir, id)?;
    if let Some(next) = leftovers.playlist.as_deref().and_then(playlist::next_discontinuity) {
        store.end_discontinuities(id, next);
    }
    Ok(leftovers.files)
}

/// Keeps a fault that repeats from filling the log.
#[derive(Default)]
struct FaultLog {
    last: Option<(&'static str, Instant)>,
}

impl FaultLog {
    #[expect(clippy::disallowed_methods, reason = "this file reads the clock")]
    fn warn(&mut self, id: StreamId, fault: &Fault) {
        let now = Instant::now();
        let repeated = self.last.is_some_and(|(code, at)| code == fault.code() && now.duration_since(at) < LOG_EVERY);
        if !repeated {
            log::warn!("{id}: {fault}");
            self.last = Some((fault.code(), now));
        }
    }
}
