//! Parameter sets of a camera: the reorder depth and the PPS id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use porthole::ingest::fuzzing::{MAX_DEPTH, pps_id, reorder_depth};
use porthole_fuzz::Bytes;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let codec = bytes.codec();
    let set = bytes.rest();
    let depth = reorder_depth(codec, set);
    assert!(depth.is_none_or(|depth| depth <= MAX_DEPTH), "{depth:?}");
    let _ = pps_id(codec, set);
});
