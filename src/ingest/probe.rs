//! A look at one camera: units in, a report for a person out, with a verdict for each way of watching.

use std::fmt;
use std::rc::Rc;

use crate::media::{AccessUnit, AudioCodec, StreamFormat, Ticks, Track, VideoCodec};

use super::event::{SkippedSound, Warning};
use super::intake::{Picture, Taken};
use super::meter::Meter;
use super::settings::Transport;

/// What a camera sends.
#[derive(Debug)]
pub struct Report {
    /// The address, without secrets.
    pub url: String,
    /// How the camera sends.
    pub transport: Transport,
    /// What the camera says it is.
    pub tool: Option<String>,
    /// Codec, size, sound.
    pub format: Option<Rc<StreamFormat>>,
    /// Sound that is not carried.
    pub skipped: Vec<SkippedSound>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// The span between key frames.
    pub gop: Option<Ticks>,
    /// Bits per second, video and audio.
    pub bitrate: u64,
    /// The most slices of a picture.
    pub slices: usize,
    /// Pictures come out of display order.
    pub b_frames: bool,
    /// RTP packets known to be lost.
    pub lost_packets: u64,
    /// What could be better.
    pub warnings: Vec<Warning>,
    meter: Meter,
    key_frames: u32,
    pictures: u32,
    bytes: u64,
    first: Option<Ticks>,
}

/// Whether a camera can be watched in some way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can.
    Yes,
    /// It can, with a restriction.
    Partly(String),
    /// It cannot.
    No(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::Partly(but) => write!(f, "yes, but {but}"),
            Self::No(because) => write!(f, "no, because {because}"),
        }
    }
}

impl Report {
    pub(super) fn new(url: String, transport: Transport, tool: Option<String>, skipped: &[SkippedSound]) -> Self {
        Self {
            url,
            transport,
            tool,
            format: None,
            skipped: skipped.to_vec(),
            fps: None,
            gop: None,
            bitrate: 0,
            slices: 0,
            b_frames: false,
            lost_packets: 0,
            warnings: Vec::new(),
            meter: Meter::default(),
            key_frames: 0,
            pictures: 0,
            bytes: 0,
            first: None,
        }
    }

    pub(super) fn observe(&mut self, taken: &Taken, b_frames: bool) {
        match taken {
            Taken::Unit { unit, .. } => self.observe_unit(unit, b_frames),
            Taken::Skipped { lost_packets } => self.meter.on_skipped(*lost_packets),
        }
        let facts = self.meter.facts();
        (self.gop, self.b_frames, self.lost_packets) = (facts.gop, facts.b_frames, facts.lost_packets);
    }

    fn observe_unit(&mut self, unit: &AccessUnit, b_frames: bool) {
        self.meter.on_unit(unit, b_frames);
        self.format = Some(Rc::clone(&unit.format));
        if unit.track == Track::Video {
            let span = unit.dts - *self.first.get_or_insert(unit.dts);
            if span > Ticks::ZERO {
                self.fps = Some(f64::from(self.pictures) / span.as_secs_f64());
                self.bitrate = super::meter::rate(self.bytes, span);
            }
            self.pictures += 1;
            self.key_frames += u32::from(unit.key_frame);
            self.slices = self.slices.max(Picture::of(unit.format.video.codec, &unit.data).slices);
        }
        self.bytes += unit.data.len() as u64;
    }

    pub(super) fn key_frames(&self) -> u32 {
        self.key_frames
    }

