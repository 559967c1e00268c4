//! One client's stream: media time and faults in, RTP and RTCP packets out. The clip loops, its timestamps run on.

use std::sync::Arc;

use super::clip::AudioCoding;
use super::rtp::{LARGE_PAYLOAD_LIMIT, PAYLOAD_LIMIT, Payload, Sender, aac_payloads, video_payloads};
use super::sdp::{JPEG_TYPE, VIDEO_TYPE};
use super::{Clip, Fault};
use crate::media::{Ticks, VideoCodec, nal};

/// Between sender reports.
const REPORT_EVERY: Ticks = Ticks::from_secs(5);
/// Most bytes of filler after one access unit.
const FILLER_LIMIT: usize = 4 * 1024 * 1024;

/// The video's and the sound's number, in the SDP's order.
pub(super) const VIDEO: usize = 0;
pub(super) const AUDIO: usize = 1;

/// A packet on its way.
#[derive(Debug)]
pub(super) struct Packet {
    /// [`VIDEO`] or [`AUDIO`].
    pub(super) track: usize,
    pub(super) rtcp: bool,
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Close,
}

/// An RTP stream that a client has set up.
#[derive(Debug)]
struct Lane {
    sender: Sender,
    /// RTP timestamp of media time 0.
    base: u32,
    clock_hz: u32,
}

impl Lane {
    fn timestamp(&self, at: Ticks) -> u32 {
        let count = i128::from(at.0) * i128::from(self.clock_hz) / i128::from(Ticks::HZ);
        self.base.wrapping_add(u32::try_from(count.rem_euclid(1 << 32)).unwrap_or(0))
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    /// What was described; its sound goes on when the video switches.
    described: Arc<Clip>,
    showing: Arc<Clip>,
    lanes: [Option<Lane>; 2],
    /// The next access unit of the turn, and when the turn began.
    index: usize,
    turn: Ticks,
    /// When the next access unit is due, in media time since the first PLAY.
    video_due: Ticks,
    report_due: Ticks,
    audio_frames: u64,
    units: u64,
    video_packets: u64,
}

impl Stream {
    pub(super) fn new(clip: &Arc<Clip>) -> Self {
        Self {
            described: Arc::clone(clip),
            showing: Arc::clone(clip),
            lanes: [None, None],
            index: 0,
            turn: Ticks::ZERO,
            video_due: Ticks::ZERO,
            report_due: Ticks::ZERO,
            audio_frames: 0,
            units: 0,
            video_packets: 0,
        }
    }

    /// Adds a track; returns its SSRC, or `None` when the clip has no such track. `random` seeds SSRC, sequence number
    /// and timestamp.
    pub(super) fn set_up(&mut self, track: usize, random: u64, jpeg: bool) -> Option<u32> {
        let (payload_type, clock_hz) = match (track, &self.described.audio) {
            (VIDEO, _) => (if jpeg { JPEG_TYPE } else { VIDEO_TYPE }, 90_000),
            (AUDIO, Some(audio)) => (audio.payload_type, audio.sample_rate),
            _ => return None,
        };
        let [a, b, c, d, e, f, g, h] = random.to_be_bytes();
        let (ssrc, base) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let sender = Sender::new(payload_type, ssrc, u16::from_be_bytes([c, d]));
        *self.lanes.get_mut(track)? = Some(Lane { sender, base, clock_hz });
        Some(ssrc)
    }

    /// Sequence number and RTP timestamp of each track's next packet: what `RTP-Info` tells.
    pub(super) fn next_packets(&self) -> impl Iterator<Item = (usize, u16, u32)> {
        self.lanes.iter().enumerate().filter_map(|(track, lane)| {
            let lane = lane.as_ref()?;
            let at = if track == VIDEO { self.shown() } else { self.audio_due()? };
            Some((track, lane.sender.sequence, lane.timestamp(at)))
        })
    }

    /// When [`poll`](Self::poll) has something to send, in media time since the first PLAY.
    pub(super) fn due(&self) -> Ticks {
        self.audio_due().map_or(self.video_due, |audio| audio.min(self.video_due))
    }

