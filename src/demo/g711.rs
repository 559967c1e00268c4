//! G.711: samples in, a byte for each out; and a tone to send. ITU-T G.711, tables 1a and 2a.

use std::f64::consts::TAU;

/// Samples per second.
pub(super) const SAMPLE_RATE: u32 = 8000;
/// Samples in a packet of 20 ms.
pub(super) const FRAME_SAMPLES: u32 = 160;
/// The tone, Hz. Together with the rate it makes a whole number of waves in each turn of [`tone`].
const PITCH: f64 = 440.0;
/// A quarter of full scale.
const LOUDNESS: f64 = 8192.0;
/// 44 waves of 440 Hz are 800 samples.
const FRAMES: u32 = 5;

/// A tone that can be repeated for ever without a click, in packets.
pub(super) fn tone(law: fn(i16) -> u8) -> Vec<Vec<u8>> {
    let frame = |frame: u32| (0..FRAME_SAMPLES).map(|at| law(sample(frame * FRAME_SAMPLES + at))).collect();
    (0..FRAMES).map(frame).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a quarter of full scale fits")]
fn sample(at: u32) -> i16 {
    (LOUDNESS * (TAU * PITCH * f64::from(at) / f64::from(SAMPLE_RATE)).sin()).round() as i16
}

/// Mu-law: eight segments, each twice as steep as the one below; sign, segment and step within it, all inverted.
pub(super) fn mu_law(sample: i16) -> u8 {
    // The bias makes the highest bit tell the segment.
    const BIAS: u16 = 0x84;
    let biased = sample.unsigned_abs().min(0x7FFF - BIAS) + BIAS;
    let segment = biased.ilog2() - 7;
    !(u8::from(sample < 0) << 7 | packed(segment, biased >> (segment + 3)))
}

/// A-law: the two lowest segments are equally steep; every other bit is inverted.
pub(super) fn a_law(sample: i16) -> u8 {
    // A negative sample counts from -1, so that there are two zeros.
    let magnitude = if sample < 0 { !sample } else { sample }.unsigned_abs() >> 3;
    let segment = magnitude.max(0x10).ilog2().saturating_sub(4);
    (u8::from(sample >= 0) << 7 | packed(segment, magnitude >> segment.max(1))) ^ 0x55
}

fn packed(segment: u32, step: u16) -> u8 {
    u8::try_from(segment << 4 | u32::from(step & 0xF)).expect("three bits and four")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_get_the_codes_of_the_standard() {
        // Both zeros, both ends of the scale, and the last and first samples around borders of steps and segments.
        let samples = [0, -1, 32_767, -32_768, 8, -9, 255, 256, 511, 512, 8191, 8192];
        assert_eq!(samples.map(a_law), [0xD5, 0x55, 0xAA, 0x2A, 0xD5, 0x55, 0xDA, 0xC5, 0xCA, 0xF5, 0x8A, 0xB5]);
        let samples = [0, -1, 32_767, -32_768, 123, 124, -123, -124, 379, 380, 8031, 8191];
        assert_eq!(samples.map(mu_law), [0xFF, 0x7F, 0x80, 0x00, 0xF0, 0xEF, 0x70, 0x6F, 0xE0, 0xDF, 0xA0, 0x9F]);
    }
}