    /// True while no key frame was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.format.is_none()
    }

    /// Whether HLS players can show it.
    pub fn hls(&self) -> Verdict {
        let Some(format) = &self.format else { return Verdict::No(NO_KEY_FRAME.to_owned()) };
        let mut buts = Vec::new();
        if format.video.codec == VideoCodec::H265 {
            buts.push("only in players that decode H.265 (Safari, VLC, some Chrome and Edge)".to_owned());
        }
        if let Some(Warning::LongGop { seconds }) = self.warnings.iter().find(|w| matches!(w, Warning::LongGop { .. }))
        {
            buts.push(format!("{seconds} s late or more: key frames are {seconds} s apart"));
        }
        buts.extend(self.without_sound(|codec| codec == AudioCodec::Aac));
        buts.extend(self.damage());
        verdict(buts)
    }

    /// Whether browsers can show it over WebRTC.
    pub fn webrtc(&self) -> Verdict {
        let Some(format) = &self.format else { return Verdict::No(NO_KEY_FRAME.to_owned()) };
        if format.video.codec == VideoCodec::H265 {
            return Verdict::No("most browsers take no H.265 over WebRTC: choose H.264 in the camera".to_owned());
        }
        if self.b_frames {
            return Verdict::No(
                "B-frames do not play over WebRTC: turn them off in the camera (profile Baseline or Main)".to_owned(),
            );
        }
        let silent = self.without_sound(|codec| codec != AudioCodec::Aac);
        verdict(silent.into_iter().chain(self.damage()).collect())
    }

    /// What to say when the camera has sound, but none of a codec that `plays`.
    fn without_sound(&self, plays: impl Fn(AudioCodec) -> bool) -> Option<String> {
        let taken = self.format.as_ref().and_then(|format| format.audio.as_ref());
        let silent = taken.map_or(!self.skipped.is_empty(), |audio| !plays(audio.codec));
        silent.then(|| "without sound".to_owned())
    }

    /// Some servers skip a packet of sound at the start: that alone is no damage.
    fn damage(&self) -> Option<String> {
        const HARMLESS: u64 = 3;
        (self.lost_packets > HARMLESS).then(|| format!("damaged: {} packets were lost", self.lost_packets))
    }
}

const NO_KEY_FRAME: &str = "no key frame was seen";

fn verdict(buts: Vec<String>) -> Verdict {
    if buts.is_empty() { Verdict::Yes } else { Verdict::Partly(buts.join("; ")) }
}

/// What `porthole probe` prints.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.url)?;
        writeln!(f, "camera     {}", self.tool.as_deref().unwrap_or("does not say what it is"))?;
        writeln!(f, "transport  {}", self.transport.name().to_uppercase())?;
        match &self.format {
            Some(format) => {
                let video = &format.video;
                let codec = video.codec.name();
                writeln!(f, "video      {codec} {}x{}, {}", video.width, video.height, video.rfc6381)?;
            }
            None => writeln!(f, "video      {NO_KEY_FRAME}")?,
        }
        if let Some(fps) = self.fps {
            writeln!(f, "rate       {fps:.1} pictures/s, {} kbit/s", self.bitrate / 1000)?;
        }
        match self.gop {
            Some(gop) => writeln!(f, "key frames every {:.1} s", gop.as_secs_f64())?,
            None => writeln!(f, "key frames further apart than this look was long")?,
        }
        let slices = if self.slices == 1 { "1 slice" } else { &format!("{} slices", self.slices) };
        writeln!(f, "pictures   {slices} each, {}", if self.b_frames { "with B-frames" } else { "no B-frames" })?;
        match self.format.as_ref().and_then(|format| format.audio.as_ref()) {
            Some(audio) => {
                let output = match audio.codec {
                    AudioCodec::Aac => "HLS",
                    AudioCodec::Pcmu | AudioCodec::Pcma => "WebRTC",
                };
                let (codec, rate, channels) = (audio.codec.name(), audio.sample_rate, audio.channels);
                writeln!(f, "sound      {codec} {rate} Hz, {channels} channels, plays as {output} only")?;
            }
            None if self.skipped.is_empty() => writeln!(f, "sound      none")?,
            None => {}
        }
        for sound in &self.skipped {
            writeln!(f, "sound      {} {} Hz, plays nowhere: {}", sound.codec, sound.sample_rate, sound.reason)?;
        }
        writeln!(f, "lost       {} packets", self.lost_packets)?;
        for warning in &self.warnings {
            writeln!(f, "warning    {warning}")?;
        }
        writeln!(f, "plays as HLS     {}", self.hls())?;
        write!(f, "plays as WebRTC  {}", self.webrtc())
    }
}
