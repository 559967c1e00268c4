//! A sequence parameter set in, the reorder depth out: how many pictures may come before one that is shown earlier.
//! ITU-T H.264 sections 7.3.2.1.1 and E.1.1; ITU-T H.265 section 7.3.2.2.1.

use h264_reader::nal::sps::{PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader};

use crate::media::VideoCodec;

/// Both standards allow a decoded picture buffer of at most 16 pictures.
pub(super) const MAX_DEPTH: usize = 16;

/// The reorder depth that this SPS promises; `None` when it does not say, or cannot be read.
pub(super) fn reorder_depth(codec: VideoCodec, sps: &[u8]) -> Option<usize> {
    let depth = match codec {
        VideoCodec::H264 => h264(sps)?,
        VideoCodec::H265 => h265(sps).ok()?,
    };
    usize::try_from(depth).ok().filter(|depth| *depth <= MAX_DEPTH)
}

/// The id of a picture parameter set; `None` when it cannot be read.
pub(super) fn pps_id(codec: VideoCodec, pps: &[u8]) -> Option<u32> {
    let header = match codec {
        VideoCodec::H264 => 1,
        VideoCodec::H265 => 2,
    };
    BitReader::new(ByteReader::without_skip(pps.get(header..)?)).read_ue("pps_pic_parameter_set_id").ok()
}

fn h264(sps: &[u8]) -> Option<u32> {
    const BASELINE: u8 = 66;
    let payload = BitReader::new(ByteReader::without_skip(sps.get(1..)?));
    let sps = SeqParameterSet::from_bits(payload).ok()?;
    if let Some(restrictions) = sps.vui_parameters.and_then(|vui| vui.bitstream_restrictions) {
        return Some(restrictions.max_num_reorder_frames);
    }
    let in_order = u8::from(sps.profile_idc) == BASELINE
        || sps.max_num_ref_frames <= 1
        || matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo);
    in_order.then_some(0)
}

fn h265(sps: &[u8]) -> Result<u32, BitReaderError> {
    let mut bits = BitReader::new(ByteReader::without_skip(sps.get(2..).unwrap_or_default()));
    bits.skip(4, "sps_video_parameter_set_id")?;
    let sub_layers_minus1: u8 = bits.read(3, "sps_max_sub_layers_minus1")?;
    bits.skip(1, "sps_temporal_id_nesting_flag")?;
    skip_profile_tier_level(&mut bits, sub_layers_minus1)?;
    bits.read_ue("sps_seq_parameter_set_id")?;
    if bits.read_ue("chroma_format_idc")? == 3 {
        bits.skip(1, "separate_colour_plane_flag")?;
    }
    bits.read_ue("pic_width_in_luma_samples")?;
    bits.read_ue("pic_height_in_luma_samples")?;
    if bits.read_bool("conformance_window_flag")? {
        for _ in 0..4 {
            bits.read_ue("conf_win_offset")?;
        }
    }
    bits.read_ue("bit_depth_luma_minus8")?;
    bits.read_ue("bit_depth_chroma_minus8")?;
    bits.read_ue("log2_max_pic_order_cnt_lsb_minus4")?;
    let every_layer = bits.read_bool("sps_sub_layer_ordering_info_present_flag")?;
    // The last layer's entry counts: a camera sends all of its layers.
    let mut depth = 0;
    for _ in 0..if every_layer { sub_layers_minus1 + 1 } else { 1 } {
        bits.read_ue("sps_max_dec_pic_buffering_minus1")?;
        depth = bits.read_ue("sps_max_num_reorder_pics")?;
        bits.read_ue("sps_max_latency_increase_plus1")?;
    }
    Ok(depth)
}

