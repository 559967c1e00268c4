//! Frames of a session in, access units out: what is a picture, which format it has, when it is shown, and whether it
//! begins a new run. Pure; one `Intake` lives as long as the camera's task.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::media::{AccessUnit, AudioFormat, StreamFormat, Ticks, Track, VideoCodec, VideoFormat, nal};

use super::event::Warning;
use super::sps;
use super::timeline::Timeline;

/// The largest picture taken, bytes: a 4K key frame is below 2 MiB; more is a camera that means harm.
pub const MAX_PICTURE: usize = 4 << 20;
/// Key frames further apart than this are worth a warning.
const LONG_GOP: Ticks = Ticks::from_secs(4);
/// Without a key frame for so long: intra refresh, or far too long a GOP.
const KEY_FRAME_PATIENCE: Duration = Duration::from_secs(15);
/// Picture parameter sets kept at most; more are the camera's mistake, and the oldest goes.
const MAX_PPS: usize = 8;

/// A frame as the camera sent it.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) track: Track,
    /// The stream's own time.
    pub(super) raw: Ticks,
    /// When its first packet arrived.
    pub(super) began: Instant,
    /// When its last packet arrived.
    pub(super) received: Instant,
    pub(super) lost_packets: u16,
    pub(super) data: Vec<u8>,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) enum Taken {
    /// To be delivered; `new_format` when its format is one that was not in force before.
    Unit { unit: AccessUnit, new_format: bool, first: bool },
    /// Not to be delivered.
    Skipped { lost_packets: u16 },
}

/// The state of a camera's streams.
#[derive(Debug, Default)]
pub(super) struct Intake {
    timeline: Timeline,
    /// In force.
    format: Option<Rc<StreamFormat>>,
    /// In force from the next key frame on.
    next_video: Option<VideoFormat>,
    audio: Option<AudioFormat>,
    /// This session delivered a key frame.
    flowing: bool,
    /// The next key frame begins a new run.
    broken: bool,
    /// The session's first picture, then its last key frame.
    patient_since: Option<Instant>,
    last_key_frame: Option<Ticks>,
    /// Warned about in this session.
    warned: Vec<&'static str>,
    warnings: Vec<Warning>,
}

impl Intake {
    /// `delivered_before`: readers of this camera have seen units of an earlier run.
    pub(super) fn new(delivered_before: bool) -> Self {
        Self { broken: delivered_before, ..Self::default() }
    }

    /// A new session begins; `audio` is what it delivers beside the video.
    pub(super) fn start_session(&mut self, audio: Option<AudioFormat>) {
        self.broken |= self.format.is_some();
        self.audio = audio;
        self.next_video = None;
        self.flowing = false;
        self.patient_since = None;
        self.last_key_frame = None;
        self.warned.clear();
        self.timeline.start_session();
    }

    /// The camera told its parameter sets, in its description or in band.
    pub(super) fn on_parameters(&mut self, video: VideoFormat) {
        let current = self.next_video.as_ref().or(self.format.as_ref().map(|format| &format.video));
        self.next_video = Some(match current {
            Some(current) => with_known_pps(current, video),
            None => video,
        });
    }

    /// True once pictures came out of display order.
    pub(super) fn out_of_order(&self) -> bool {
        self.timeline.out_of_order()
    }

    /// The next warning, each at most once per session.
    pub(super) fn poll_warning(&mut self) -> Option<Warning> {
        self.warnings.pop()
    }

    /// Takes the next frame.
    pub(super) fn take(&mut self, frame: Frame) -> Taken {
        match frame.track {
            Track::Video => self.take_picture(frame),
            Track::Audio => self.take_sound(frame),
        }
    }

    fn take_picture(&mut self, frame: Frame) -> Taken {
        let codec = match (&self.next_video, &self.format) {
            (Some(video), _) => video.codec,
            (None, Some(format)) if self.flowing => format.video.codec,
            // Parameter sets are still to come.
            _ => return self.skip_picture(&frame),
        };
        if frame.data.len() > MAX_PICTURE {
            self.warn(Warning::HugePicture { bytes: frame.data.len() as u64, limit: MAX_PICTURE as u64 });
            return self.skip_picture(&frame);
        }
        let Picture { slices, key_frame } = Picture::of(codec, &frame.data);
        if slices == 0 || !(key_frame || self.flowing) {
            return self.skip_picture(&frame);
        }
        let new_format = key_frame && self.adopt_format();
        let Some(format) = self.format.clone() else { return self.skip_picture(&frame) };
        let first = !self.flowing;
        if self.timeline.jumps(frame.raw) {
            self.broken = true;
            self.warn(Warning::ClockJump);
        }
        let restart = key_frame && (first || new_format || self.broken || self.timeline.wants_restart());
        // The first key frame ever begins a run without being a break.
        let discontinuity = restart && (self.broken || !first);
        let stamp = self.timeline.video(frame.raw, frame.began, restart);
        self.flowing = true;
        self.broken &= !key_frame;
        self.watch_key_frames(key_frame, stamp.dts, frame.received);
        let unit = AccessUnit {
            track: Track::Video,
            pts: stamp.pts,
            dts: stamp.dts,
            key_frame,
            discontinuity,
            lost_packets: frame.lost_packets,
            received: frame.received,
            format,
            data: frame.data,
        };
        Taken::Unit { unit, new_format, first }
    }

