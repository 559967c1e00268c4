//! What is known of one camera: its task's events in, the status that everybody reads out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::config::Camera;
use crate::control::{AudioStatus, CameraState, CameraStatus, CameraWebRtcStatus, Fault, HlsStatus, VideoStatus};
use crate::ingest::{Cause, Event, Meter, SkippedSound, Warning, shown_url};
use crate::media::{AudioCodec, StreamFormat};

/// Why sound that was taken from the camera is not in HLS.
const NOT_IN_HLS: &str = "HLS carries AAC only, WebRTC plays it: for sound in HLS choose AAC in the camera";

/// One camera's record. Shared on the media thread.
pub(super) struct Record {
    camera: Camera,
    pub(super) meter: Rc<Meter>,
    changed: Rc<Notify>,
    known: RefCell<Known>,
    /// The status as last made; dropped when something changes.
    status: RefCell<Option<Arc<CameraStatus>>>,
}

struct Known {
    state: CameraState,
    since: Instant,
    transport: Option<&'static str>,
    format: Option<Rc<StreamFormat>>,
    skipped: Option<SkippedSound>,
    last_error: Option<(Fault, Instant)>,
    warnings: Vec<Fault>,
    hls: Option<HlsStatus>,
}

impl Record {
    pub(super) fn new(camera: Camera, hls: bool, changed: Rc<Notify>, now: Instant) -> Self {
        let state = if camera.on_demand { CameraState::Sleeping } else { CameraState::Starting };
        let known = Known {
            state,
            since: now,
            transport: None,
            format: None,
            skipped: None,
            last_error: None,
            warnings: Vec::new(),
            hls: hls.then(|| HlsStatus::idle(camera.id)),
        };
        Self { camera, meter: Rc::default(), changed, known: RefCell::new(known), status: RefCell::default() }
    }

    /// The camera goes to sleep, or is woken.
    pub(super) fn on_sleep(&self, sleeps: bool, now: Instant) {
        let mut known = self.known.borrow_mut();
        known.enter(if sleeps { CameraState::Sleeping } else { CameraState::Starting }, now);
        if sleeps {
            (known.transport, known.skipped) = (None, None);
            known.warnings.clear();
        }
        drop(known);
        self.on_change();
    }

    /// Something happened to the camera; ingest has logged it.
    pub(super) fn on_event(&self, event: Event, now: Instant) {
        let mut known = self.known.borrow_mut();
        match event {
            // A camera that failed keeps saying why while the next attempt runs.
            Event::Connecting { attempt: 1 } => known.enter(CameraState::Starting, now),
            Event::Connecting { .. } => {}
            Event::Connected { transport, .. } => {
                known.transport = Some(transport.name());
                known.skipped = None;
                known.warnings.clear();
            }
            Event::SoundSkipped(skipped) => known.skipped = Some(skipped),
            Event::Format(format) => known.format = Some(format),
            Event::Streaming => known.enter(CameraState::Streaming, now),
            Event::Warning(warning) => {
                let fault = warning_fault(&warning);
                match known.warnings.iter_mut().find(|known| known.code == fault.code) {
                    Some(known) => *known = fault,
                    None => known.warnings.push(fault),
                }
            }
            Event::Failed { cause, .. } => {
                known.last_error = Some((cause_fault(&cause), now));
                known.enter(CameraState::Waiting, now);
            }
        }
        drop(known);
        self.on_change();
    }

    /// HLS has something new to say.
    pub(super) fn on_hls(&self, hls: HlsStatus) {
        self.known.borrow_mut().hls = Some(hls);
        self.on_change();
    }

    fn on_change(&self) {
        self.forget_status();
        self.changed.notify_one();
    }

    /// What [`status`](Self::status) told last does not hold any more.
    pub(super) fn forget_status(&self) {
        self.status.borrow_mut().take();
    }

    /// True while pictures arrive.
    pub(super) fn delivers(&self) -> bool {
        let known = self.known.borrow();
        known.state == CameraState::Streaming && known.hls.as_ref().is_none_or(|hls| hls.playlist.is_some())
    }

    /// What the camera sends, while pictures arrive.
    pub(super) fn streaming_format(&self) -> Option<Rc<StreamFormat>> {
        let known = self.known.borrow();
        known.format.clone().filter(|_| known.state == CameraState::Streaming)
    }

    /// The status; `fresh`: with ages and rates as of `now`, else as of the last change.
    /// `webrtc` is asked when it is made anew.
    pub(super) fn status(
        &self,
        now: Instant,
        fresh: bool,
        webrtc: impl FnOnce() -> Option<CameraWebRtcStatus>,
    ) -> Arc<CameraStatus> {
        let mut cached = self.status.borrow_mut();
        match &*cached {
            Some(status) if !fresh => Arc::clone(status),
            _ => Arc::clone(cached.insert(Arc::new(self.make_status(now, webrtc())))),
        }
    }