/// `profile_tier_level(1, sub_layers_minus1)`, ITU-T H.265 section 7.3.3.
fn skip_profile_tier_level(bits: &mut impl BitRead, sub_layers_minus1: u8) -> Result<(), BitReaderError> {
    const PROFILE: u32 = 88;
    const LEVEL: u32 = 8;
    bits.skip(PROFILE + LEVEL, "general_profile_and_level")?;
    if sub_layers_minus1 == 0 {
        return Ok(());
    }
    let mut skipped = 0;
    for layer in 0..8 {
        let profile_and_level: [bool; 2] = [bits.read_bool("present_flag")?, bits.read_bool("present_flag")?];
        if layer < sub_layers_minus1 {
            skipped += u32::from(profile_and_level[0]) * PROFILE + u32::from(profile_and_level[1]) * LEVEL;
        }
    }
    bits.skip(skipped, "sub_layer_profile_and_level")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d.try_into().unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn h264_says_its_depth_in_the_vui() {
        // x264, 320x240: two B-frames in a row, then none.
        let two = bytes("6764000dacd94141fb011000000300100000030320f1429960");
        let none = bytes("6764000dacb20283f60220000003002000000641e28549");
        assert_eq!(reorder_depth(VideoCodec::H264, &two), Some(2));
        assert_eq!(reorder_depth(VideoCodec::H264, &none), Some(0));
    }

    #[test]
    fn h264_without_vui_is_in_order_only_where_b_frames_cannot_be() {
        // 1280x720 without VUI: High with picture order count type 0 and four reference frames; type 2; one
        // reference frame; Baseline.
        assert_eq!(reorder_depth(VideoCodec::H264, &bytes("6764001face5014016e4")), None);
        assert_eq!(reorder_depth(VideoCodec::H264, &bytes("6764001facb280a00b72")), Some(0));
        assert_eq!(reorder_depth(VideoCodec::H264, &bytes("674d001ff402802dc8")), Some(0));
        assert_eq!(reorder_depth(VideoCodec::H264, &bytes("6742001ff200a00b72")), Some(0));
    }

    #[test]
    fn h265_says_its_depth_per_sub_layer() {
        // x265, 320x240: B-frames, then none.
        let two = bytes("42010101600000030090000003000003003ca00a080f16595924932bc05a020000030002000003003210");
        let none = bytes("42010101600000030090000003000003003ca00a080f16592a4932bc05a02000000300200000030321");
        // A camera with three temporal sub-layers.
        let layers = bytes("4201042160000003000003000003000003007b0000a003c0801107cbeb5ad39289ae556400");
        assert_eq!(reorder_depth(VideoCodec::H265, &two), Some(2));
        assert_eq!(reorder_depth(VideoCodec::H265, &none), Some(0));
        assert_eq!(reorder_depth(VideoCodec::H265, &layers), Some(0));
        // Two sub-layers, with a profile for the lower one: no reordering without the upper one, two pictures with it.
        let upper = bytes("42010301600000030090000003000003005ac000000300000300000300000300000300005aa00a080f165bcaf0");
        assert_eq!(reorder_depth(VideoCodec::H265, &upper), Some(2));
    }

    #[test]
    fn pps_ids_tell_picture_parameter_sets_apart() {
        assert_eq!(pps_id(VideoCodec::H264, &bytes("68ebe3cb22c0")), Some(0));
        assert_eq!(pps_id(VideoCodec::H264, &bytes("6848")), Some(1));
        assert_eq!(pps_id(VideoCodec::H265, &bytes("4401c172b46240")), Some(0));
        assert_eq!(pps_id(VideoCodec::H265, &bytes("44")), None);
        assert_eq!(pps_id(VideoCodec::H264, &bytes("6800")), None);
    }

    #[test]
    fn hostile_bytes_say_nothing_and_never_panic() {
        let mut rng = fastrand::Rng::with_seed(1);
        let good = bytes("42010101600000030090000003000003003ca00a080f16595924932bc05a020000030002000003003210");
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            assert_eq!(reorder_depth(codec, &[]), None);
            for length in 0..good.len() - 8 {
                let _ = reorder_depth(codec, &good[..length]);
            }
            for _ in 0..20_000 {
                let length = rng.usize(..64);
                let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
                assert!(reorder_depth(codec, &noise).is_none_or(|depth| depth <= MAX_DEPTH));
                let _ = pps_id(codec, &noise);
            }
        }
    }
}
