//! What the camera describes (SDP, as retina reads it) in, the streams to set up and their formats out.

use std::num::NonZeroU16;

use retina::client::Stream;
use retina::codec::{AudioParameters, CodecItem, ParametersRef, VideoParameters, VideoParametersCodec};

use crate::media::{AudioCodec, AudioFormat, Ticks, Track, VideoCodec, VideoFormat};

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

/// The first H.264 or H.265 stream, and if `audio` is wanted the first AAC stream, else the first of G.711. Anything else
/// (metadata, second pictures, sound that retina could not unpack, which would end the session) is not set up.
pub(super) fn choose(streams: &[Stream], audio: bool, host: &str) -> Result<Choice, Cause> {
    let videos = || streams.iter().enumerate().filter(|(_, stream)| matches!(stream.media(), "video" | "image"));
    let Some((video, _)) = videos().find(|(_, stream)| codec(stream).is_some()) else {
        return Err(match videos().next() {
            Some((_, other)) => Cause::VideoUnsupported { codec: codec_name(other) },
            None => Cause::NoVideo { host: host.to_owned() },
        });
    };
    let (mut offered, mut skipped) = (Vec::new(), Vec::new());
    for (index, stream) in streams.iter().enumerate().filter(|(_, stream)| stream.media() == "audio") {
        let rate = stream.clock_rate_hz();
        match sound(stream, audio) {
            Ok(format) => offered.push(Sound { index, rate, format }),
            Err(reason) => skipped.push(SkippedSound { codec: codec_name(stream), sample_rate: rate, reason }),
        }
    }
    let audio = preferred(offered.iter().map(|sound| sound.format.codec)).map(|best| offered.remove(best));
    skipped.extend(offered.into_iter().map(|sound| sound.skipped(SkipReason::Second)));
    Ok(Choice { video, audio, skipped })
}

/// The index of the sound to take: the first AAC, which every player of HLS has, else the first.
fn preferred(mut offered: impl Iterator<Item = AudioCodec> + Clone) -> Option<usize> {
    let aac = offered.clone().position(|codec| codec == AudioCodec::Aac);
    aac.or_else(|| offered.next().map(|_| 0))
}

impl Sound {
    /// This sound, left out after all.
    pub(super) fn skipped(self, reason: SkipReason) -> SkippedSound {
        SkippedSound { codec: self.format.codec.name().to_owned(), sample_rate: self.rate, reason }
    }
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
        ("pcmu", _) => g711(AudioCodec::Pcmu, stream.clock_rate_hz(), stream.channels()),
        ("pcma", _) => g711(AudioCodec::Pcma, stream.clock_rate_hz(), stream.channels()),
        _ => Err(SkipReason::Codec { codec: codec_name(stream) }),
    }
}

/// WebRTC has one kind of G.711 (RFC 7874 section 3): 8 kHz mono. Without a count of channels there is one.
fn g711(codec: AudioCodec, sample_rate: u32, channels: Option<NonZeroU16>) -> Result<AudioFormat, SkipReason> {
    match (sample_rate, channels.map_or(1, NonZeroU16::get)) {
        (8000, 1) => Ok(AudioFormat { codec, sample_rate, channels: 1, rfc6381: String::new() }),
        (_, channels) => Err(SkipReason::G711Kind { sample_rate, channels }),
    }
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
    let (sample_rate, channels) = (parameters.clock_rate(), parameters.channels().get());
    adts.then_some(AudioFormat { codec: AudioCodec::Aac, sample_rate, channels, rfc6381 })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aac_goes_before_g711_and_the_first_before_others() {
        use AudioCodec::{Aac, Pcma, Pcmu};
        let index = |offered: &[AudioCodec]| preferred(offered.iter().copied());
        assert_eq!(index(&[]), None);
        assert_eq!(index(&[Pcma, Pcmu]), Some(0));
        assert_eq!(index(&[Pcmu, Aac, Pcma, Aac]), Some(1));
    }

    #[test]
    fn g711_is_8_khz_mono_or_nothing() {
        let channels = NonZeroU16::new;
        let taken = AudioFormat { codec: AudioCodec::Pcma, sample_rate: 8000, channels: 1, rfc6381: String::new() };
        assert_eq!(g711(AudioCodec::Pcma, 8000, channels(1)), Ok(taken.clone()));
        assert_eq!(g711(AudioCodec::Pcma, 8000, None), Ok(taken));
        for (sample_rate, count) in [(16_000, 1), (8000, 2), (0, 1)] {
            let refused = Err(SkipReason::G711Kind { sample_rate, channels: count });
            assert_eq!(g711(AudioCodec::Pcmu, sample_rate, channels(count)), refused);
        }
    }
}
