//! What the camera shows: Annex B video and framed audio in, access units that loop without an end out.

use super::g711;
use crate::media::{VideoCodec, nal};

/// A looping clip: access units of one video stream in decoding order, and perhaps sound.
#[derive(Debug)]
pub struct Clip {
    pub(super) codec: VideoCodec,
    /// The first of each kind, in the order they are sent: (VPS,) SPS, PPS.
    pub(super) parameter_sets: Vec<Vec<u8>>,
    pub(super) units: Vec<Unit>,
    /// Time from one access unit to the next, 90 kHz.
    pub(super) frame_ticks: u32,
    pub(super) audio: Option<Audio>,
}

/// One coded picture.
#[derive(Debug)]
pub(super) struct Unit {
    /// NAL units without start codes, as they were in the input.
    pub(super) nals: Vec<Vec<u8>>,
    pub(super) key_frame: bool,
    /// Place in display order within the clip.
    pub(super) shown: u32,
}

/// The payload type of sound that has no number of its own.
const DYNAMIC_TYPE: u8 = 97;

/// Sound that loops beside the video, at its own length.
#[derive(Debug)]
pub struct Audio {
    pub(super) coding: AudioCoding,
    pub(super) payload_type: u8,
    /// Samples per second; also the RTP clock.
    pub(super) sample_rate: u32,
    pub(super) channels: u8,
    /// Samples in each frame.
    pub(super) frame_samples: u32,
    pub(super) frames: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudioCoding {
    /// AAC, by its AudioSpecificConfig.
    Aac {
        config: [u8; 2],
    },
    Pcmu,
    Pcma,
    Opus,
}

/// Why bytes are not a clip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClip {
    /// No access unit was found.
    #[error("the video holds no picture")]
    NoPicture,
    /// The first access unit is not one that decoding can start from.
    #[error("the video does not begin with a key frame")]
    NoKeyFrameFirst,
    /// SPS or PPS (or VPS, in H.265) is missing.
    #[error("the video has no SPS, PPS (or VPS)")]
    NoParameterSets,
    /// The display order is not one number per access unit, each once.
    #[error("the display order is not a permutation of the {pictures} pictures")]
    BadOrder {
        /// Access units found.
        pictures: usize,
    },
    /// A frame of 0 ticks would be endless work.
    #[error("the frame duration is 0")]
    NoDuration,
    /// The sound is not a row of whole ADTS frames of one raw data block each.
    #[error("the sound is not ADTS at byte {at}")]
    NotAdts {
        /// Offset of the first byte that does not fit.
        at: usize,
    },
}

impl Clip {
    /// The clip that `make-clip.sh` makes: 640x360, 15 fps, H.264 Main, GOP 1 s, 30 s, AAC-LC 16 kHz mono.
    pub fn builtin() -> Self {
        let video = Self::from_annex_b(VideoCodec::H264, include_bytes!("clip.h264"), 6000, &[]);
        let audio = Audio::from_adts(include_bytes!("clip.aac"));
        video.expect("the built-in clip is sound, a test reads it").with_audio(audio.expect("as is its sound"))
    }

    /// Another picture size, for tests: 320x180, 15 fps, H.264 Main, 1 s, no sound.
    pub fn small() -> Self {
        Self::from_annex_b(VideoCodec::H264, include_bytes!("small.h264"), 6000, &[])
            .expect("the small clip is sound, a test reads it")
    }

