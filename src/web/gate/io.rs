//! Reading and writing a given stream in bounded steps, with the deadline that a slow peer has for each.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_lite::future::yield_now;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// A reader takes this much within the stall deadline; also the most that is written before other tasks get a turn: less
/// costs more system calls, more keeps the cameras waiting for longer than 0.1 ms.
pub(super) const CHUNK: usize = 256 * 1024;
/// Size of the read buffer.
pub(super) const SCRATCH: usize = 64 * 1024;

/// One read buffer for all connections: an idle connection holds none.
pub(super) type Scratch = RefCell<Box<[u8]>>;

/// Appends what has arrived, at most `most` bytes, to `into`; 0 at the end of the stream.
pub(super) async fn read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    scratch: &Scratch,
    into: &mut Vec<u8>,
    most: usize,
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut scratch = scratch.borrow_mut();
        let most = most.min(scratch.len());
        let mut buffer = ReadBuf::new(scratch.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        into.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

/// Why an answer did not reach its reader whole.
#[derive(Debug)]
pub(super) enum CutOff {
    /// The connection broke.
    Gone,
    /// The reader did not take a chunk in time.
    Stalled,
    /// The bytes are no longer there.
    Revoked,
}

/// Writes `head` and then `len` bytes of `body`. `body` is asked anew before each write, since it may end to exist: `None`.
pub(super) async fn write_all<'a, S: AsyncWrite + Unpin>(
    stream: &mut S,
    head: &[u8],
    len: usize,
    body: impl Fn() -> Option<&'a [u8]>,
    stall: Duration,
) -> Result<(), CutOff> {
    let total = head.len() + len;
    let mut sent = 0;
    while sent < total {
        let chunk_end = total.min(sent + CHUNK);
        let chunk = poll_fn(|context| {
            while sent < chunk_end {
                let Some(body) = body() else { return Poll::Ready(Err(CutOff::Revoked)) };
                let pieces = [
                    part(head, sent, chunk_end),
                    part(body, sent.saturating_sub(head.len()), chunk_end.saturating_sub(head.len())),
                ];
                let written = ready!(Pin::new(&mut *stream).poll_write_vectored(context, &pieces.map(IoSlice::new)));
                match written {
                    Ok(0) | Err(_) => return Poll::Ready(Err(CutOff::Gone)),
                    Ok(written) => sent += written,
                }
            }
            Poll::Ready(Ok(()))
        });
        timeout(stall, chunk).await.map_err(|_| CutOff::Stalled)??;
        if sent < total {
            yield_now().await;
        }
    }
    Ok(())
}

fn part(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end.min(bytes.len())).unwrap_or_default()
}

/// Tells the peer that no more comes, and reads away what it still sends, so that the close does not reset the connection and
/// with it the answer. Bounded in bytes and time.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, scratch: &Scratch) {
    const LONGEST: Duration = Duration::from_secs(1);
    const MOST_BYTES: usize = 1 << 20;
    let drain = async {
        poll_fn(|context| Pin::new(&mut *stream).poll_shutdown(context)).await?;
        let mut read = 0;
        while read < MOST_BYTES {
            match read_some(stream, scratch, &mut Vec::new(), SCRATCH).await? {
                0 => break,
                more => read += more,
            }
        }
        io::Result::Ok(())
    };
    // Whatever happens here, the connection is closed next.
    let _ = timeout(LONGEST, drain).await;
}