    fn take_sound(&mut self, frame: Frame) -> Taken {
        // Before the session's first key frame there is no time for it, and it would belong to the run before.
        let (Some(pts), Some(format)) = (self.timeline.audio(frame.raw, frame.received), self.format.clone()) else {
            return Taken::Skipped { lost_packets: frame.lost_packets };
        };
        let unit = AccessUnit {
            track: Track::Audio,
            pts,
            dts: pts,
            key_frame: false,
            discontinuity: false,
            lost_packets: frame.lost_packets,
            received: frame.received,
            format,
            data: frame.data,
        };
        Taken::Unit { unit, new_format: false, first: false }
    }

    fn skip_picture(&mut self, frame: &Frame) -> Taken {
        self.timeline.skip_video(frame.raw);
        self.watch_key_frames(false, Ticks::ZERO, frame.received);
        Taken::Skipped { lost_packets: frame.lost_packets }
    }

    /// Puts the format told last in force; true when it differs from the one before.
    fn adopt_format(&mut self) -> bool {
        let Some(video) = self.next_video.take() else { return false };
        let next = StreamFormat { video, audio: self.audio.clone() };
        if self.format.as_deref() == Some(&next) {
            return false;
        }
        let same_video = self.format.as_ref().is_some_and(|format| format.video == next.video);
        if !same_video {
            let sps = next.video.parameter_sets.iter().find(|set| is_sps(next.video.codec, set));
            self.timeline.change_encoder(sps.and_then(|sps| sps::reorder_depth(next.video.codec, sps)));
        }
        self.format = Some(Rc::new(next));
        true
    }

    fn watch_key_frames(&mut self, key_frame: bool, dts: Ticks, now: Instant) {
        let since = *self.patient_since.get_or_insert(now);
        if !key_frame {
            let waited = now.saturating_duration_since(since);
            if waited >= KEY_FRAME_PATIENCE {
                self.warn(Warning::NoKeyFrame { seconds: waited.as_secs() });
            }
            return;
        }
        self.patient_since = Some(now);
        let gop = self.last_key_frame.replace(dts).map(|last| dts - last);
        if let Some(gop) = gop.filter(|gop| *gop > LONG_GOP) {
            let seconds = (gop + Ticks::from_millis(500)).to_duration().as_secs();
            self.warn(Warning::LongGop { seconds });
        }
    }

    fn warn(&mut self, warning: Warning) {
        if !self.warned.contains(&warning.code()) {
            self.warned.push(warning.code());
            self.warnings.push(warning);
        }
    }
}

/// What the NAL unit headers of a picture say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) slices: usize,
    /// Decoding can start here.
    pub(super) key_frame: bool,
}

impl Picture {
    pub(super) fn of(codec: VideoCodec, data: &[u8]) -> Self {
        let mut picture = Self { slices: 0, key_frame: false };
        let mut all_key = true;
        for unit in nal::units(data) {
            match nal::kind(codec, unit) {
                nal::Kind::KeySlice => picture.slices += 1,
                nal::Kind::Slice => {
                    picture.slices += 1;
                    all_key = false;
                }
                nal::Kind::ParameterSet | nal::Kind::Delimiter | nal::Kind::Other => {}
            }
        }
        picture.key_frame = all_key && picture.slices > 0;
        picture
    }
}

fn is_sps(codec: VideoCodec, set: &[u8]) -> bool {
    set.first().is_some_and(|first| match codec {
        VideoCodec::H264 => first & 0x1F == 7,
        VideoCodec::H265 => (first >> 1) & 0x3F == 33,
    })
}

/// retina knows one picture parameter set at a time, but some encoders use several and repeat all of them before each
/// key frame, which looks like a change each time: as long as the rest is the same, keep those with other ids.
fn with_known_pps(current: &VideoFormat, mut next: VideoFormat) -> VideoFormat {
    let codec = next.codec;
    let Some((pps, rest)) = next.parameter_sets.split_last() else { return next };
    let same_rest = codec == current.codec && current.parameter_sets.starts_with(rest);
    let (Some(id), true) = (sps::pps_id(codec, pps), same_rest) else { return next };
    let known = current.parameter_sets.get(rest.len()..).unwrap_or_default();
    let mut all: Vec<Box<[u8]>> = known.to_vec();
    match all.iter_mut().find(|other| sps::pps_id(codec, other) == Some(id)) {
        Some(same) => same.clone_from(pps),
        None => all.push(pps.clone()),
    }
    if all.len() > MAX_PPS {
        all.remove(0);
    }
    next.parameter_sets.truncate(rest.len());
    next.parameter_sets.extend(all);
    next
}