    /// Reads an Annex B stream (start codes of 3 or 4 bytes; access unit delimiters are not needed).
    /// `frame_ticks` is the time from picture to picture at 90 kHz (3600: 25 fps). `order` gives each picture's place in
    /// display order, by decoding order, for clips with B-frames; empty when both orders are the same.
    ///
    /// # Errors
    /// When the bytes do not begin with a decodable picture, or `order` is not a permutation.
    pub fn from_annex_b(codec: VideoCodec, bytes: &[u8], frame_ticks: u32, order: &[u32]) -> Result<Self, BadClip> {
        let mut units: Vec<Unit> = Vec::new();
        let mut sets: Vec<Vec<u8>> = Vec::new();
        let mut pending: Vec<Vec<u8>> = Vec::new();
        for unit in nal_units(bytes) {
            let kind = nal::kind(codec, unit);
            if kind == nal::Kind::ParameterSet && !sets.iter().any(|known| known.first() == unit.first()) {
                sets.push(unit.to_vec());
            }
            let slice = matches!(kind, nal::Kind::KeySlice | nal::Kind::Slice);
            let trailing = kind == nal::Kind::Other && is_suffix(codec, unit);
            let key_frame = kind == nal::Kind::KeySlice;
            if slice && first_in_picture(codec, unit) {
                let mut nals = std::mem::take(&mut pending);
                nals.push(unit.to_vec());
                let shown = u32::try_from(units.len()).unwrap_or(u32::MAX);
                units.push(Unit { nals, key_frame, shown });
            } else if let Some(last) = units.last_mut()
                && (slice || trailing)
            {
                last.nals.push(unit.to_vec());
            } else if !slice {
                pending.push(unit.to_vec());
            }
        }
        sets.sort_by_key(|set| set.first().copied());
        let first = units.first().ok_or(BadClip::NoPicture)?;
        if !first.key_frame {
            return Err(BadClip::NoKeyFrameFirst);
        }
        if sets.len() < if codec == VideoCodec::H264 { 2 } else { 3 } {
            return Err(BadClip::NoParameterSets);
        }
        if frame_ticks == 0 {
            return Err(BadClip::NoDuration);
        }
        if !order.is_empty() {
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            if order.len() != units.len() || sorted.iter().zip(0..).any(|(place, expected)| *place != expected) {
                return Err(BadClip::BadOrder { pictures: units.len() });
            }
            units.iter_mut().zip(order).for_each(|(unit, place)| unit.shown = *place);
        }
        Ok(Self { codec, parameter_sets: sets, units, frame_ticks, audio: None })
    }

    /// The same clip with this sound.
    #[must_use]
    pub fn with_audio(mut self, audio: Audio) -> Self {
        self.audio = Some(audio);
        self
    }

    /// The same clip without sound.
    #[must_use]
    pub fn without_audio(mut self) -> Self {
        self.audio = None;
        self
    }

    /// Pictures in one turn of the loop.
    pub fn pictures(&self) -> usize {
        self.units.len()
    }

    /// One turn of the loop, 90 kHz.
    pub(super) fn loop_ticks(&self) -> i64 {
        i64::from(self.frame_ticks).saturating_mul(i64::try_from(self.units.len()).unwrap_or(i64::MAX))
    }
}

impl Audio {
    /// AAC in ADTS (ISO/IEC 13818-7 section 6.2), one raw data block to a frame.
    ///
    /// # Errors
    /// When the bytes are not a row of whole frames, or a frame's header differs in rate or channels.
    pub fn from_adts(bytes: &[u8]) -> Result<Self, BadClip> {
        const RATES: [u32; 13] =
            [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
        let mut frames = Vec::new();
        let mut rest = bytes;
        let mut head = None;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let bad = BadClip::NotAdts { at };
            let &[0xFF, sync, fixed, flags, length, low, blocks, ..] = rest else { return Err(bad) };
            let header_len = if sync & 1 == 1 { 7 } else { 9 };
            let frame_len = usize::from(flags & 3) << 11 | usize::from(length) << 3 | usize::from(low >> 5);
            let (Some(frame), true) = (rest.get(header_len..frame_len), sync & 0xF6 == 0xF0 && blocks & 3 == 0) else {
                return Err(bad);
            };
            let this = (fixed, flags & 0xC0);
            if *head.get_or_insert(this) != this {
                return Err(bad);
            }
            frames.push(frame.to_vec());
            rest = &rest[frame_len..];
        }
        let (fixed, flags) = head.ok_or(BadClip::NotAdts { at: 0 })?;
        let (object_type, rate_index) = ((fixed >> 6) + 1, fixed >> 2 & 0xF);
        let channels = (fixed & 1) << 2 | flags >> 6;
        let sample_rate = *RATES.get(usize::from(rate_index)).ok_or(BadClip::NotAdts { at: 2 })?;
        let config = [object_type << 3 | rate_index >> 1, (rate_index & 1) << 7 | channels << 3];
        let coding = AudioCoding::Aac { config };
        Ok(Self { coding, payload_type: DYNAMIC_TYPE, sample_rate, channels, frame_samples: 1024, frames })
    }