    /// Sends what is due next: one access unit or audio frame, and reports when it is time. `origin` is the NTP time of media
    /// time 0: reports state when pictures were due, not when a busy machine came to send them.
    pub(super) fn poll(&mut self, faults: &[Fault], origin: u64, out: &mut Vec<Packet>) -> Flow {
        let reached = |after: u64| self.units >= after;
        if faults.iter().any(|fault| matches!(fault, Fault::CloseAfter(after) if reached(*after))) {
            return Flow::Close;
        }
        let frozen = faults.iter().any(|fault| matches!(fault, Fault::FreezeAfter(after) if reached(*after)));
        let jumps = faults.iter().filter_map(|fault| match fault {
            Fault::TimestampJump { after, ticks } if reached(*after) => Some(Ticks(*ticks)),
            _ => None,
        });
        let jump = jumps.fold(Ticks::ZERO, |sum, ticks| sum + ticks);
        let sent = out.len();
        let now = self.due();
        if now >= self.report_due {
            self.report_due = now + REPORT_EVERY;
            let ntp = origin.wrapping_add(ntp_span(now));
            for (track, lane) in self.lanes.iter().enumerate() {
                let report = lane.as_ref().map(|lane| lane.sender.report(ntp, lane.timestamp(now + jump)));
                out.extend(report.map(|bytes| Packet { track, rtcp: true, bytes }));
            }
        }
        match self.audio_due() {
            Some(audio) if audio < self.video_due => self.send_audio(faults, audio + jump, out),
            _ => self.send_video(faults, jump, out),
        }
        if frozen {
            out.truncate(sent);
        }
        if faults.iter().any(|fault| matches!(fault, Fault::WrongSsrc)) {
            for packet in out.iter_mut().skip(sent).filter(|packet| !packet.rtcp) {
                packet.bytes[8] ^= 0xFF;
            }
        }
        Flow::Continue
    }

    /// Media time of the next picture's display.
    fn shown(&self) -> Ticks {
        let place = self.showing.units.get(self.index).map_or(0, |unit| unit.shown);
        self.turn + Ticks(i64::from(place) * i64::from(self.showing.frame_ticks))
    }

    fn audio_due(&self) -> Option<Ticks> {
        let (audio, _) = (self.described.audio.as_ref()?, self.lanes[AUDIO].as_ref()?);
        let samples = self.audio_frames.saturating_mul(u64::from(audio.frame_samples));
        Some(Ticks::from_clock(i64::try_from(samples).unwrap_or(i64::MAX), audio.sample_rate))
    }

    fn send_audio(&mut self, faults: &[Fault], at: Ticks, out: &mut Vec<Packet>) {
        let (Some(audio), Some(lane)) = (&self.described.audio, &mut self.lanes[AUDIO]) else { return };
        let turn = audio.frames.len() as u64;
        let Ok(index) = usize::try_from(self.audio_frames % turn.max(1)) else { return };
        self.audio_frames += 1;
        let Some(frame) = audio.frames.get(index) else { return };
        let payloads = match audio.coding {
            _ if faults.iter().any(|fault| matches!(fault, Fault::EmptySound)) => vec![(Vec::new(), false)],
            AudioCoding::Aac { .. } => aac_payloads(frame, PAYLOAD_LIMIT),
            AudioCoding::Pcmu | AudioCoding::Pcma | AudioCoding::Opus => vec![(frame.clone(), false)],
        };
        send(AUDIO, lane, at, &payloads, out);
    }

