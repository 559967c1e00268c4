//! The window over many segments.

use super::*;

fn entry(sequence: u64, millis: i64, discontinuity: bool) -> Entry<u64> {
    Entry {
        sequence,
        file_name: format!("k3x9ab_main_seg{sequence}.ts"),
        duration: Ticks::from_millis(millis),
        bytes: 1000,
        discontinuity,
        date: None,
        handle: sequence,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
fn clock() -> impl Fn(u64) -> Instant {
    let start = Instant::now();
    move |millis| start + Duration::from_millis(millis)
}

/// Pushes `count` segments of `millis` in real time and returns the window and the most segments it held.
fn steady(least: usize, most: usize, target: u64, millis: u32, count: u64) -> (Window<u64>, usize) {
    let (mut window, at, mut peak) = (Window::new(least, most, 0), clock(), 0);
    for n in 0..count {
        window.push(entry(n, i64::from(millis), false), target, at(n * u64::from(millis)));
        peak = peak.max(window.held());
    }
    (window, peak)
}

fn listed(window: &Window<u64>) -> Vec<u64> {
    window.listed().map(|entry| entry.sequence).collect()
}

#[test]
fn one_second_segments_list_three_and_hold_four_more() {
    let (window, peak) = steady(3, 19, 1, 1000, 100);
    assert_eq!(listed(&window), [97, 98, 99]);
    assert_eq!(peak, 7);
}

#[test]
fn the_window_lasts_three_target_durations() {
    let (window, peak) = steady(3, 19, 2, 1920, 100);
    assert_eq!(listed(&window), [96, 97, 98, 99]);
    assert_eq!(peak, 9);
    let (window, _) = steady(3, 19, 10, 10_000, 100);
    assert_eq!(listed(&window), [97, 98, 99]);
    let (window, _) = steady(6, 19, 1, 1000, 100);
    assert_eq!(listed(&window), [94, 95, 96, 97, 98, 99]);
}

#[test]
fn a_removed_segment_stays_fetchable_for_its_duration_and_the_playlists() {
    let (mut window, at) = (Window::new(3, 19, 0), clock());
    for n in 0..4 {
        window.push(entry(n, 1000, false), 1, at(n * 1000));
    }
    // Number 0 left at 3 s; 1 s + 3 s later it may go.
    for (n, there) in [(4, true), (5, true), (6, true), (7, false)] {
        window.push(entry(n, 1000, false), 1, at(n * 1000));
        assert_eq!(window.find("k3x9ab_main_seg0.ts").is_some(), there, "at {n} s");
    }
    assert!(window.find("k3x9ab_main_seg1.ts").is_some());
    assert!(window.find("k3x9ab_main_seg8.ts").is_none());
    assert!(window.find("../k3x9ab_main_seg7.ts").is_none());
}

#[test]
fn the_bound_shortens_the_grace_first_and_then_the_playlist() {
    let (window, peak) = steady(3, 5, 1, 1000, 100);
    assert_eq!((listed(&window), peak), (vec![97, 98, 99], 5));
    let (window, peak) = steady(3, 2, 1, 1000, 100);
    assert_eq!((listed(&window), peak), (vec![98, 99], 2));
    let (window, peak) = steady(3, 1000, 1, 100, 1000);
    assert_eq!((window.listed().count(), peak), (30, 59));
}

#[test]
fn letting_go_ends_with_the_newest_segment() {
    let (mut window, _) = steady(3, 19, 1, 1000, 10);
    let mut count = 0;
    while window.drop_oldest() {
        count += 1;
    }
    assert_eq!((count, listed(&window)), (6, vec![9]));
}

#[test]
fn sequences_never_go_back_and_count_the_discontinuities_that_left() {
    let (mut window, at) = (Window::new(3, 6, 500), clock());
    let mut before = (0, 0);
    for n in 0..500_u64 {
        let millis = 100 + n * 7919 % 1400;
        window.push(entry(500 + n, i64::try_from(millis).unwrap(), n % 3 == 1), 1, at(n * 700));
        let first = window.listed().next().unwrap();
        let now = (first.sequence, window.discontinuity_sequence());
        assert!(now.0 >= before.0 && now.1 >= before.1 && now.1 <= now.0, "{before:?} {now:?}");
        let tags = window.listed().filter(|entry| entry.discontinuity).count() as u64;
        let left = 500 + (0..=n).filter(|n| n % 3 == 1).count() as u64 - tags;
        assert_eq!(now.1, left);
        before = now;
    }
}
