//! The intake's promises, on frames made by hand; and what the tests of this folder share.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::intake::{Frame, Intake, MAX_PICTURE, Picture, Taken};
use super::{SkipReason, Warning};
use crate::media::{AccessUnit, AudioCodec, AudioFormat, StreamFormat, Ticks, Track, VideoCodec, VideoFormat};

const SPS: &[u8] = &[0x67, 0x42, 0x00, 0x1F, 0xF2, 0x00, 0xA0, 0x0B, 0x72];
const HIGH_SPS: &[u8] = &[0x67, 0x64, 0x00, 0x1F, 0xAC, 0xE5, 0x01, 0x40, 0x16, 0xE4];
const PPS: &[u8] = &[0x68, 0xEB, 0xE3, 0xCB];
const PPS_1: &[u8] = &[0x68, 0x48, 0xE3, 0xCB];

#[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
pub(super) fn now() -> Instant {
    Instant::now() + Duration::from_secs(1000)
}

pub(super) fn format() -> Rc<StreamFormat> {
    Rc::new(StreamFormat { video: video(&[SPS, PPS]), audio: None })
}

fn video(sets: &[&[u8]]) -> VideoFormat {
    VideoFormat {
        codec: VideoCodec::H264,
        parameter_sets: sets.iter().map(|set| Box::from(*set)).collect(),
        width: 1280,
        height: 720,
        rfc6381: "avc1.42001F".to_owned(),
    }
}

fn aac() -> AudioFormat {
    AudioFormat { codec: AudioCodec::Aac, sample_rate: 8000, channels: 1, rfc6381: "mp4a.40.2".to_owned() }
}

/// A camera at 25 pictures/s, driven by hand.
struct Camera {
    intake: Intake,
    t0: Instant,
    warnings: Vec<Warning>,
}

impl Camera {
    fn new() -> Self {
        let mut camera = Self { intake: Intake::new(false), t0: now(), warnings: Vec::new() };
        camera.connect();
        camera
    }

    fn connect(&mut self) {
        self.intake.start_session(Some(aac()));
        self.intake.on_parameters(video(&[SPS, PPS]));
    }

    fn send(&mut self, track: Track, at_ms: u64, raw: i64, data: &[u8]) -> Option<AccessUnit> {
        let at = self.t0 + Duration::from_millis(at_ms);
        let frame = Frame { track, raw: Ticks(raw), began: at, received: at, lost_packets: 3, data: data.to_vec() };
        let taken = self.intake.take(frame);
        self.warnings.extend(std::iter::from_fn(|| self.intake.poll_warning()));
        match taken {
            Taken::Unit { unit, .. } => Some(unit),
            Taken::Skipped { lost_packets } => {
                assert_eq!(lost_packets, 3);
                None
            }
        }
    }

    fn key(&mut self, n: u32) -> Option<AccessUnit> {
        self.send(Track::Video, 40 * u64::from(n), 3600 * i64::from(n), &[0, 0, 0, 2, 0x65, 1])
    }

    fn picture(&mut self, n: u32) -> Option<AccessUnit> {
        self.send(Track::Video, 40 * u64::from(n), 3600 * i64::from(n), &[0, 0, 0, 2, 0x41, 1])
    }

    fn sound(&mut self, n: u32) -> Option<AccessUnit> {
        self.send(Track::Audio, 40 * u64::from(n), 3600 * i64::from(n), &[0xFF, 0xF1, 0])
    }
}

#[test]
fn nothing_is_delivered_before_the_first_key_frame_and_that_one_is_no_break() {
    let mut camera = Camera::new();
    assert!(camera.picture(1).is_none());
    assert!(camera.sound(1).is_none());
    let unit = camera.key(2).unwrap();
    assert!(unit.key_frame && !unit.discontinuity);
    assert_eq!((unit.pts, unit.dts, unit.lost_packets), (Ticks(900_000), Ticks(900_000), 3));
    assert_eq!(unit.data, [0, 0, 0, 2, 0x65, 1]);
    assert_eq!(camera.sound(3).unwrap().pts, Ticks(903_600));
    assert!(!camera.picture(3).unwrap().key_frame);
}

#[test]
fn a_reader_that_knows_an_earlier_run_is_told_of_the_break() {
    let mut intake = Intake::new(true);
    intake.start_session(None);
    intake.on_parameters(video(&[SPS, PPS]));
    let data = vec![0, 0, 0, 1, 0x65];
    let frame = Frame { track: Track::Video, raw: Ticks(0), began: now(), received: now(), lost_packets: 0, data };
    let Taken::Unit { unit, .. } = intake.take(frame) else { panic!("delivered") };
    assert!(unit.discontinuity);
}

