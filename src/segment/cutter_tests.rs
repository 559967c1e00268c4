//! The cutting rules against cameras as they are.

use super::*;

const FRAME: i64 = 3600;

/// Feeds pictures `(dts, key)` and returns the ended segments as (milliseconds, why).
fn segments(cutter: &mut Cutter, pictures: impl IntoIterator<Item = (i64, bool)>) -> Vec<(i64, Why)> {
    let mut out = Vec::new();
    for (dts, key) in pictures {
        match cutter.push(Ticks(dts), key, false) {
            Step::Start { ended: Some(ended), .. } | Step::End(ended) => out.push((ended.duration.0 / 90, ended.why)),
            _ => {}
        }
    }
    out
}

/// 25 fps with a key frame every `gop` frames, `frames` in all, from `start`.
fn steady(start: i64, frames: i64, gop: i64) -> impl Iterator<Item = (i64, bool)> {
    (0..frames).map(move |n| (start + n * FRAME, n % gop == 0))
}

fn durations(list: &[(i64, Why)]) -> Vec<i64> {
    list.iter().map(|(millis, _)| *millis).collect()
}

#[test]
fn one_second_gops_make_one_second_segments_and_the_first_is_one_gop() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let list = segments(&mut cutter, steady(0, 101, 25));
    assert_eq!(list, [(1000, Why::KeyFrame); 4]);
    assert_eq!(cutter.target_duration(), Some(1));
}

#[test]
fn nothing_starts_before_a_key_frame() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    assert_eq!(cutter.push(Ticks(0), false, false), Step::Skip);
    assert_eq!(cutter.push(Ticks(FRAME), true, false), Step::Start { ended: None, discontinuity: false });
    assert_eq!(cutter.push(Ticks(2 * FRAME), false, false), Step::Append);
}

#[test]
fn half_second_gops_are_gathered_after_the_first() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let list = segments(&mut cutter, (0..300).map(|n| (n * 3000, n % 15 == 0)));
    assert_eq!(durations(&list), [500, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000]);
    assert_eq!(cutter.target_duration(), Some(1));
}

#[test]
fn a_gop_of_1_92_s_gives_target_duration_2() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let list = segments(&mut cutter, steady(0, 48 * 4 + 1, 48));
    assert_eq!(list, [(1920, Why::KeyFrame); 4]);
    assert_eq!(cutter.target_duration(), Some(2));
}

#[test]
fn a_ten_second_gop_makes_ten_second_segments() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    assert_eq!(segments(&mut cutter, steady(0, 501, 250)), [(10_000, Why::KeyFrame); 2]);
    assert_eq!(cutter.target_duration(), Some(10));
}

#[test]
fn gops_that_jitter_around_the_wanted_duration_stay_single() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let keys = [0_i64, 1000, 1990, 3010, 3999, 4960, 6000];
    let pictures =
        keys.windows(2).flat_map(|pair| (pair[0]..pair[1] - 19).step_by(40).map(|ms| (ms * 90, ms == pair[0])));
    let pictures: Vec<_> = pictures.chain([(540_000, true)]).collect();
    assert_eq!(durations(&segments(&mut cutter, pictures)), [1000, 990, 1020, 989, 961, 1040]);
    assert_eq!(cutter.target_duration(), Some(1));
}

#[test]
fn a_gop_that_grows_is_cut_elsewhere_within_the_target_duration() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let mut pictures: Vec<_> = steady(0, 50, 25).collect();
    pictures.extend(steady(50 * FRAME, 251, 250));
    let list = segments(&mut cutter, pictures);
    assert_eq!(cutter.target_duration(), Some(1));
    assert!(list.iter().all(|(millis, _)| *millis < 1500), "{list:?}");
    let long = list.iter().filter(|(_, why)| *why == Why::LongGop).count();
    assert_eq!((list.len(), long), (9, 6), "{list:?}");
    assert_eq!(durations(&list).iter().sum::<i64>(), 12_000);
}

#[test]
fn a_gop_that_shrinks_keeps_the_length_of_segments() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let mut pictures: Vec<_> = steady(0, 100, 50).collect();
    pictures.extend(steady(100 * FRAME, 101, 10));
    assert_eq!(durations(&segments(&mut cutter, pictures)), [2000, 2000, 2000, 2000]);
    assert_eq!(cutter.target_duration(), Some(2));
}

#[test]
fn irregular_gops_never_round_above_the_target_duration_nor_make_slivers() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let mut random = 12345_u64;
    let mut until_key = 0_u64;
    let mut list = Vec::new();
    for n in 0..200_000_i64 {
        let key = until_key == 0;
        if key {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            until_key = 1 + (random >> 33) % 90;
        }
        until_key -= 1;
        list.extend(segments(&mut cutter, [(n * FRAME, key)]));
    }
    let target = i64::try_from(cutter.target_duration().unwrap()).unwrap();
    assert!(list.len() > 3000);
    assert!(list.iter().all(|(millis, _)| *millis < target * 1000 + 500));
    assert!(list[1..].iter().all(|(millis, _)| *millis >= target * 250), "{:?}", durations(&list).iter().min());
}

#[test]
fn a_key_frame_just_after_a_forced_cut_makes_no_sliver() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let mut pictures: Vec<_> = steady(0, 25, 25).collect();
    pictures.extend(steady(25 * FRAME, 200, 38));
    let list = durations(&segments(&mut cutter, pictures));
    assert_eq!(list, [1000, 1480, 1480, 1480, 1480, 1480]);
}

