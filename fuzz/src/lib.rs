//! What the targets share: a reader of the fuzzer's bytes, and streams and units made from them.

use std::rc::Rc;
use std::time::Instant;

use porthole::media::{AccessUnit, AudioCodec, AudioFormat, StreamFormat, Ticks, Track, VideoCodec, VideoFormat};

/// Takes the fuzzer's bytes apart; when they run out, zeros and nothing follow.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.take(self.0.len())
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    pub fn i32(&mut self) -> i32 {
        i32::from(self.u16().cast_signed()) << 16 | i32::from(self.u16())
    }

    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    pub fn codec(&mut self) -> VideoCodec {
        if self.flag() { VideoCodec::H265 } else { VideoCodec::H264 }
    }
}

/// The headers of the codec's parameter sets, in their order.
pub fn set_headers(codec: VideoCodec) -> &'static [&'static [u8]] {
    match codec {
        VideoCodec::H264 => &[&[0x67], &[0x68]],
        VideoCodec::H265 => &[&[0x40, 1], &[0x42, 1], &[0x44, 1]],
    }
}

/// A stream whose parameter sets have contents from `bytes`; they may be large, and are never empty.
pub fn format(codec: VideoCodec, audio: Option<AudioCodec>, bytes: &mut Bytes<'_>) -> Rc<StreamFormat> {
    let set = |header: &&[u8]| {
        let len = usize::from(bytes.u8()) * if bytes.flag() { 16 } else { 1 };
        [header, bytes.take(len)].concat().into_boxed_slice()
    };
    let parameter_sets = set_headers(codec).iter().map(set).collect();
    let video = VideoFormat { codec, parameter_sets, width: 1280, height: 720, rfc6381: "avc1.64001F".to_owned() };
    let audio = audio.map(|codec| AudioFormat { codec, sample_rate: 8000, channels: 1, rfc6381: String::new() });
    Rc::new(StreamFormat { video, audio })
}

/// An access unit of `format`: mostly NAL units as ingest gives them, at times bytes as they come.
pub fn unit(format: &Rc<StreamFormat>, dts: Ticks, now: Instant, bytes: &mut Bytes<'_>) -> AccessUnit {
    let flags = bytes.u8();
    let (key_frame, discontinuity, sound, raw) = (flags & 1 != 0, flags & 3 == 3, flags & 12 == 12, flags & 16 != 0);
    let data = if raw || sound {
        let len = usize::from(bytes.u16());
        bytes.take(len).to_vec()
    } else {
        nal_units(bytes)
    };
    let delay = Ticks(i64::from(if flags & 32 != 0 && !sound { bytes.u16() } else { 0 }));
    let track = if sound { Track::Audio } else { Track::Video };
    let pts = dts + delay;
    let unit = AccessUnit::video(format, dts, key_frame && !sound, data, now);
    AccessUnit { track, pts, discontinuity: discontinuity && !sound, ..unit }
}

/// NAL units, length-prefixed. Few bytes make a long one: its first 16 are the fuzzer's, and they repeat.
fn nal_units(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..bytes.u8() % 16 {
        let len = bytes.u16() % 8192;
        let pattern = bytes.take(usize::from(len).min(16));
        if pattern.is_empty() {
            break;
        }
        data.extend_from_slice(&u32::from(len).to_be_bytes());
        data.extend(pattern.iter().cycle().take(usize::from(len)));
    }
    data
}

/// NAL units by the definition, as a second opinion: a length that lies yields what is there.
pub fn units_of(data: &[u8]) -> Vec<&[u8]> {
    let (mut units, mut at) = (Vec::new(), 0);
    while data.len() - at >= 4 {
        let len = data[at..at + 4].iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte));
        let end = (at + 4).saturating_add(len).min(data.len());
        units.extend((end > at + 4).then_some(&data[at + 4..end]));
        at = end;
    }
    units
}

/// The codec's NAL unit type.
pub fn nal_type(codec: VideoCodec, unit: &[u8]) -> u8 {
    match codec {
        VideoCodec::H264 => unit[0] & 31,
        VideoCodec::H265 => unit[0] >> 1 & 63,
    }
}