    /// G.711 mu-law silence, 8 kHz mono, 20 ms to a packet.
    pub fn pcmu_silence() -> Self {
        Self { frames: vec![vec![0xFF; 160]], ..Self::pcmu_tone() }
    }

    /// G.711 mu-law: a tone of 440 Hz, 8 kHz mono, 20 ms to a packet, payload type 0.
    pub fn pcmu_tone() -> Self {
        Self::g711(AudioCoding::Pcmu, 0, g711::tone(g711::mu_law))
    }

    /// G.711 A-law: the same tone, payload type 8.
    pub fn pcma_tone() -> Self {
        Self::g711(AudioCoding::Pcma, 8, g711::tone(g711::a_law))
    }

    fn g711(coding: AudioCoding, payload_type: u8, frames: Vec<Vec<u8>>) -> Self {
        let (sample_rate, frame_samples) = (g711::SAMPLE_RATE, g711::FRAME_SAMPLES);
        Self { coding, payload_type, sample_rate, channels: 1, frame_samples, frames }
    }

    /// The same packets with another payload type; 97 to 127 is dynamic. Only the SDP says what they hold.
    #[must_use]
    pub const fn with_payload_type(mut self, payload_type: u8) -> Self {
        self.payload_type = payload_type;
        self
    }

    /// The same packets, described as another rate and count of channels.
    #[must_use]
    pub const fn described_as(mut self, sample_rate: u32, channels: u8) -> Self {
        (self.sample_rate, self.channels) = (sample_rate, channels);
        self
    }

    /// Opus silence, 20 ms to a packet.
    pub fn opus_silence() -> Self {
        let frames = vec![vec![0xF8, 0xFF, 0xFE]];
        let (coding, payload_type) = (AudioCoding::Opus, DYNAMIC_TYPE);
        Self { coding, payload_type, sample_rate: 48_000, channels: 2, frame_samples: 960, frames }
    }
}

/// The NAL units between start codes, without trailing zeros; empty ones are skipped.
fn nal_units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    let mut started = false;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let code = rest.windows(3).position(|window| window == [0, 0, 1]);
            let (unit, after) = match code {
                Some(at) => (&rest[..at], &rest[at + 3..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = after;
            let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if std::mem::replace(&mut started, true) && end > 0 {
                return Some(&unit[..end]);
            }
        }
    })
}

/// Whether a slice begins a picture: `first_mb_in_slice` is 0 (H.264 section 7.3.3), or `first_slice_segment_in_pic_flag`
/// is set (H.265 section 7.3.6.1). Both are the first bit after the NAL unit header.
fn first_in_picture(codec: VideoCodec, unit: &[u8]) -> bool {
    let header = if codec == VideoCodec::H264 { 1 } else { 2 };
    unit.get(header).is_some_and(|byte| byte & 0x80 != 0)
}

