//! Access units in, 188-byte transport stream packets out, written straight into the caller's buffer. ISO/IEC 13818-1.

mod packets;
mod pes;
mod psi;
#[cfg(test)]
mod tests;

use mpeg2ts::ts::{ContinuityCounter, TsPacket};

use self::packets::Packets;
use self::pes::{CLOCK_FIELDS, audio_header, clock_fields, reordered_video_header, video_header};
use self::psi::Psi;
use crate::media::{AccessUnit, AudioCodec, AudioFormat, StreamFormat, Ticks, Track, VideoCodec, nal};

/// Bytes per transport stream packet.
pub const PACKET: usize = TsPacket::SIZE;

/// Bytes that [`Muxer::write_psi`] produces: a PAT and a PMT, one packet each.
pub const PSI_LEN: usize = 2 * PACKET;

/// The clock on the wire runs this far behind decoding time, so that a player has received a picture before it must decode it.
const PCR_LEAD: Ticks = Ticks::from_millis(100);

const VIDEO_PID: u16 = 0x0100;
const AUDIO_PID: u16 = 0x0101;

/// Before each NAL unit: ISO/IEC 14496-10 Annex B, with `zero_byte`.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Access unit delimiters that allow every slice type, with their start codes.
const H264_DELIMITER: [u8; 6] = [0, 0, 0, 1, 0x09, 0xF0];
const H265_DELIMITER: [u8; 7] = [0, 0, 0, 1, 0x46, 0x01, 0x50];

/// Multiplexes one camera into one program: PAT, PMT, a video and at most one audio stream.
///
/// Continuity counters run on for the muxer's whole life, over segments and discontinuities. Nothing is allocated per access unit.
#[derive(Debug)]
pub struct Muxer {
    psi: Psi,
    video: ContinuityCounter,
    audio: ContinuityCounter,
}

/// The buffer cannot hold the packets; nothing was written and no continuity counter moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is too short: {needed} bytes are needed")]
pub struct Full {
    /// Bytes that the same call needs.
    pub needed: usize,
}

/// Whether the transport stream of `format` has sound: AAC only, since players know no G.711 in a transport stream.
pub const fn carries_sound(format: &StreamFormat) -> bool {
    matches!(format.audio, Some(AudioFormat { codec: AudioCodec::Aac, .. }))
}

impl Muxer {
    /// A muxer whose PAT and PMT describe `format`.
    pub fn new(format: &StreamFormat) -> Self {
        Self { psi: Psi::new(format), video: ContinuityCounter::new(), audio: ContinuityCounter::new() }
    }

    /// Describes `format` from the next [`write_psi`](Self::write_psi) on. The PMT's version number goes up only when the
    /// PMT says something else than before (another codec; sound came or went): new parameter sets alone leave it.
    pub fn set_format(&mut self, format: &StreamFormat) {
        self.psi.set_format(format);
    }

    /// Writes PAT and PMT, always [`PSI_LEN`] bytes: the start of every segment.
    ///
    /// # Errors
    /// [`Full`] when `out` is shorter than that.
    pub fn write_psi(&mut self, out: &mut [u8]) -> Result<usize, Full> {
        let out = out.first_chunk_mut().ok_or(Full { needed: PSI_LEN })?;
        self.psi.write(out);
        Ok(PSI_LEN)
    }

    /// The bytes that [`write`](Self::write) produces for `unit`, exactly: a multiple of [`PACKET`].
    /// 0 for a unit without content: no audio data, or no NAL unit but delimiters and parameter sets; and for audio of a
    /// format whose sound is not carried.
    pub fn len(&self, unit: &AccessUnit) -> usize {
        packets::len(fields_len(unit.track), pes_len(unit))
    }