#[test]
fn the_wanted_duration_is_reached_by_whole_gops() {
    let mut cutter = Cutter::new(Ticks::from_secs(4));
    let list = durations(&segments(&mut cutter, steady(0, 24 * 11 + 1, 24)));
    assert_eq!(list, [960, 4800, 4800]);
    assert_eq!(cutter.target_duration(), Some(5));
}

#[test]
fn a_first_gop_without_end_is_closed_after_twelve_seconds() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let list = segments(&mut cutter, steady(0, 25 * 60, 1_000_000));
    assert_eq!(list[0], (12_000, Why::LongGop));
    assert_eq!(cutter.target_duration(), Some(12));
    assert!(list[1..].iter().all(|(millis, why)| *why == Why::LongGop && *millis < 12_500), "{list:?}");
}

#[test]
fn only_key_frames_make_a_first_segment_of_200_ms() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let list = segments(&mut cutter, steady(0, 100, 1));
    assert_eq!(list[0], (200, Why::KeyFrame));
    assert_eq!(durations(&list[1..]), [960, 960, 960]);
    assert_eq!(cutter.target_duration(), Some(1));
}

#[test]
fn one_picture_every_two_seconds_works() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    let list = segments(&mut cutter, (0..10).map(|n| (n * 180_000, true)));
    assert_eq!(list, [(2000, Why::KeyFrame); 9]);
    assert_eq!(cutter.target_duration(), Some(2));
}

#[test]
fn a_discontinuity_ends_the_segment_where_its_last_picture_ends() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    segments(&mut cutter, steady(0, 30, 25));
    let step = cutter.push(Ticks(9_000_000), true, true);
    let ended = Some(Ended { duration: Ticks::from_millis(200), why: Why::Break });
    assert_eq!(step, Step::Start { ended, discontinuity: true });
    assert_eq!(durations(&segments(&mut cutter, steady(9_000_000 + FRAME, 25, 24))), [1000]);
}

#[test]
fn a_break_in_the_first_gop_is_not_published() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    segments(&mut cutter, steady(0, 10, 25));
    let Step::Start { ended: Some(ended), discontinuity: true } = cutter.push(Ticks(-5), true, true) else { panic!() };
    assert_eq!(ended.why, Why::Unmeasured);
    assert_eq!(cutter.target_duration(), None);
}

#[test]
fn a_gap_longer_than_the_target_duration_is_a_discontinuity() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    segments(&mut cutter, steady(0, 26, 25));
    let after = 25 * FRAME + 450_000;
    let step = cutter.push(Ticks(after), false, false);
    assert_eq!(step, Step::End(Ended { duration: Ticks(FRAME), why: Why::Break }));
    assert_eq!(cutter.push(Ticks(after + FRAME), false, false), Step::Skip);
    let step = cutter.push(Ticks(after + 2 * FRAME), true, false);
    assert_eq!(step, Step::Start { ended: None, discontinuity: true });
}

#[test]
fn a_gap_is_not_taken_for_the_cameras_pace() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    // Pictures 30 to 59 are missing, the key frame at 50 among them.
    let list = segments(&mut cutter, steady(0, 101, 25).filter(|(dts, _)| !(30 * FRAME..60 * FRAME).contains(dts)));
    let expected = [(1000, Why::KeyFrame), (1480, Why::LongGop), (520, Why::KeyFrame), (1000, Why::KeyFrame)];
    assert_eq!(list, expected);
}

#[test]
fn a_segment_cut_without_a_key_frame_ends_at_the_next_one() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    // The key frame at picture 50 is missing: EXTINF would round to 2.
    let list = segments(&mut cutter, (0..98).map(|n| (n * FRAME, [0, 25, 72, 97].contains(&n))));
    assert_eq!(list, [(1000, Why::KeyFrame), (1480, Why::LongGop), (400, Why::KeyFrame), (1000, Why::KeyFrame)]);
}

#[test]
fn time_that_goes_back_without_a_flag_waits_for_a_key_frame() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    segments(&mut cutter, steady(0, 30, 25));
    assert!(matches!(cutter.push(Ticks(0), false, false), Step::End(Ended { why: Why::Break, .. })));
    assert_eq!(cutter.push(Ticks(FRAME), false, false), Step::Skip);
    assert_eq!(cutter.push(Ticks(2 * FRAME), true, false), Step::Start { ended: None, discontinuity: true });
}

#[test]
fn a_full_slot_ends_the_segment_at_any_picture() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    segments(&mut cutter, steady(0, 35, 25));
    let dts = Ticks(35 * FRAME);
    assert_eq!(cutter.push(dts, false, false), Step::Append);
    let ended = Some(Ended { duration: Ticks(10 * FRAME), why: Why::Full });
    assert_eq!(cutter.cut(dts), Step::Start { ended, discontinuity: false });
}

#[test]
fn after_an_abandoned_segment_the_next_key_frame_is_a_discontinuity() {
    let mut cutter = Cutter::new(Ticks::from_secs(1));
    segments(&mut cutter, steady(0, 30, 25));
    cutter.abandon();
    assert_eq!(cutter.push(Ticks(30 * FRAME), false, false), Step::Skip);
    assert_eq!(cutter.push(Ticks(31 * FRAME), true, false), Step::Start { ended: None, discontinuity: true });
}