/// Whether a unit that is neither slice nor parameter set belongs to the picture before it: end of sequence, end of
/// stream, filler, H.265 suffix SEI.
fn is_suffix(codec: VideoCodec, unit: &[u8]) -> bool {
    let first = unit.first().copied().unwrap_or(0);
    match codec {
        VideoCodec::H264 => matches!(first & 0x1F, 10..=12),
        VideoCodec::H265 => matches!((first >> 1) & 0x3F, 36..=38 | 40),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_clip_is_small_and_has_a_key_frame_each_second() {
        let clip = Clip::builtin();
        assert!(include_bytes!("clip.h264").len() + include_bytes!("clip.aac").len() <= 300_000);
        assert_eq!(clip.pictures(), 450);
        assert_eq!(clip.loop_ticks(), 30 * 90_000);
        for (at, unit) in clip.units.iter().enumerate() {
            assert_eq!(unit.key_frame, at % 15 == 0, "picture {at}");
            assert_eq!(unit.nals.len(), if unit.key_frame { 3 } else { 1 }, "picture {at}");
        }
        assert_eq!(clip.parameter_sets[0][..4], [0x67, 0x4D, 0x40, 22]);
        let audio = clip.audio.unwrap();
        assert_eq!((audio.sample_rate, audio.channels, audio.frames.len()), (16_000, 1, 125));
        assert_eq!(audio.coding, AudioCoding::Aac { config: [0x14, 0x08] });
        let small = Clip::small();
        assert_eq!((small.pictures(), small.units[0].key_frame), (15, true));
        assert_ne!(small.parameter_sets, clip.parameter_sets);
    }

    #[test]
    fn pictures_are_found_without_delimiters_and_slices_stay_together() {
        let bytes = [
            [0, 0, 0, 1, 0x67, 7].as_slice(),
            &[0, 0, 1, 0x68, 8],
            &[0, 0, 1, 0x65, 0x80, 1, 0, 0, 1, 0x65, 0x40, 2],
            &[0, 0, 1, 0x0C, 0xFF, 0x80],
            &[0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x41, 0x80, 3, 0, 0, 0],
        ]
        .concat();
        let clip = Clip::from_annex_b(VideoCodec::H264, &bytes, 3600, &[1, 0]).unwrap();
        let sizes: Vec<Vec<u8>> = clip.units.iter().map(|u| u.nals.iter().map(|n| n[0]).collect()).collect();
        assert_eq!(sizes, [vec![0x67, 0x68, 0x65, 0x65, 0x0C], vec![0x09, 0x41]]);
        assert_eq!(clip.units[1].nals[1], [0x41, 0x80, 3]);
        assert_eq!((clip.units[0].shown, clip.units[1].shown), (1, 0));
        let order = |order: &[u32]| Clip::from_annex_b(VideoCodec::H264, &bytes, 3600, order).err();
        assert_eq!(order(&[0, 0]), Some(BadClip::BadOrder { pictures: 2 }));
        assert_eq!(order(&[0]), Some(BadClip::BadOrder { pictures: 2 }));
    }

    #[test]
    fn bytes_that_are_no_clip_are_refused() {
        let read = |bytes: &[u8]| Clip::from_annex_b(VideoCodec::H264, bytes, 3600, &[]).err();
        assert_eq!(read(&[]), Some(BadClip::NoPicture));
        assert_eq!(read(&[0, 0, 1]), Some(BadClip::NoPicture));
        assert_eq!(read(&[0, 0, 1, 0x41, 0x80]), Some(BadClip::NoKeyFrameFirst));
        assert_eq!(read(&[0, 0, 1, 0x65, 0x80]), Some(BadClip::NoParameterSets));
        assert_eq!(Audio::from_adts(&[]).err(), Some(BadClip::NotAdts { at: 0 }));
        let frame = [0xFF, 0xF1, 0x60, 0x40, 0x01, 0x1F, 0xFC, 0xAA];
        assert_eq!(Audio::from_adts(&frame).unwrap().frames, [[0xAA]]);
        assert_eq!(Audio::from_adts(&frame[..7]).err(), Some(BadClip::NotAdts { at: 0 }));
        let no_progress = [0xFF, 0xF1, 0x60, 0x40, 0, 0x1F, 0xFC, 0xAA];
        assert_eq!(Audio::from_adts(&no_progress).err(), Some(BadClip::NotAdts { at: 0 }));
        assert_eq!(Audio::from_adts(&[&frame[..], &[1]].concat()).err(), Some(BadClip::NotAdts { at: 8 }));
    }
}