#[test]
fn a_reconnect_breaks_once_at_its_first_key_frame_and_keeps_an_equal_format() {
    let mut camera = Camera::new();
    let before = camera.key(0).unwrap();
    camera.connect();
    assert!(camera.picture(50).is_none(), "refers to what was never received");
    assert!(camera.sound(50).is_none(), "would belong to the old run");
    let after = camera.key(51).unwrap();
    assert!(after.discontinuity && Rc::ptr_eq(&before.format, &after.format));
    assert_eq!(after.pts, Ticks(900_000 + 51 * 3600));
    assert!(!camera.key(52).unwrap().discontinuity);
}

#[test]
fn a_changed_sps_takes_effect_with_a_break_at_the_next_key_frame() {
    let mut camera = Camera::new();
    let before = camera.key(0).unwrap().format;
    camera.intake.on_parameters(video(&[HIGH_SPS, PPS]));
    let between = camera.picture(1).unwrap();
    assert!(Rc::ptr_eq(&between.format, &before) && !between.discontinuity);
    let after = camera.key(2).unwrap();
    assert!(after.discontinuity);
    assert_eq!(*after.format.video.parameter_sets[0], *HIGH_SPS);
}

#[test]
fn parameter_sets_that_are_repeated_are_no_change() {
    let mut camera = Camera::new();
    let before = camera.key(0).unwrap().format;
    camera.intake.on_parameters(video(&[SPS, PPS]));
    let after = camera.key(1).unwrap();
    assert!(!after.discontinuity && Rc::ptr_eq(&before, &after.format));
}

#[test]
fn several_pps_are_collected_instead_of_breaking_at_every_key_frame() {
    let mut camera = Camera::new();
    camera.key(0);
    // retina reports the one that changed, in turns.
    camera.intake.on_parameters(video(&[SPS, PPS_1]));
    let both = camera.key(1).unwrap();
    assert!(both.discontinuity);
    assert_eq!(both.format.video.parameter_sets, [Box::from(SPS), Box::from(PPS), Box::from(PPS_1)]);
    camera.intake.on_parameters(video(&[SPS, PPS]));
    assert!(!camera.key(2).unwrap().discontinuity);
    // Another content under a known id is a change.
    camera.intake.on_parameters(video(&[SPS, &[0x68, 0x48, 0xFF]]));
    let changed = camera.key(3).unwrap();
    assert!(changed.discontinuity);
    assert_eq!(*changed.format.video.parameter_sets[2], [0x68, 0x48, 0xFF]);
}

#[test]
fn frames_without_a_slice_and_huge_pictures_are_skipped() {
    let mut camera = Camera::new();
    camera.key(0);
    assert!(camera.send(Track::Video, 40, 3600, &[0, 0, 0, 2, 0x06, 1]).is_none());
    assert!(camera.send(Track::Video, 40, 3600, &[]).is_none());
    assert!(camera.send(Track::Video, 40, 3600, &vec![0x65; MAX_PICTURE + 1]).is_none());
    assert_eq!(camera.warnings, [Warning::HugePicture { bytes: 4_194_305, limit: 4_194_304 }]);
}

#[test]
fn a_key_frame_has_key_slices_only() {
    let of = |data: &[u8]| Picture::of(VideoCodec::H264, data);
    assert_eq!(of(&[0, 0, 0, 1, 0x09, 0, 0, 0, 1, 0x65, 0, 0, 0, 1, 0x65]), Picture { slices: 2, key_frame: true });
    assert_eq!(of(&[0, 0, 0, 1, 0x65, 0, 0, 0, 1, 0x41]), Picture { slices: 2, key_frame: false });
    assert_eq!(of(&[0, 0, 0, 1, 0x09]), Picture { slices: 0, key_frame: false });
    let cra = Picture::of(VideoCodec::H265, &[0, 0, 0, 2, 21 << 1, 1]);
    assert_eq!(cra, Picture { slices: 1, key_frame: true });
}

#[test]
fn without_parameter_sets_nothing_is_delivered() {
    let mut intake = Intake::new(false);
    intake.start_session(None);
    let data = vec![0, 0, 0, 1, 0x65];
    let frame = Frame { track: Track::Video, raw: Ticks(0), began: now(), received: now(), lost_packets: 0, data };
    assert!(matches!(intake.take(frame), Taken::Skipped { .. }));
}

