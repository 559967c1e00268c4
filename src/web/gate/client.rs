//! The conversation with one client over a given stream: requests in, in order and one at a time, answers out.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::SegmentBytes;
use super::admit::Seat;
use super::answer::{Decision, client_head, has_body, line};
use super::canonical::{self, Known};
use super::head::{self, HEAD_LIMIT, Head};
use super::io::{CutOff, linger, read_some, write_all};
use super::percent;
use super::range::{self, Part};
use super::refusal::Refusal;
use super::task::Gate;
use super::upstream::Reply;
use crate::web::http::Method;

/// A client's connection.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin {
    /// The address of this machine on which it arrived, IPv4 as such; the system is asked each time.
    fn arrived_at(&self) -> Option<IpAddr>;
}

/// Serves one client until it leaves, breaks a rule, or is too slow.
pub(super) async fn converse<S: Connection>(gate: Rc<Gate>, stream: S, peer: IpAddr, seat: Seat) {
    let mut client = Client { occupied: Occupied { gate, seat }, stream, peer, received: Vec::new(), served: false };
    let end = loop {
        if let Err(end) = client.request().await {
            break end;
        }
    };
    if let End::Refused(refusal) = end {
        // A client that does not even take the refusal is closed like any other.
        let _ = client.refuse(refusal, false, true).await;
    }
    if !matches!(end, End::Gone) {
        client.occupied.gate.idle(seat);
        linger(&mut client.stream, &client.occupied.gate.scratch).await;
    }
}

struct Client<S> {
    occupied: Occupied,
    stream: S,
    peer: IpAddr,
    /// Bytes received and not used yet; bounded by [`HEAD_LIMIT`] except while a body is read.
    received: Vec<u8>,
    /// A request was answered already: silence is an idle connection, not a slow head.
    served: bool,
}

/// Gives the seat back however the conversation ends.
struct Occupied {
    gate: Rc<Gate>,
    seat: Seat,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.gate.leave(self.seat);
    }
}

/// Why a conversation ends.
enum End {
    /// The connection broke or the client was silent: nothing more to say.
    Gone,
    /// All is said; close in good order.
    Done,
    /// Say this, then close: where the next request would start is not known.
    Refused(Refusal),
}

fn refused(gate: &Gate, refusal: Refusal) -> End {
    gate.on_refused(refusal);
    End::Refused(refusal)
}

/// What went to the client, for the log.
struct Sent {
    status: u16,
    bytes: usize,
}

impl<S: Connection> Client<S> {
    /// Reads one request and answers it.
    async fn request(&mut self) -> Result<(), End> {
        let head = self.read_head().await?;
        let gate = Rc::clone(&self.occupied.gate);
        let body = self.read_body(&head).await?;
        gate.busy(self.occupied.seat);
        let (id, started) = gate.next_request();
        let sent = self.answer(&head, &body, id).await?;
        if log::log_enabled!(log::Level::Debug) {
            log::debug!(
                "request {id} {} {} -> {} {} bytes {:.1} ms from {}",
                head.method.name(),
                percent::encode(&head.path),
                sent.status,
                sent.bytes,
                gate.since(started).as_secs_f64() * 1000.0,
                self.peer,
            );
        }
        if !head.keep_alive {
            return Err(End::Done);
        }
        gate.idle(self.occupied.seat);
        self.served = true;
        Ok(())
    }

