//! The session description: a clip and its URL in, SDP out. RFC 8866, with the formats of RFC 6184, 7798, 3640, 7587.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::clip::AudioCoding;
use super::{Audio, Clip};
use crate::media::VideoCodec;

/// Payload type of the video; of JPEG (RFC 3551 section 6).
pub(super) const VIDEO_TYPE: u8 = 96;
pub(super) const JPEG_TYPE: u8 = 26;

/// `url` is the presentation's, without a slash at its end; tracks are `<url>/trackID=0` (video) and `1` (sound).
/// Control URLs are absolute, since clients disagree on how to append to a URL with a query.
pub(super) fn describe(clip: &Clip, url: &str, jpeg: bool, parameter_sets: bool) -> String {
    let video_type = if jpeg { JPEG_TYPE } else { VIDEO_TYPE };
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Porthole demo camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=range:npt=now-\r\nm=video 0 RTP/AVP {video_type}\r\n"
    );
    let sets: Vec<String> = clip.parameter_sets.iter().map(|set| STANDARD.encode(set)).collect();
    let written = if jpeg {
        write!(sdp, "a=rtpmap:26 JPEG/90000\r\n")
    } else if clip.codec == VideoCodec::H264 {
        let profile = match clip.parameter_sets.iter().find(|set| set.first().is_some_and(|first| first & 0x1F == 7)) {
            Some(sps) if sps.len() > 3 => format!(";profile-level-id={:02X}{:02X}{:02X}", sps[1], sps[2], sps[3]),
            _ => String::new(),
        };
        let sets = if parameter_sets { format!(";sprop-parameter-sets={}", sets.join(",")) } else { String::new() };
        write!(sdp, "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1{profile}{sets}\r\n")
    } else {
        let sets =
            ["sprop-vps=", "sprop-sps=", "sprop-pps="].iter().zip(&sets).map(|(name, set)| [name, &set[..]].concat());
        let sets = if parameter_sets {
            format!("a=fmtp:96 {}\r\n", sets.collect::<Vec<_>>().join(";"))
        } else {
            String::new()
        };
        write!(sdp, "a=rtpmap:96 H265/90000\r\n{sets}")
    };
    written
        .and_then(|()| write!(sdp, "a=control:{url}/trackID=0\r\n"))
        .and_then(|()| clip.audio.as_ref().map_or(Ok(()), |audio| describe_audio(audio, url, &mut sdp)))
        .expect("a String takes all that is written");
    sdp
}

fn describe_audio(audio: &Audio, url: &str, sdp: &mut String) -> std::fmt::Result {
    let (number, rate, channels) = (audio.payload_type, audio.sample_rate, audio.channels);
    let count = if channels > 1 { format!("/{channels}") } else { String::new() };
    write!(sdp, "m=audio 0 RTP/AVP {number}\r\na=rtpmap:{number} ")?;
    match audio.coding {
        AudioCoding::Aac { config: [first, second] } => write!(
            sdp,
            "mpeg4-generic/{rate}/{channels}\r\na=fmtp:{number} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;\
             indexlength=3;indexdeltalength=3;config={first:02X}{second:02X}\r\n"
        )?,
        AudioCoding::Pcmu => write!(sdp, "PCMU/{rate}{count}\r\n")?,
        AudioCoding::Pcma => write!(sdp, "PCMA/{rate}{count}\r\n")?,
        AudioCoding::Opus => write!(sdp, "opus/48000/2\r\n")?,
    }
    write!(sdp, "a=control:{url}/trackID=1\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_clip_is_described_in_full() {
        let clip = Clip::builtin();
        let sdp = describe(&clip, "rtsp://h/demo", false, true);
        let (head, rest) = sdp.split_once("sprop-parameter-sets=").unwrap();
        assert_eq!(
            head,
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Porthole demo camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
             a=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1;profile-level-id=4D4016;"
        );
        let (_, rest) = rest.split_once("\r\n").unwrap();
        assert_eq!(
            rest,
            "a=control:rtsp://h/demo/trackID=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/16000/1\r\n\
             a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;\
             config=1408\r\na=control:rtsp://h/demo/trackID=1\r\n"
        );
    }

    #[test]
    fn other_sound_and_missing_sets_are_described_too() {
        let clip = Clip::builtin().with_audio(Audio::pcmu_silence());
        let sdp = describe(&clip, "rtsp://h/demo", false, false);
        assert!(!sdp.contains("sprop") && sdp.contains("m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"));
        let clip = clip.with_audio(Audio::pcma_tone());
        assert!(
            describe(&clip, "rtsp://h/demo", false, true).contains("m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")
        );
        let clip = clip.with_audio(Audio::pcma_tone().with_payload_type(98).described_as(16_000, 2));
        let sdp = describe(&clip, "rtsp://h/demo", false, true);
        assert!(sdp.contains("m=audio 0 RTP/AVP 98\r\na=rtpmap:98 PCMA/16000/2\r\na=control"));
        let sdp = describe(&clip.with_audio(Audio::opus_silence()), "rtsp://h/demo", true, true);
        assert!(sdp.contains("m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\na=control"));
        assert!(sdp.contains("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control"));
    }
}
