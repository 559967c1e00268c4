//! A stranger's SDP offer: one answer that fits it, or one sentence.
#![no_main]

use std::net::IpAddr;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use porthole::media::{AudioCodec, StreamId, VideoCodec};
use porthole::webrtc::fuzzing::Sessions;
use porthole::webrtc::{Certificate, OpenError};
use porthole_fuzz::{Bytes, format};

thread_local! {
    static CERTIFICATE: Certificate = Certificate::generate().expect("randomness");
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    // A digit, so that an offer with this one character before it is a seed.
    let kind = bytes.u8();
    let codec = if kind & 1 == 0 { VideoCodec::H264 } else { VideoCodec::H265 };
    let sound = if kind & 2 == 0 { AudioCodec::Pcma } else { AudioCodec::Aac };
    let Ok(sdp) = std::str::from_utf8(bytes.rest()) else { return };
    let stream = format(codec, Some(sound), &mut Bytes(&[]));
    let now = Instant::now();
    let certificate = CERTIFICATE.with(Certificate::clone);
    let mut sessions = Sessions::new(certificate, StreamId::parse("gate").expect("an id"), 1);
    let addresses: [IpAddr; 2] = [[10, 0, 0, 1].into(), [0xFD, 0, 0, 0, 0, 0, 0, 1].into()];

    match sessions.open(sdp, &stream, &addresses, [7; 44], now) {
        Ok((id, answer)) => {
            let lines: Vec<&str> = answer.split("\r\n").collect();
            assert!(lines[0] == "v=0" && lines.last() == Some(&""), "{answer}");
            assert!(answer.len() <= 8 * sdp.len() + 8192, "{} bytes for {}", answer.len(), sdp.len());
            assert!(!lines.iter().any(|line| line.contains(char::is_control)), "{answer:?}");
            let kinds = |text: &str| -> Vec<String> {
                let media = text.lines().filter_map(|line| line.strip_prefix("m="));
                media.map(|media| media.split(' ').next().unwrap_or_default().to_owned()).collect()
            };
            // RFC 3264 section 6: as many sections as the offer has, in its order.
            assert_eq!(kinds(&answer), kinds(sdp));
            assert!(answer.contains("a=ice-lite\r\n") && answer.contains("a=candidate:"), "{answer}");
            assert_eq!(sessions.sessions().len(), 1);
            // The limit holds, and a session that is over makes room.
            let again = sessions.open(sdp, &stream, &addresses, [8; 44], now);
            assert_eq!(again.err(), Some(OpenError::Full { of_camera: false, limit: 1 }));
            assert!(sessions.hang_up(id, now, &mut |path, _| panic!("sent to {path:?}, who was not heard")));
            assert!(sessions.sessions().is_empty() && sessions.poll_timeout().is_none());
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.is_empty() && sentence.len() <= 1200, "{} bytes: {sentence}", sentence.len());
            assert!(!sentence.contains(char::is_control), "{sentence:?}");
            assert!(sessions.sessions().is_empty());
        }
    }
});