    /// Reads until a head is complete. The deadline covers the whole head, so that dribbling does not extend it.
    async fn read_head(&mut self) -> Result<Head, End> {
        let gate = Rc::clone(&self.occupied.gate);
        if self.received.is_empty() && self.served {
            let first = timeout(gate.settings.idle_deadline, self.receive(HEAD_LIMIT)).await;
            first.map_err(|_| End::Gone)??;
        }
        let head = timeout(gate.settings.head_deadline, async {
            loop {
                if let Some(head) = head::parse(&self.received).map_err(|refusal| refused(&gate, refusal))? {
                    return Ok(head);
                }
                // Only a line feed can complete a head; parsing again without one would reward dribbling.
                loop {
                    let before = self.received.len();
                    self.receive(HEAD_LIMIT).await?;
                    let news = self.received.get(before..).unwrap_or_default();
                    if before == 0 || self.received.len() == HEAD_LIMIT || news.contains(&b'\n') {
                        break;
                    }
                }
            }
        });
        let head = match head.await {
            Ok(head) => head?,
            Err(_) if self.received.is_empty() => return Err(End::Gone),
            Err(_) => return Err(refused(&gate, Refusal::TooSlow)),
        };
        self.consume(head.len);
        Ok(head)
    }

    async fn read_body(&mut self, head: &Head) -> Result<Vec<u8>, End> {
        let gate = Rc::clone(&self.occupied.gate);
        let len = head.content_length;
        let body = timeout(gate.settings.body_deadline, async {
            if head.expects_continue && self.received.len() < len {
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n", 0, || Some(&[])).await?;
            }
            while self.received.len() < len {
                self.receive(len).await?;
            }
            Ok(self.consume(len))
        });
        body.await.map_err(|_| refused(&gate, Refusal::TooSlow))?
    }

    /// Receives more, up to `most` bytes in all.
    async fn receive(&mut self, most: usize) -> Result<(), End> {
        let room = most.saturating_sub(self.received.len());
        match read_some(&mut self.stream, &self.occupied.gate.scratch, &mut self.received, room).await {
            Ok(0) | Err(_) => Err(End::Gone),
            Ok(_) => Ok(()),
        }
    }

    /// Takes `len` bytes off the front; an idle connection keeps no buffer.
    fn consume(&mut self, len: usize) -> Vec<u8> {
        let rest = self.received.split_off(len.min(self.received.len()));
        std::mem::replace(&mut self.received, rest)
    }

    async fn answer(&mut self, head: &Head, body: &[u8], id: u64) -> Result<Sent, End> {
        let gate = Rc::clone(&self.occupied.gate);
        let body_follows = head.method != Method::Head;
        let arrived_at = if names_address(head) { self.stream.arrived_at() } else { None };
        match decide(&gate, head, body, Known { id, waited: false, arrived_at }).await {
            Ok(Found::Reply(reply)) => self.send_reply(head, &reply).await,
            Ok(Found::Segment(reply, segment)) => self.send_segment(head, &reply, &*segment).await,
            Err(refusal) if refusal.keeps_connection() => {
                gate.on_refused(refusal);
                self.refuse(refusal, head.keep_alive, body_follows).await
            }
            Err(refusal) => Err(refused(&gate, refusal)),
        }
    }

    async fn send_reply(&mut self, head: &Head, reply: &Reply) -> Result<Sent, End> {
        let answer = &reply.answer;
        let (bytes, body) = (client_head(answer.status, &answer.headers, Some(answer.length)), reply.body());
        self.occupied.gate.answering(self.occupied.seat, body.len());
        self.send(head, answer.status, bytes, body.len(), || Some(body)).await
    }

    async fn send_segment(&mut self, head: &Head, reply: &Reply, segment: &dyn SegmentBytes) -> Result<Sent, End> {
        let len = segment.bytes().len();
        // If-Range names a version; a segment's URL names one version for ever, but proving that is not worth a validator.
        let asked = head.range.as_deref().filter(|_| head.method == Method::Get && !head.if_range);
        let part = range::pick(asked, len);
        // What holds for the segment (a cache may keep it for long) does not hold for a refused range.
        let mut headers = match part {
            Part::Unsatisfiable => b"Access-Control-Allow-Origin: *\r\n".to_vec(),
            Part::Whole | Part::Some(_) => reply.answer.headers.clone(),
        };
        line(&mut headers, "Accept-Ranges", "bytes");
        let (status, part) = match part {
            Part::Whole => (reply.answer.status, 0..len),
            Part::Some(part) => {
                let last = part.end.saturating_sub(1);
                line(&mut headers, "Content-Range", &format!("bytes {}-{last}/{len}", part.start));
                (206, part)
            }
            Part::Unsatisfiable => {
                line(&mut headers, "Content-Range", &format!("bytes */{len}"));
                (416, 0..0)
            }
        };
        let bytes = client_head(status, &headers, Some(part.len()));
        let body_len = if head.method == Method::Head { 0 } else { part.len() };
        let body = || if segment.revoked() { None } else { segment.bytes().get(part.clone()) };
        self.send(head, status, bytes, body_len, body).await
    }

