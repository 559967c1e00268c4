//! Times in, PES headers and the adaptation field's clock out: the only place of 33-bit values. ISO/IEC 13818-1 sections 2.4.3.4, 2.4.3.6.

use mpeg2ts::es::StreamId;
use mpeg2ts::time::Timestamp;

use crate::media::Ticks;

/// Bytes of a PES header that has a PTS, and of one that has a DTS too.
pub(super) const WITH_PTS: usize = 14;
pub(super) const WITH_DTS: usize = 19;

/// Flags and length of the optional part, before the times: counted by PES_packet_length.
const FIXED_OPTIONAL: usize = 3;

/// The header of a video packet whose picture is shown when it is decoded. The length is left open (0), as the standard
/// allows for video.
pub(super) fn video_header(pts: Ticks) -> [u8; WITH_PTS] {
    header(StreamId::VIDEO_MIN, 0, pts)
}

/// The header of a video packet whose picture is shown later than it is decoded.
pub(super) fn reordered_video_header(pts: Ticks, dts: Ticks) -> [u8; WITH_DTS] {
    let [p0, p1, p2, p3, p4] = timestamp(0b0011, pts);
    let [d0, d1, d2, d3, d4] = timestamp(0b0001, dts);
    [0, 0, 1, StreamId::VIDEO_MIN, 0, 0, ALIGNED, 0xC0, 10, p0, p1, p2, p3, p4, d0, d1, d2, d3, d4]
}

/// The header of an audio packet with `payload` bytes. The length is exact, or open (0) above the 65,527 bytes that its 16 bits
/// can say: not what the standard wants for audio, yet what demuxers read, and no camera sends a second of sound at once.
pub(super) fn audio_header(pts: Ticks, payload: usize) -> [u8; WITH_PTS] {
    header(StreamId::AUDIO_MIN, u16::try_from(FIXED_OPTIONAL + 5 + payload).unwrap_or(0), pts)
}

fn header(stream_id: u8, length: u16, pts: Ticks) -> [u8; WITH_PTS] {
    let [high, low] = length.to_be_bytes();
    let [p0, p1, p2, p3, p4] = timestamp(0b0010, pts);
    [0, 0, 1, stream_id, high, low, ALIGNED, 0x80, 5, p0, p1, p2, p3, p4]
}

/// `10`, not scrambled, data_alignment_indicator: the payload starts with a delimiter or an ADTS frame.
const ALIGNED: u8 = 0x84;

/// The adaptation field's flags and PCR, without its length and stuffing, with the random access and discontinuity indicators.
pub(super) fn clock_fields(pcr: Ticks, random_access: bool, discontinuity: bool) -> [u8; CLOCK_FIELDS] {
    const PCR_FLAG: u8 = 0x10;
    let flags = u8::from(discontinuity) << 7 | u8::from(random_access) << 6 | PCR_FLAG;
    // 33 bits of base, 6 reserved ones, 9 bits of extension: 0, since the times come in 90 kHz.
    let [_, _, p0, p1, p2, p3, p4, p5] = (wire(pcr) << 15 | 0x3F << 9).to_be_bytes();
    [flags, p0, p1, p2, p3, p4, p5]
}

/// Bytes that [`clock_fields`] gives.
pub(super) const CLOCK_FIELDS: usize = 7;

/// A PTS or DTS: 4 bits of prefix, then 33 bits in three groups, each closed by a marker bit.
fn timestamp(prefix: u64, time: Ticks) -> [u8; 5] {
    let time = wire(time);
    let (high, middle, low) = (time >> 30, time >> 15 & 0x7FFF, time & 0x7FFF);
    let [_, _, _, bytes @ ..] =
        (prefix << 36 | high << 33 | 1 << 32 | middle << 17 | 1 << 16 | low << 1 | 1).to_be_bytes();
    bytes
}

/// The low 33 bits: the wire's clock starts again every 26.5 hours, below zero as well.
const fn wire(time: Ticks) -> u64 {
    time.0.cast_unsigned() & Timestamp::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_coded_as_in_the_standard_and_wrap_at_33_bits() {
        assert_eq!(timestamp(0b0010, Ticks(0)), [0x21, 0x00, 0x01, 0x00, 0x01]);
        assert_eq!(timestamp(0b0010, Ticks(90_000)), [0x21, 0x00, 0x05, 0xBF, 0x21]);
        assert_eq!(timestamp(0b0011, Ticks((1 << 33) - 1)), [0x3F, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(timestamp(0b0001, Ticks(1 << 33)), [0x11, 0x00, 0x01, 0x00, 0x01]);
        assert_eq!(timestamp(0b0001, Ticks(-1)), [0x1F, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(timestamp(0b0001, Ticks(i64::MIN)), [0x11, 0x00, 0x01, 0x00, 0x01]);
    }

    #[test]
    fn the_clock_has_its_reserved_bits_set() {
        assert_eq!(clock_fields(Ticks(0), false, false), [0x10, 0, 0, 0, 0, 0x7E, 0]);
        assert_eq!(clock_fields(Ticks(1), true, false), [0x50, 0, 0, 0, 0, 0xFE, 0]);
        assert_eq!(clock_fields(Ticks(-1), false, true), [0x90, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0]);
    }

    #[test]
    fn audio_says_its_length_while_16_bits_can() {
        let length = |payload| audio_header(Ticks(0), payload)[4..6].to_vec();
        assert_eq!(length(1), [0, 9]);
        assert_eq!(length(65_527), [0xFF, 0xFF]);
        assert_eq!(length(65_528), [0, 0]);
        assert_eq!(length(5_000_000), [0, 0]);
    }
}
