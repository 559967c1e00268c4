//! One exchange with the workers over a given stream: canonical request bytes out, a whole answer in.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::{self, ANSWER_HEAD_LIMIT, Answer};
use super::io::{Scratch, read_some, write_all};
use super::refusal::Refusal;

/// A worker's answer, read whole, so that a slow client never holds a worker.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    bytes: Vec<u8>,
}

impl Reply {
    /// The body; empty for HEAD.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(self.answer.head_len..).unwrap_or_default()
    }
}

/// Sends the `rest` of a request and reads the answer, of which at most `most_bytes` of body are accepted; none for HEAD (`body_follows`).
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    scratch: &Scratch,
    rest: &[u8],
    body_follows: bool,
    (most_bytes, deadline): (usize, Duration),
) -> Result<Reply, Refusal> {
    write_all(&mut stream, rest, 0, || Some(&[]), deadline).await.map_err(|_| Refusal::BadAnswer)?;
    let mut bytes = Vec::new();
    let answer = loop {
        if let Some(answer) = answer::decode(&bytes).map_err(|_| Refusal::BadAnswer)? {
            break answer;
        }
        more(&mut stream, scratch, &mut bytes, ANSWER_HEAD_LIMIT).await?;
    };
    let follows = if body_follows && answer::has_body(answer.status) { answer.length } else { 0 };
    if follows > most_bytes {
        log::error!("an answer of {follows} bytes exceeds the gate's limit of {most_bytes} bytes");
        return Err(Refusal::BadAnswer);
    }
    let total = answer.head_len + follows;
    bytes.reserve_exact(total.saturating_sub(bytes.len()));
    while bytes.len() < total {
        let missing = total - bytes.len();
        more(&mut stream, scratch, &mut bytes, missing).await?;
    }
    bytes.truncate(total);
    Ok(Reply { answer, bytes })
}

async fn more<S: AsyncRead + Unpin>(
    stream: &mut S,
    scratch: &Scratch,
    bytes: &mut Vec<u8>,
    most: usize,
) -> Result<(), Refusal> {
    match read_some(stream, scratch, bytes, most).await {
        Ok(0) | Err(_) => Err(Refusal::BadAnswer),
        Ok(_) => Ok(()),
    }
}