    /// Answers in the server's own words.
    async fn refuse(&mut self, refusal: Refusal, keep_alive: bool, body_follows: bool) -> Result<Sent, End> {
        let (headers, body) = refusal.answer();
        let mut bytes = client_head(refusal.status(), &headers, Some(body.len()));
        line(&mut bytes, "Connection", if keep_alive { "keep-alive" } else { "close" });
        bytes.extend_from_slice(b"\r\n");
        let len = if body_follows { body.len() } else { 0 };
        self.write(&bytes, len, || Some(&body)).await?;
        Ok(Sent { status: refusal.status(), bytes: len })
    }

    async fn send<'a>(
        &mut self,
        head: &Head,
        status: u16,
        mut bytes: Vec<u8>,
        len: usize,
        body: impl Fn() -> Option<&'a [u8]>,
    ) -> Result<Sent, End> {
        if !head.keep_alive {
            line(&mut bytes, "Connection", "close");
        } else if head.http_1_0 {
            line(&mut bytes, "Connection", "keep-alive");
        }
        bytes.extend_from_slice(b"\r\n");
        let len = if has_body(status) { len } else { 0 };
        self.write(&bytes, len, body).await?;
        Ok(Sent { status, bytes: len })
    }

    async fn write<'a>(&mut self, head: &[u8], len: usize, body: impl Fn() -> Option<&'a [u8]>) -> Result<(), End> {
        let gate = Rc::clone(&self.occupied.gate);
        let written = write_all(&mut self.stream, head, len, body, gate.settings.stall_deadline).await;
        written.map_err(|cut| {
            match cut {
                CutOff::Gone => {}
                CutOff::Stalled => gate.counters.stalled.add_one(),
                CutOff::Revoked => gate.counters.revoked.add_one(),
            }
            End::Gone
        })
    }
}

/// True for an offer to `/whep`: only its answer names this machine's address.
fn names_address(head: &Head) -> bool {
    head.method == Method::Post && head.path.starts_with("/whep/")
}

/// What answers a request.
enum Found {
    Reply(Reply),
    Segment(Reply, Arc<dyn SegmentBytes>),
}

/// Asks the workers; waits for the camera once if they say so. A waiting client holds no worker and no place in their queue.
async fn decide(gate: &Gate, head: &Head, body: &[u8], known: Known) -> Result<Found, Refusal> {
    let body_follows = head.method != Method::Head;
    let mut reply = gate.ask(&canonical::encode(head, body, known), body_follows).await?;
    if let Decision::WaitFor(camera, until) = reply.answer.decision {
        gate.wait_for(camera, until).await;
        let known = Known { waited: true, ..known };
        reply = gate.ask(&canonical::encode(head, body, known), body_follows).await?;
    }
    if reply.answer.status < 400 {
        gate.on_watched(&head.path).await;
    }
    match &reply.answer.decision {
        Decision::Body => Ok(Found::Reply(reply)),
        Decision::Segment(stream, file_name) => {
            let segment = gate.segment(stream, file_name).ok_or(Refusal::SegmentGone)?;
            Ok(Found::Segment(reply, segment))
        }
        Decision::WaitFor(camera, _) => {
            log::error!("request {}: the route wants to wait for camera {camera} twice", known.id);
            Err(Refusal::BadAnswer)
        }
    }
}
