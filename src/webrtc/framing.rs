//! A TCP byte stream in, the datagrams that it carries out, and the other way round: each has its length in front. RFC 4571.

/// The longest frame, bytes: what a peer of ours may send as one datagram.
pub const LONGEST: usize = 2000;
const HEADER: usize = 2;

/// The stream does not carry datagrams of ours; what follows cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes: RFC 4571 carries datagrams of 1 to {LONGEST} bytes here")]
pub struct FramingError(pub usize);

/// The header that goes before `datagram`.
///
/// # Errors
/// When it is empty or longer than [`LONGEST`].
pub fn header(datagram: &[u8]) -> Result<[u8; HEADER], FramingError> {
    let length = u16::try_from(datagram.len()).map_err(|_| FramingError(datagram.len()))?;
    checked(length.into())?;
    Ok(length.to_be_bytes())
}

/// Finds the frames in a stream. Holds at most one unfinished frame.
#[derive(Debug, Default)]
pub struct Deframer {
    unfinished: Vec<u8>,
}

impl Deframer {
    /// Takes the next `bytes` of the stream, however it was split, and hands on each frame that they finish.
    ///
    /// # Errors
    /// At a frame whose length cannot be; the stream is to be given up then.
    pub fn push(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(&[u8])) -> Result<(), FramingError> {
        while !bytes.is_empty() {
            // Most frames arrive whole and are handed on from where they are.
            if self.unfinished.is_empty()
                && let Some((length, rest)) = split_header(bytes)
                && let Some((frame, rest)) = rest.split_at_checked(checked(length)?)
            {
                on_frame(frame);
                bytes = rest;
                continue;
            }
            let (more, rest) = bytes.split_at(self.missing()?.min(bytes.len()));
            self.unfinished.extend_from_slice(more);
            bytes = rest;
            if self.missing()? == 0 {
                on_frame(self.unfinished.get(HEADER..).unwrap_or_default());
                self.unfinished.clear();
            }
        }
        Ok(())
    }

    /// Bytes until the unfinished frame, or first its header, is complete.
    fn missing(&self) -> Result<usize, FramingError> {
        match split_header(&self.unfinished) {
            None => Ok(HEADER - self.unfinished.len()),
            Some((length, rest)) => Ok(checked(length)?.saturating_sub(rest.len())),
        }
    }
}

fn split_header(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    Some((u16::from_be_bytes(*header).into(), rest))
}

fn checked(length: usize) -> Result<usize, FramingError> {
    if (1..=LONGEST).contains(&length) { Ok(length) } else { Err(FramingError(length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of `stream` when it arrives in `pieces`.
    fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut deframer = Deframer::default();
        let mut frames = Vec::new();
        for piece in pieces {
            deframer.push(piece, |frame| frames.push(frame.to_vec()))?;
            assert!(deframer.unfinished.len() < HEADER + LONGEST, "one frame at most is held");
        }
        Ok(frames)
    }

    #[test]
    fn a_header_is_the_length_in_network_order() {
        assert_eq!(header(&[7; 1200]), Ok([0x04, 0xb0]));
        assert_eq!(header(&[7; 1]), Ok([0, 1]));
        assert_eq!(header(&[7; 2000]), Ok([0x07, 0xd0]));
        assert_eq!(header(&[]), Err(FramingError(0)));
        assert_eq!(header(&[7; 2001]), Err(FramingError(2001)));
        assert_eq!(header(&[7; 65537]), Err(FramingError(65537)));
    }

    #[test]
    fn frames_arrive_whole_in_one_piece_and_byte_by_byte() {
        let stream = [0, 3, b'a', b'b', b'c', 0, 1, b'd', 0, 2, b'e'];
        let expected = vec![b"abc".to_vec(), b"d".to_vec()];
        assert_eq!(frames([&stream[..]]), Ok(expected.clone()));
        assert_eq!(frames(stream.chunks(1)), Ok(expected));
    }

    #[test]
    fn a_frame_of_no_or_too_many_bytes_ends_the_stream_at_its_header() {
        assert_eq!(frames([&[0, 1, b'a', 0, 0][..]]), Err(FramingError(0)));
        assert_eq!(frames([&[0][..], &[0][..]]), Err(FramingError(0)));
        assert_eq!(frames([&[0x07, 0xd1][..]]), Err(FramingError(2001)));
        assert_eq!(frames([&b"GET / HTTP/1.1\r\n\r\n"[..]]), Err(FramingError(0x4745)));
        assert_eq!(frames([&[0x07, 0xd0][..], &[9; 2000][..]]), Ok(vec![vec![9; 2000]]));
    }

    #[test]
    fn what_came_before_a_bad_frame_is_handed_on() {
        let mut deframer = Deframer::default();
        let mut seen = Vec::new();
        let result = deframer.push(&[0, 1, b'a', 0xff, 0xff, b'b'], |frame| seen.push(frame.to_vec()));
        assert_eq!((result, seen), (Err(FramingError(0xffff)), vec![b"a".to_vec()]));
    }

    #[test]
    fn any_split_gives_the_same_frames() {
        let mut random = fastrand::Rng::with_seed(4571);
        for _ in 0..500 {
            let sent: Vec<Vec<u8>> = (0..random.usize(1..20))
                .map(|_| {
                    let longest = if random.bool() { 5 } else { LONGEST };
                    let length = random.usize(1..=longest);
                    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
                })
                .collect();
            let stream: Vec<u8> = sent.iter().flat_map(|frame| [&header(frame).unwrap()[..], frame].concat()).collect();
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let most = if random.bool() { 3 } else { 6000 };
                let (piece, next) = rest.split_at(random.usize(0..=most).min(rest.len()));
                pieces.push(piece);
                rest = next;
            }
            assert_eq!(frames(pieces), Ok(sent));
        }
    }

    #[test]
    fn garbage_is_refused_or_framed_but_never_held() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let length = random.usize(0..5000);
            let garbage: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            let piece = random.usize(1..700);
            // `frames` asserts the bound.
            let _ = frames(garbage.chunks(piece));
        }
    }
}