    /// Writes one access unit as one PES packet and returns the bytes written, as [`len`](Self::len) foretold.
    ///
    /// Video carries a PCR on every unit and starts with an access unit delimiter; on key frames the random access
    /// indicator is set and the format's parameter sets follow the delimiter. Delimiters and parameter sets inside `unit.data`
    /// are left out. After a `discontinuity` the first packet has the discontinuity indicator set, since the PCR may jump.
    ///
    /// `unit.format` decides how the data is read. Audio belongs only into a stream whose format in force
    /// [carries it](carries_sound).
    ///
    /// # Errors
    /// [`Full`] when `out` is too short.
    pub fn write(&mut self, unit: &AccessUnit, out: &mut [u8]) -> Result<usize, Full> {
        let pes_len = pes_len(unit);
        let needed = packets::len(fields_len(unit.track), pes_len);
        let out = out.get_mut(..needed).ok_or(Full { needed })?;
        if needed == 0 {
            return Ok(0);
        }
        match unit.track {
            Track::Video => {
                let fields = clock_fields(unit.dts - PCR_LEAD, unit.key_frame, unit.discontinuity);
                let mut packets = Packets::start(out, VIDEO_PID, &mut self.video, &fields, pes_len);
                if unit.pts == unit.dts {
                    packets.put(&video_header(unit.pts));
                } else {
                    packets.put(&reordered_video_header(unit.pts, unit.dts));
                }
                match unit.format.video.codec {
                    VideoCodec::H264 => packets.put(&H264_DELIMITER),
                    VideoCodec::H265 => packets.put(&H265_DELIMITER),
                }
                for piece in parameter_sets(unit).chain(coded_units(unit)) {
                    packets.put(&START_CODE);
                    packets.put(piece);
                }
            }
            Track::Audio => {
                let mut packets = Packets::start(out, AUDIO_PID, &mut self.audio, &[], pes_len);
                packets.put(&audio_header(unit.pts, unit.data.len()));
                packets.put(&unit.data);
            }
        }
        Ok(needed)
    }
}

/// Bytes of the adaptation field's contents in the first packet of a unit: the clock rides on video alone.
const fn fields_len(track: Track) -> usize {
    match track {
        Track::Video => CLOCK_FIELDS,
        Track::Audio => 0,
    }
}

/// Bytes of the PES packet that carries `unit`, header included; 0 when there is nothing to carry.
fn pes_len(unit: &AccessUnit) -> usize {
    match unit.track {
        Track::Video => match annex_b_len(coded_units(unit)) {
            0 => 0,
            coded => {
                let header = if unit.pts == unit.dts { pes::WITH_PTS } else { pes::WITH_DTS };
                header + delimiter_len(unit.format.video.codec) + annex_b_len(parameter_sets(unit)) + coded
            }
        },
        Track::Audio if unit.data.is_empty() || !carries_sound(&unit.format) => 0,
        Track::Audio => pes::WITH_PTS + unit.data.len(),
    }
}

fn annex_b_len<'a>(units: impl Iterator<Item = &'a [u8]>) -> usize {
    units.map(|unit| START_CODE.len() + unit.len()).sum()
}

/// The parameter sets that precede a key frame; none for any other unit.
fn parameter_sets(unit: &AccessUnit) -> impl Iterator<Item = &[u8]> {
    let sets = if unit.key_frame { unit.format.video.parameter_sets.as_slice() } else { &[] };
    sets.iter().map(|set| &**set).filter(|set| !set.is_empty())
}

/// The NAL units of `unit` that go out as they came: all but delimiters and parameter sets.
fn coded_units(unit: &AccessUnit) -> impl Iterator<Item = &[u8]> {
    let codec = unit.format.video.codec;
    nal::units(&unit.data)
        .filter(move |unit| !matches!(nal::kind(codec, unit), nal::Kind::Delimiter | nal::Kind::ParameterSet))
}

/// Bytes of the access unit delimiter.
const fn delimiter_len(codec: VideoCodec) -> usize {
    match codec {
        VideoCodec::H264 => H264_DELIMITER.len(),
        VideoCodec::H265 => H265_DELIMITER.len(),
    }
}
