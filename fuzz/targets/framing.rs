//! A TCP stream of a stranger (RFC 4571): however it is split, the frames are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use porthole::webrtc::framing::{Deframer, FramingError, LONGEST, header};
use porthole_fuzz::Bytes;

type Frames = (Vec<Vec<u8>>, Result<(), FramingError>);

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Frames {
    let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
    for piece in pieces {
        if let Err(error) = deframer.push(piece, |frame| frames.push(frame.to_vec())) {
            return (frames, Err(error));
        }
    }
    (frames, Ok(()))
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let (small, large) = (usize::from(bytes.u8()).max(1), usize::from(bytes.u16()).max(1));
    let stream = bytes.rest();

    let (whole, result) = frames([stream].into_iter());
    assert_eq!(frames(stream.chunks(1)), (whole.clone(), result));
    assert_eq!(frames(stream.chunks(small)), (whole.clone(), result));
    assert_eq!(frames(stream.chunks(large)), (whole.clone(), result));
    // What came out, framed again, is what went in: up to where it ended.
    let mut again = Vec::new();
    for frame in &whole {
        assert!((1..=LONGEST).contains(&frame.len()));
        again.extend(header(frame).expect("it is a datagram"));
        again.extend(frame);
    }
    assert!(stream.starts_with(&again) && (result.is_err() || stream.len() - again.len() < 2 + LONGEST));
});