    fn send_video(&mut self, faults: &[Fault], jump: Ticks, out: &mut Vec<Packet>) {
        let switch = faults.iter().rev().find_map(|fault| match fault {
            Fault::SwitchClip { after, clip } if self.units >= *after => Some(clip),
            _ => None,
        });
        if let Some(clip) = switch.filter(|clip| !Arc::ptr_eq(clip, &self.showing)) {
            self.showing = Arc::clone(clip);
            self.index = 0;
            self.turn = self.video_due;
        }
        let at = self.shown() + jump;
        if let (Some(unit), Some(lane)) = (self.showing.units.get(self.index), &mut self.lanes[VIDEO]) {
            let no_key_frame = faults.iter().any(|fault| matches!(fault, Fault::NoKeyFrameAfterFirst));
            if !(unit.key_frame && self.units > 0 && no_key_frame) {
                let payloads = payloads(self.showing.codec, &unit.nals, faults);
                let before = out.len();
                send(VIDEO, lane, at, &payloads, out);
                let drops = faults.iter().filter_map(|fault| match fault {
                    Fault::DropEvery(every) if *every > 0 => Some(*every),
                    _ => None,
                });
                let drops: Vec<u64> = drops.collect();
                let mut number = self.video_packets;
                self.video_packets += payloads.len() as u64;
                let mut position = 0;
                out.retain(|_| {
                    position += 1;
                    number += u64::from(position > before);
                    position <= before || !drops.iter().any(|every| number.is_multiple_of(*every))
                });
            }
        }
        self.units += 1;
        self.index += 1;
        self.video_due += Ticks(i64::from(self.showing.frame_ticks));
        if self.index >= self.showing.units.len() {
            self.index = 0;
            self.turn += Ticks(self.showing.loop_ticks());
        }
    }
}

/// A span in NTP's 32.32 bits of seconds.
pub(super) fn ntp_span(span: Ticks) -> u64 {
    let fraction = (i128::from(span.0) << 32) / i128::from(Ticks::HZ);
    u64::try_from(fraction).unwrap_or(0)
}

fn payloads(codec: VideoCodec, nals: &[Vec<u8>], faults: &[Fault]) -> Vec<Payload> {
    let has = |wanted: fn(&Fault) -> bool| faults.iter().any(wanted);
    let bare = has(|fault| matches!(fault, Fault::NoParameterSetsInBand));
    let limit = if has(|fault| matches!(fault, Fault::LargePackets)) { LARGE_PAYLOAD_LIMIT } else { PAYLOAD_LIMIT };
    let is_kept = |nal: &&[u8]| !(bare && nal::kind(codec, nal) == nal::Kind::ParameterSet);
    let mut nals: Vec<&[u8]> = nals.iter().map(Vec::as_slice).filter(is_kept).collect();
    let times = faults.iter().find_map(|fault| match fault {
        Fault::BitrateTimes(times) => Some((*times).min(1000)),
        _ => None,
    });
    let filler = times.filter(|times| *times > 1).map(|times| {
        let len = nals.iter().map(|nal| nal.len()).sum::<usize>().saturating_mul(times - 1);
        let head: &[u8] = if codec == VideoCodec::H264 { &[12] } else { &[38 << 1, 1] };
        [head, &vec![0xFF; len.min(FILLER_LIMIT)], &[0x80]].concat()
    });
    nals.extend(filler.as_deref());
    video_payloads(codec, &nals, limit)
}

fn send(track: usize, lane: &mut Lane, at: Ticks, payloads: &[Payload], out: &mut Vec<Packet>) {
    let timestamp = lane.timestamp(at);
    out.extend(payloads.iter().map(|payload| Packet {
        track,
        rtcp: false,
        bytes: lane.sender.packet(payload, timestamp),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Audio;

    /// Three pictures of one packet each, shown in the order 0, 2, 1, at 10 a second.
    fn clip() -> Clip {
        let bytes = [
            [0, 0, 1, 0x67, 7].as_slice(),
            &[0, 0, 1, 0x68, 8],
            &[0, 0, 1, 0x65, 0x80, 1],
            &[0, 0, 1, 0x41, 0x80, 2, 0, 0, 1, 0x41, 0x80, 3],
        ];
        Clip::from_annex_b(VideoCodec::H264, &bytes.concat(), 9000, &[0, 2, 1]).unwrap()
    }

    fn stream(clip: Clip) -> Stream {
        let mut stream = Stream::new(&Arc::new(clip));
        // Sequence numbers from 0x0201 on, timestamps from 0.
        assert_eq!(stream.set_up(VIDEO, 0x0403_0201_0000_0000, false), Some(0x0403_0201));
        stream
    }

    /// Sequence number, timestamp and last payload byte of each RTP packet of the next `polls` polls.
    fn play(stream: &mut Stream, faults: &[Fault], polls: usize) -> Vec<(u16, u32, u8)> {
        let mut out = Vec::new();
        for _ in 0..polls {
            assert_eq!(stream.poll(faults, 0, &mut out), Flow::Continue);
        }
        let rtp = out.iter().filter(|packet| !packet.rtcp).map(|packet| &packet.bytes);
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        rtp.map(|b| (u16::from_be_bytes([b[2], b[3]]), word(&b[4..8]), *b.last().unwrap())).collect()
    }

    #[test]
    fn timestamps_run_on_over_the_loop_in_display_order() {
        let mut stream = stream(clip());
        assert_eq!(stream.next_packets().collect::<Vec<_>>(), [(VIDEO, 0x0201, 0)]);
        // The key frame is a STAP-A and a slice.
        let turn = [(0x0201, 0, 8), (0x0202, 0, 1), (0x0203, 18_000, 2), (0x0204, 9000, 3)];
        assert_eq!(play(&mut stream, &[], 3), turn);
        assert_eq!(stream.due(), Ticks(27_000));
        assert_eq!(play(&mut stream, &[], 2), [(0x0205, 27_000, 8), (0x0206, 27_000, 1), (0x0207, 45_000, 2)]);
    }

    #[test]
    fn sound_is_interleaved_by_time_and_reports_come_every_5_seconds() {
        let mut stream = stream(clip().with_audio(Audio::pcmu_silence()));
        stream.set_up(AUDIO, 0, false);
        let mut out = Vec::new();
        while stream.due() < Ticks::from_secs(10) {
            stream.poll(&[], 0, &mut out);
        }
        let count = |track, rtcp| out.iter().filter(|p| p.track == track && p.rtcp == rtcp).count();
        assert_eq!((count(AUDIO, false), count(VIDEO, true), count(AUDIO, true)), (500, 2, 2));
        assert_eq!(count(VIDEO, false), 100 + 34);
        assert_eq!((out[0].rtcp, out[1].rtcp, out[2].rtcp), (true, true, false));
        let second = out.iter().filter(|packet| packet.rtcp && packet.track == VIDEO).nth(1).unwrap();
        assert_eq!(second.bytes[8..20], [0, 0, 0, 5, 0, 0, 0, 0, 0, 6, 0xDD, 0xD0]);
    }

    #[test]
    fn g711_goes_out_in_packets_of_20_ms() {
        let mut stream = stream(clip().with_audio(Audio::pcma_tone()));
        stream.set_up(AUDIO, 0, false);
        let mut out = Vec::new();
        while stream.due() < Ticks::from_secs(1) {
            stream.poll(&[], 0, &mut out);
        }
        let packets: Vec<_> = out.iter().filter(|packet| packet.track == AUDIO && !packet.rtcp).collect();
        assert_eq!(packets.len(), 50);
        assert_eq!(packets[1].bytes[..12], [0x80, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 0]);
        assert!(packets.iter().all(|packet| packet.bytes.len() == 12 + 160));
        assert_eq!(packets[0].bytes[12..16], [0xD5, 0x90, 0x81, 0x8E]);
        assert!(packets[5].bytes[12..] == packets[0].bytes[12..] && packets[1].bytes[12..] != packets[0].bytes[12..]);
        out.clear();
        stream.poll(&[Fault::EmptySound], 0, &mut out);
        stream.poll(&[Fault::EmptySound], 0, &mut out);
        assert!(out.iter().any(|packet| packet.track == AUDIO && packet.bytes.len() == 12));
    }

    #[test]
    fn faults_come_and_go_while_it_plays() {
        let mut stream = stream(clip());
        assert_eq!(play(&mut stream, &[Fault::FreezeAfter(1)], 3).len(), 2);
        let jump = Fault::TimestampJump { after: 3, ticks: -27_000 };
        assert_eq!(play(&mut stream, &[jump, Fault::NoParameterSetsInBand], 1), [(0x0205, 0, 1)]);
        let mut out = Vec::new();
        assert_eq!(stream.poll(&[Fault::CloseAfter(5)], 0, &mut out), Flow::Continue);
        assert_eq!(stream.poll(&[Fault::CloseAfter(5)], 0, &mut out), Flow::Close);
        assert_eq!(play(&mut stream, &[Fault::NoKeyFrameAfterFirst], 2).len(), 1);
    }

    #[test]
    fn lost_packets_leave_gaps_and_large_units_go_whole_when_asked() {
        let mut stream = stream(clip());
        let numbers: Vec<u16> = play(&mut stream, &[Fault::DropEvery(2)], 3).iter().map(|packet| packet.0).collect();
        assert_eq!(numbers, [0x0201, 0x0203]);
        let faults = [Fault::BitrateTimes(1000), Fault::LargePackets];
        let mut out = Vec::new();
        stream.poll(&faults, 0, &mut out);
        // 4 + 3 bytes of picture, so filler of 7 x 999 bytes in one packet.
        assert_eq!(out.iter().map(|packet| packet.bytes.len()).collect::<Vec<_>>(), [12 + 9, 12 + 3, 12 + 6995]);
        out.clear();
        stream.poll(&[Fault::WrongSsrc], 0, &mut out);
        assert_eq!(out[0].bytes[8..12], [0xFB, 3, 2, 1]);
    }

    #[test]
    fn another_clip_takes_over_where_the_first_was() {
        let mut stream = stream(clip());
        let other = Arc::new(Clip::builtin());
        let switch = [Fault::SwitchClip { after: 2, clip: Arc::clone(&other) }];
        play(&mut stream, &switch, 2);
        let packets = play(&mut stream, &switch, 16);
        assert_eq!(packets[0].1, 18_000);
        assert_eq!(packets.last().unwrap().1, 18_000 + 15 * 6000);
        assert_eq!(stream.index, 16);
    }
}
