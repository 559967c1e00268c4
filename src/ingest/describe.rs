//! What the camera describes (SDP, as retina reads it) in, the streams to set up and their formats out.

use retina::client::Stream;
use retina::codec::{AudioParameters, CodecItem, ParametersRef, VideoParameters, VideoParametersCodec};

use crate::media::{AudioFormat, Ticks, Track, VideoCodec, VideoFormat};

use super::cause::Cause;
use super::event::{SkipReason, SkippedSound};
use super::intake::Frame;

/// The streams to set up, by their index in the description.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) video: usize,
    pub(super) audio: Option<Sound>,
    pub(super) skipped: Vec<SkippedSound>,
}

/// A sound stream to set up.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) index: usize,
    pub(super) rate: u32,
    pub(super) format: AudioFormat,
}

/// The first H.264 or H.265 stream, and the first AAC stream if `audio` is wanted. Anything else (metadata, second
/// pictures, sound that retina could not unpack, which would end the session) is not set up.
pub(super) fn choose(streams: &[Stream], audio: bool, host: &str) -> Result<Choice, Cause> {
    let videos = || streams.iter().enumerate().filter(|(_, stream)| matches!(stream.media(), "video" | "image"));
    let Some((video, _)) = videos().find(|(_, stream)| codec(stream).is_some()) else {
        return Err(match videos().next() {
            Some((_, other)) => Cause::VideoUnsupported { codec: codec_name(other) },
            None => Cause::NoVideo { host: host.to_owned() },
        });
    };
    let mut choice = Choice { video, audio: None, skipped: Vec::new() };
    for (index, stream) in streams.iter().enumerate().filter(|(_, stream)| stream.media() == "audio") {
        let rate = stream.clock_rate_hz();
        match sound(stream, audio) {
            Ok(format) if choice.audio.is_none() => choice.audio = Some(Sound { index, rate, format }),
            Ok(_) => choice.skipped.push(skipped(stream, SkipReason::Second)),
            Err(reason) => choice.skipped.push(skipped(stream, reason)),
        }
    }
    Ok(choice)
}

fn codec(stream: &Stream) -> Option<VideoCodec> {
    match (stream.media(), stream.encoding_name()) {
        ("video", "h264") => Some(VideoCodec::H264),
        ("video", "h265") => Some(VideoCodec::H265),
        _ => None,
    }
}

fn sound(stream: &Stream, wanted: bool) -> Result<AudioFormat, SkipReason> {
    if !wanted {
        return Err(SkipReason::TurnedOff);
    }
    match (stream.encoding_name(), stream.parameters()) {
        ("mpeg4-generic", Some(ParametersRef::Audio(parameters))) => {
            audio_format(parameters).ok_or(SkipReason::AacKind)
        }
        ("mpeg4-generic" | "mp4a-latm", _) => Err(SkipReason::AacKind),
        _ => Err(SkipReason::Codec { codec: codec_name(stream) }),
    }
}

pub(super) fn skipped(stream: &Stream, reason: SkipReason) -> SkippedSound {
    SkippedSound { codec: codec_name(stream), sample_rate: stream.clock_rate_hz(), reason }
}

fn codec_name(stream: &Stream) -> String {
    match stream.encoding_name() {
        "mpeg4-generic" | "mp4a-latm" => "AAC".to_owned(),
        "mp4v-es" => "MPEG-4".to_owned(),
        other => other.chars().filter(char::is_ascii_graphic).take(24).collect::<String>().to_ascii_uppercase(),
    }
}

/// An ADTS header has two bits for the object type: 1 (Main) to 4 (LTP), and a table for the sample rate.
fn audio_format(parameters: &AudioParameters) -> Option<AudioFormat> {
    const ADTS_RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
    let rfc6381 = parameters.rfc6381_codec()?.to_owned();
    let adts = matches!(rfc6381.as_str(), "mp4a.40.1" | "mp4a.40.2" | "mp4a.40.3" | "mp4a.40.4")
        && ADTS_RATES.contains(&parameters.clock_rate());
    adts.then(|| AudioFormat { sample_rate: parameters.clock_rate(), channels: parameters.channels().get(), rfc6381 })
}

/// The video format that a stream's parameters describe, once it has any.
pub(super) fn video_format(stream: Option<&Stream>) -> Option<VideoFormat> {
    let Some(ParametersRef::Video(parameters)) = stream?.parameters() else { return None };
    let (codec, sets): (_, Vec<&[u8]>) = match parameters.codec_params() {
        VideoParametersCodec::H264 { sps, pps } => (VideoCodec::H264, vec![sps, pps]),
        VideoParametersCodec::H265 { vps, sps, pps } => (VideoCodec::H265, vec![vps, sps, pps]),
        _ => return None,
    };
    let (width, height) = size(parameters);
    Some(VideoFormat {
        codec,
        parameter_sets: sets.into_iter().map(Box::from).collect(),
        width,
        height,
        rfc6381: parameters.rfc6381_codec().to_owned(),
    })
}

fn size(parameters: &VideoParameters) -> (u32, u32) {
    parameters.pixel_dimensions()
}

/// A frame as retina delivers it; `None` for reports and metadata. Video data is moved, not copied.
pub(super) fn frame(item: CodecItem) -> Option<(Frame, bool)> {
    let raw = |time: retina::Timestamp| Ticks::from_clock(time.elapsed(), time.clock_rate().get());
    match item {
        CodecItem::VideoFrame(video) => {
            let frame = Frame {
                track: Track::Video,
                raw: raw(video.timestamp()),
                began: video.start_ctx().received(),
                received: video.end_ctx().received(),
                lost_packets: video.loss(),
                data: Vec::new(),
            };
            let new_parameters = video.has_new_parameters();
            Some((Frame { data: video.into_data(), ..frame }, new_parameters))
        }
        CodecItem::AudioFrame(audio) => {
            let received = audio.ctx().received();
            let frame = Frame {
                track: Track::Audio,
                raw: raw(audio.timestamp()),
                began: received,
                received,
                lost_packets: audio.loss(),
                data: audio.data().to_vec(),
            };
            Some((frame, false))
        }
        _ => None,
    }
}