#[test]
fn a_clock_jump_is_one_break_and_one_warning() {
    let mut camera = Camera::new();
    camera.key(0);
    let jumped = camera.send(Track::Video, 40, 90_000_000, &[0, 0, 0, 1, 0x41]).unwrap();
    assert!(!jumped.discontinuity, "only a key frame may say so");
    assert_eq!(jumped.pts, Ticks(903_600));
    assert!(camera.send(Track::Video, 80, 90_003_600, &[0, 0, 0, 1, 0x65]).unwrap().discontinuity);
    assert!(!camera.send(Track::Video, 120, 90_007_200, &[0, 0, 0, 1, 0x65]).unwrap().discontinuity);
    assert!(camera.send(Track::Video, 160, 5, &[0, 0, 0, 1, 0x65]).unwrap().discontinuity);
    assert_eq!(camera.warnings, [Warning::ClockJump]);
}

#[test]
fn unannounced_b_frames_get_their_decoding_times_from_the_next_key_frame_on() {
    let mut camera = Camera::new();
    camera.intake.on_parameters(video(&[HIGH_SPS, PPS]));
    camera.key(0);
    for n in [4, 2, 1, 3] {
        camera.picture(n);
    }
    assert!(camera.intake.out_of_order());
    let key = camera.key(5).unwrap();
    assert!(key.discontinuity && key.dts < key.pts);
    let times: Vec<_> = [9, 7, 6, 8].map(|n| camera.picture(n).unwrap()).map(|unit| (unit.pts - key.pts).0).into();
    assert_eq!(times, [14_400, 7200, 3600, 10_800]);
    assert!(!camera.key(10).unwrap().discontinuity);
}

#[test]
fn far_or_missing_key_frames_are_warned_about_once() {
    let mut camera = Camera::new();
    camera.key(0);
    for n in 1..250 {
        camera.picture(n);
    }
    camera.key(250);
    camera.key(500);
    assert_eq!(camera.warnings, [Warning::LongGop { seconds: 10 }]);
    let mut camera = Camera::new();
    for n in 0..400 {
        assert!(camera.picture(n).is_none());
    }
    assert_eq!(camera.warnings, [Warning::NoKeyFrame { seconds: 15 }]);
}

#[test]
fn whatever_frames_come_units_keep_their_promises() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..200 {
        let mut camera = Camera::new();
        let (mut raw, mut at) = (0_i64, 0);
        let mut last: [Option<AccessUnit>; 2] = [None, None];
        for _ in 0..150 {
            at += rng.u64(..80);
            raw = if rng.u8(..15) == 0 { rng.i64(..) } else { raw.saturating_add(rng.i64(-4000..9000)) };
            match rng.u8(..30) {
                0 => camera.connect(),
                1 => camera.intake.on_parameters(video(&[HIGH_SPS, PPS])),
                2 => camera.intake.on_parameters(video(&[SPS, PPS_1])),
                _ => {}
            }
            let length = rng.usize(..24);
            let mut data: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            if rng.bool() {
                data.splice(..0, [0, 0, 0, 2, if rng.bool() { 0x65 } else { 0x41 }, 0]);
            }
            let track = if rng.u8(..4) == 0 { Track::Audio } else { Track::Video };
            let Some(unit) = camera.send(track, at, raw, &data) else { continue };
            assert!(unit.dts <= unit.pts);
            assert!(!unit.discontinuity || unit.key_frame);
            let place = &mut last[usize::from(track == Track::Audio)];
            if let Some(last) = place {
                assert!(unit.dts > last.dts, "even over a discontinuity");
                assert!(track == Track::Audio || unit.discontinuity || Rc::ptr_eq(&unit.format, &last.format));
            }
            *place = Some(unit);
        }
    }
}

#[test]
fn reasons_are_sentences() {
    assert_eq!(
        SkipReason::Codec { codec: "OPUS".into() }.to_string(),
        "OPUS sound is not carried: choose AAC in the camera"
    );
    assert_eq!(
        SkipReason::G711Kind { sample_rate: 16_000, channels: 2 }.to_string(),
        "G.711 is carried at 8000 Hz in mono only, not at 16000 Hz in stereo: choose AAC in the camera"
    );
    assert_eq!(
        Warning::LongGop { seconds: 10 }.to_string(),
        "key frame only every 10 s: set it to 1 or 2 s in the camera"
    );
}