    fn make_status(&self, now: Instant, webrtc: Option<CameraWebRtcStatus>) -> CameraStatus {
        let known = self.known.borrow();
        let facts = self.meter.facts();
        let age = |then: Instant| now.saturating_duration_since(then);
        let video = known.format.as_ref().map(|format| VideoStatus {
            codec: format.video.codec.name(),
            rfc6381: format.video.rfc6381.clone(),
            width: format.video.width,
            height: format.video.height,
            fps: facts.fps,
            gop_seconds: facts.gop.map(crate::media::Ticks::as_secs_f64),
            b_frames: facts.b_frames,
        });
        CameraStatus {
            id: self.camera.id,
            name: self.camera.name.clone(),
            state: known.state,
            since_seconds: age(known.since).as_secs(),
            on_demand: self.camera.on_demand,
            transport: known.transport,
            url: shown_url(&self.camera.url),
            video,
            audio: known.audio(),
            bitrate: facts.bitrate,
            last_key_frame_age: facts.last_key_frame.map(|then| age(then).as_secs_f64()),
            access_units: facts.access_units,
            lost_packets: facts.lost_packets,
            reconnects: facts.sessions.saturating_sub(1),
            last_error: known.last_error.as_ref().map(|(fault, _)| fault.clone()),
            last_error_age: known.last_error.as_ref().map(|(_, then)| age(*then).as_secs()),
            warnings: known.warnings.clone(),
            hls: known.hls.clone(),
            webrtc,
        }
    }
}

impl Known {
    fn enter(&mut self, state: CameraState, now: Instant) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }

    fn audio(&self) -> Option<AudioStatus> {
        if let Some(audio) = self.format.as_ref().and_then(|format| format.audio.as_ref()) {
            let carried = audio.codec == AudioCodec::Aac;
            let reason = (!carried).then(|| NOT_IN_HLS.to_owned());
            let (codec, sample_rate) = (audio.codec.name().to_owned(), audio.sample_rate);
            return Some(AudioStatus { codec, sample_rate, carried, reason });
        }
        self.skipped.as_ref().map(|skipped| AudioStatus {
            codec: skipped.codec.clone(),
            sample_rate: skipped.sample_rate,
            carried: false,
            reason: Some(skipped.reason.to_string()),
        })
    }
}

fn cause_fault(cause: &Cause) -> Fault {
    Fault { code: cause.code(), sentence: cause.to_string(), args: cause.args().into_iter().collect() }
}

fn warning_fault(warning: &Warning) -> Fault {
    Fault { code: warning.code(), sentence: warning.to_string(), args: warning.args().into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transport;
    use crate::ingest::SkipReason;
    use crate::media::{AudioFormat, VideoCodec, VideoFormat};

    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn record() -> (Record, Instant) {
        let camera = Camera::for_probe("rtsp://10.0.0.5/live", Transport::Tcp).unwrap();
        let now = Instant::now();
        (Record::new(camera, true, Rc::default(), now), now)
    }

    fn format(audio: Option<AudioCodec>) -> Event {
        let audio = audio.map(|codec| AudioFormat { codec, sample_rate: 8000, channels: 1, rfc6381: String::new() });
        let (codec, rfc6381) = (VideoCodec::H264, String::new());
        let video = VideoFormat { codec, parameter_sets: Vec::new(), width: 640, height: 360, rfc6381 };
        Event::Format(Rc::new(StreamFormat { video, audio }))
    }

    /// Codec, whether HLS carries it, and why not.
    fn audio(record: &Record, now: Instant) -> Option<(String, bool, Option<String>)> {
        let status = record.status(now, true, || None);
        status.audio.clone().map(|audio| (audio.codec, audio.carried, audio.reason))
    }

    #[test]
    fn sound_that_hls_does_not_carry_is_named_with_the_reason() {
        let (record, now) = record();
        assert_eq!(audio(&record, now), None);
        record.on_event(format(Some(AudioCodec::Aac)), now);
        assert_eq!(audio(&record, now), Some(("AAC".to_owned(), true, None)));
        for (codec, name) in [(AudioCodec::Pcma, "PCMA"), (AudioCodec::Pcmu, "PCMU")] {
            record.on_event(format(Some(codec)), now);
            let reason = "HLS carries AAC only, WebRTC plays it: for sound in HLS choose AAC in the camera".to_owned();
            assert_eq!(audio(&record, now), Some((name.to_owned(), false, Some(reason))));
        }
        let reason = SkipReason::Codec { codec: "OPUS".to_owned() };
        let (codec, sentence) = ("OPUS".to_owned(), reason.to_string());
        record.on_event(Event::SoundSkipped(SkippedSound { codec: codec.clone(), sample_rate: 48_000, reason }), now);
        record.on_event(format(None), now);
        assert_eq!(audio(&record, now), Some((codec, false, Some(sentence))));
    }
}
