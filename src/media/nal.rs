//! NAL units inside length-prefixed access units, and what their types mean (H.264 table 7-1, H.265 table 7-1).

use super::VideoCodec;

/// The NAL units of an access unit whose units are each preceded by a 4-byte big-endian length.
/// A length that points past the end yields what is there and ends; empty units are skipped.
pub fn units(data: &[u8]) -> Units<'_> {
    Units { rest: data }
}

/// Iterator made by [`units`].
#[derive(Clone, Debug)]
pub struct Units<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (length, rest) = self.rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX).min(rest.len());
            let (unit, rest) = rest.split_at(length);
            self.rest = rest;
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    }
}

/// What a NAL unit is, as far as Porthole cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A slice of a picture that decoding can start from (H.264 IDR; H.265 IRAP: IDR, CRA, BLA).
    KeySlice,
    /// A slice of any other picture.
    Slice,
    /// VPS, SPS or PPS.
    ParameterSet,
    /// Access unit delimiter.
    Delimiter,
    /// Anything else: SEI, filler, end of sequence, reserved.
    Other,
}

/// The kind of a NAL unit, from its first byte. An empty unit is `Other`.
pub fn kind(codec: VideoCodec, unit: &[u8]) -> Kind {
    let Some(first) = unit.first() else { return Kind::Other };
    match codec {
        VideoCodec::H264 => match first & 0x1F {
            1..=4 => Kind::Slice,
            5 => Kind::KeySlice,
            7 | 8 => Kind::ParameterSet,
            9 => Kind::Delimiter,
            _ => Kind::Other,
        },
        VideoCodec::H265 => match (first >> 1) & 0x3F {
            0..=9 => Kind::Slice,
            16..=21 => Kind::KeySlice,
            32..=34 => Kind::ParameterSet,
            35 => Kind::Delimiter,
            _ => Kind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_length_prefixed_units_and_survives_lies() {
        let data = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x41];
        assert_eq!(units(&data).collect::<Vec<_>>(), [&[0x65, 1][..], &[0x41][..]]);
        let lying = [0xFF, 0xFF, 0xFF, 0xFF, 0x41, 2];
        assert_eq!(units(&lying).collect::<Vec<_>>(), [&[0x41, 2][..]]);
        assert_eq!(units(&[0, 0, 0]).count(), 0);
        assert_eq!(units(&[]).count(), 0);
    }

    #[test]
    fn h265_cra_and_bla_are_key_slices() {
        for nal_type in 16..=21_u8 {
            assert_eq!(kind(VideoCodec::H265, &[nal_type << 1, 1]), Kind::KeySlice);
        }
        assert_eq!(kind(VideoCodec::H265, &[22 << 1, 1]), Kind::Other);
        assert_eq!(kind(VideoCodec::H264, &[0x65]), Kind::KeySlice);
        assert_eq!(kind(VideoCodec::H264, &[0x09]), Kind::Delimiter);
        assert_eq!(kind(VideoCodec::H264, &[]), Kind::Other);
    }
}
