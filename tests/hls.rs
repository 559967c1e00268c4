//! A camera through the hub into HLS: what a player and a folder reader see over many segments.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::disallowed_methods, reason = "a test may read the clock")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};
use porthole::hls::task::{Settings, recover, run};
use porthole::hls::{Facts, Prefix, Sequence, Store};
use porthole::hub::{Hub, Limits};
use porthole::media::{AccessUnit, StreamFormat, StreamId, Ticks, VideoCodec, VideoFormat, WallTime};

/// A camera, its HLS run and what a player remembers.
struct Rig {
    hub: Hub,
    store: Store,
    id: StreamId,
    run: Option<Pin<Box<dyn Future<Output = ()>>>>,
    changes: Rc<RefCell<Vec<Facts>>>,
    format: Rc<StreamFormat>,
    start: Instant,
    output_dir: PathBuf,
    threshold: usize,
    player: Player,
}

/// What every playlist so far promised.
#[derive(Default)]
struct Player {
    playlists: usize,
    target: Option<u64>,
    sequence: u64,
    discontinuity_sequence: u64,
    /// Until when a segment that left must be fetchable, by file name.
    grace: BTreeMap<String, Instant>,
    listed: Vec<(String, Duration)>,
    /// The longest playlist that named a segment.
    longest: BTreeMap<String, Duration>,
    segments: BTreeMap<u64, (String, Duration)>,
}

impl Rig {
    fn new(name: &str, threshold: usize, wall: fn() -> Option<WallTime>) -> Self {
        Self::start(name, threshold, wall, Store::new(), Duration::from_secs(1000))
    }

    fn start(name: &str, threshold: usize, wall: fn() -> Option<WallTime>, store: Store, boot: Duration) -> Self {
        let output_dir = PathBuf::from(format!("/dev/shm/porthole-hls-{}-{name}", std::process::id()));
        let (hub, id) = (Hub::new(), StreamId::parse("cam").unwrap());
        let changes = Rc::<RefCell<Vec<Facts>>>::default();
        let settings = Settings {
            id,
            output_dir: output_dir.join("deep/er"),
            prefix: Prefix::new(7),
            segment_duration: Ticks::from_secs(1),
            segment_count: 3,
            cleanup_threshold: threshold,
            segment_bytes: 8 << 20,
            stream_bytes: Rc::new(Cell::new(64 << 20)),
            first_sequence: Sequence::first(boot),
            wall,
        };
        let reader = hub.subscribe(Limits { units: 100, bytes: 8 << 20 });
        let log = Rc::clone(&changes);
        let future = run(reader, settings, store.clone(), move |facts| log.borrow_mut().push(facts.clone()));
        let run: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move { drop(future.await) });
        let video = VideoFormat {
            codec: VideoCodec::H264,
            parameter_sets: vec![[0x67, 1].into(), [0x68, 1].into()],
            width: 64,
            height: 64,
            rfc6381: "avc1.64001F".into(),
        };
        let format = Rc::new(StreamFormat { video, audio: None });
        let start = Instant::now();
        let (run, player) = (Some(run), Player::default());
        let mut rig = Self { hub, store, id, run, changes, format, start, output_dir, threshold, player };
        rig.poll();
        rig
    }

    fn folder(&self) -> PathBuf {
        self.output_dir.join("deep/er/cam")
    }

    fn poll(&mut self) {
        if let Some(run) = &mut self.run {
            for _ in 0..8 {
                assert!(block_on(poll_once(run.as_mut())).is_none(), "the run ended");
            }
        }
    }

    fn publish(&mut self, millis: u64, key_frame: bool, discontinuity: bool) {
        let mut data = vec![if key_frame { 0x65 } else { 0x41 }; 1004];
        data[..4].copy_from_slice(&1000_u32.to_be_bytes());
        let dts = Ticks::from_millis(i64::try_from(millis).unwrap());
        let at = self.start + Duration::from_millis(millis);
        let mut unit = AccessUnit::video(&self.format, dts, key_frame, data, at);
        unit.discontinuity = discontinuity;
        self.hub.publish(&Rc::new(unit));
    }

    /// Feeds 25 pictures a second with key frames at `keys` (milliseconds), and looks at the playlist after each picture.
    fn feed(&mut self, from: u64, to: u64, keys: impl Fn(u64) -> bool) {
        for millis in (from..to).step_by(40) {
            self.publish(millis, keys(millis), false);
            self.poll();
            self.look(self.start + Duration::from_millis(millis));
        }
    }

    /// Reads the playlist as a player would and checks everything it promises.
    fn look(&mut self, now: Instant) {
        let Some(text) = self.store.playlist(&self.id) else { return };
        let file = std::fs::read_to_string(self.folder().join("index.m3u8")).unwrap();
        assert_eq!(*text, *file);
        let value = |tag: &str| text.lines().find_map(|line| line.strip_prefix(tag)).unwrap().parse::<u64>().unwrap();
        let target = value("#EXT-X-TARGETDURATION:");
        let (sequence, discontinuities) = (value("#EXT-X-MEDIA-SEQUENCE:"), value("#EXT-X-DISCONTINUITY-SEQUENCE:"));
        let durations = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
        let durations = durations.map(|d| Duration::from_secs_f64(d.trim_end_matches(',').parse().unwrap()));
        let names = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        let listed: Vec<(String, Duration)> = names.zip(durations).collect();

        let player = &mut self.player;
        player.playlists += 1;
        assert_eq!(*player.target.get_or_insert(target), target, "TARGETDURATION changed");
        assert!(sequence >= player.sequence, "MEDIA-SEQUENCE went back");
        assert!(discontinuities >= player.discontinuity_sequence, "DISCONTINUITY-SEQUENCE went back");
        (player.sequence, player.discontinuity_sequence) = (sequence, discontinuities);
        let total: Duration = listed.iter().map(|(_, duration)| *duration).sum();
        for (n, (name, duration)) in (sequence..).zip(&listed) {
            assert!(duration.as_secs_f64().round() <= target as f64, "{name} lasts {duration:?}, target {target}");
            let known = player.segments.entry(n).or_insert_with(|| (name.clone(), *duration));
            assert_eq!(*known, (name.clone(), *duration), "a number got another segment");
            player.grace.remove(name);
        }
        let complete = player.segments.len() > listed.len();
        if complete {
            assert!(listed.len() >= 3 && total.as_secs_f64() >= 3.0 * target as f64 - 0.01, "{total:?} of {target}");
        }
        for (name, duration) in std::mem::take(&mut player.listed) {
            if !listed.iter().any(|(listed, _)| *listed == name) {
                let longest = player.longest.remove(&name).unwrap();
                player.grace.insert(name, now + duration + longest);
            }
        }
        for (name, _) in &listed {
            let longest = player.longest.entry(name.clone()).or_default();
            *longest = total.max(*longest);
        }
        player.listed = listed.clone();
        player.grace.retain(|_, until| *until > now + Duration::from_millis(250));
        let must_resolve = listed.iter().map(|(name, _)| name).chain(self.player.grace.keys());
        for name in must_resolve {
            let slot = self.store.slot(&self.id, name).unwrap_or_else(|| panic!("{name} is gone"));
            assert_eq!(slot.bytes().len() % 188, 0);
            assert_eq!(std::fs::metadata(self.folder().join(name)).unwrap().len(), slot.bytes().len() as u64);
        }
        let segments = names_in(&self.folder()).iter().filter(|name| name.contains("_main_seg")).count();
        assert!(segments <= self.threshold, "{segments} files");
    }

    fn facts(&self) -> Facts {
        self.changes.borrow().last().unwrap().clone()
    }

    /// Ends the run: nothing of it stays.
    fn end(mut self) {
        self.run = None;
        assert!(self.store.playlist(&self.id).is_none());
        assert!(!self.folder().exists(), "{:?}", names_in(&self.folder()));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.run = None;
        let _gone = std::fs::remove_dir_all(&self.output_dir);
    }
}

fn names_in(path: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn no_clock() -> Option<WallTime> {
    None
}

#[test]
fn one_second_gops_for_ten_minutes() {
    let mut rig = Rig::new("steady", 20, no_clock);
    rig.feed(0, 1000, |ms| ms % 1000 == 0);
    assert_eq!(rig.player.playlists, 0);
    rig.feed(1000, 600_000, |ms| ms % 1000 == 0);
    assert_eq!((rig.player.target, rig.player.segments.len()), (Some(1), 599));
    // Window 3, grace 4, and the one being written.
    assert_eq!(names_in(&rig.folder()).len(), 1 + 8);
    let facts = rig.facts();
    assert_eq!((facts.segments, facts.target_duration, facts.window_seconds), (3, Some(1), 3));
    assert_eq!((facts.errors, facts.segments_created, facts.last_error), (0, 599, None));
    // 25 pictures of 6 packets and one of tables.
    assert_eq!(facts.current_bitrate, (25 * 6 + 2) * 188 * 8);
    assert_eq!(facts.bytes_written, 599 * (25 * 6 + 2) * 188);
    rig.end();
}

#[test]
fn the_first_playlist_comes_with_the_second_key_frame() {
    let mut rig = Rig::new("first", 20, no_clock);
    rig.feed(0, 2041, |ms| ms == 0 || ms == 2000);
    let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:10000\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXTINF:2.000000,\n700000_main_seg10000.ts\n";
    assert_eq!(rig.store.playlist(&rig.id).as_deref(), Some(expected));
    assert_eq!(rig.store.slot(&rig.id, "index.m3u8").map(|_| ()), None);
    rig.end();
}

#[test]
fn a_ten_second_gop_half_second_gops_and_a_gop_that_is_not_whole() {
    for (name, gop, target) in [("ten", 10_000, 10), ("half", 480, 1), ("odd", 1920, 2)] {
        let mut rig = Rig::new(name, 20, no_clock);
        rig.feed(0, 200_000, |ms| ms % gop == 0);
        assert_eq!(rig.player.target, Some(target));
        assert_eq!(rig.facts().errors, 0);
        rig.end();
    }
}

#[test]
fn irregular_gops() {
    let mut rig = Rig::new("irregular", 20, no_clock);
    let keys = RefCell::new((0_u64, 99_u64));
    rig.feed(0, 600_000, |ms| {
        let (next, random) = &mut *keys.borrow_mut();
        let key = ms >= *next;
        if key {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *next = ms + 200 + (*random >> 33) % 2800;
        }
        key
    });
    rig.end();
}

#[test]
fn a_camera_that_sends_no_more_key_frames_is_cut_and_counted() {
    let mut rig = Rig::new("endless", 20, no_clock);
    rig.feed(0, 60_000, |ms| ms % 1000 == 0 && ms <= 5000);
    let facts = rig.facts();
    assert!(facts.errors >= 35, "{}", facts.errors);
    assert_eq!(
        facts.last_error.unwrap().to_string(),
        "no key frame for 1.4 s: a segment was cut without one; set the camera's key frame interval to 1 or 2 s"
    );
    rig.end();
}

#[test]
fn a_lost_camera_leaves_the_playlist_and_comes_back_with_a_discontinuity() {
    let mut rig = Rig::new("lost", 20, no_clock);
    rig.feed(0, 10_000, |ms| ms % 1000 == 0);
    let before = rig.store.playlist(&rig.id).unwrap();
    rig.poll();
    assert_eq!(rig.store.playlist(&rig.id), Some(before));
    rig.publish(70_000, true, true);
    rig.feed(70_040, 75_000, |ms| ms % 1000 == 0);
    let text = rig.store.playlist(&rig.id).unwrap();
    assert_eq!(rig.player.sequence, 10_000 + 11);
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 0);
    assert_eq!(rig.player.discontinuity_sequence, 1);
    rig.end();
}

#[test]
fn numbers_go_on_over_a_sleep_and_over_a_crash() {
    let mut rig = Rig::new("restart", 20, no_clock);
    rig.feed(0, 5000, |ms| ms % 1000 == 0);
    rig.publish(9000, true, true);
    rig.feed(9040, 12_000, |ms| ms % 1000 == 0);
    let first = (rig.player.sequence, rig.player.discontinuity_sequence);
    let store = rig.store.clone();
    rig.end();

    // Asleep for a minute; then a crash.
    let mut rig = Rig::start("restart", 20, no_clock, store, Duration::from_secs(1072));
    rig.feed(0, 5000, |ms| ms % 1000 == 0);
    let second = (rig.player.sequence, rig.player.discontinuity_sequence);
    assert!(second > first && second.1 == 2, "{first:?} {second:?}");
    std::mem::forget(rig.run.take());
    assert_eq!(names_in(&rig.folder()).len(), 1 + 5);
    std::mem::forget(rig);

    // A new process, without and with the cleaning at its start.
    let mut rig = Rig::start("restart", 20, no_clock, Store::new(), Duration::from_secs(1079));
    rig.feed(0, 5000, |ms| ms % 1000 == 0);
    let third = (rig.player.sequence, rig.player.discontinuity_sequence);
    assert!(third > second && third.1 == 3, "{second:?} {third:?}");
    std::mem::forget(rig.run.take());
    let (store, base) = (Store::new(), rig.output_dir.join("deep/er"));
    assert_eq!(recover(&store, &base, rig.id).unwrap(), 6);
    assert!(!rig.folder().exists());
    std::mem::forget(rig);
    let mut rig = Rig::start("restart", 20, no_clock, store, Duration::from_secs(1086));
    rig.feed(0, 5000, |ms| ms % 1000 == 0);
    assert_eq!(rig.player.discontinuity_sequence, 4);
    rig.end();
}

#[test]
fn program_date_time_stands_there_once_the_clock_is_trusted() {
    let mut rig = Rig::new("clock", 20, || Some(WallTime(1_795_413_954_120)));
    rig.feed(0, 3000, |ms| ms % 1000 == 0);
    let text = rig.store.playlist(&rig.id).unwrap();
    assert_eq!(text.matches("#EXT-X-PROGRAM-DATE-TIME:2026-11-23T06:05:5").count(), 2, "{text}");
    rig.end();
}

#[test]
fn a_flood_is_dropped_counted_and_marked() {
    let mut rig = Rig::new("flood", 20, no_clock);
    rig.feed(0, 3000, |ms| ms % 1000 == 0);
    for millis in (3000..9000).step_by(40) {
        rig.publish(millis, millis % 1000 == 0, false);
    }
    rig.poll();
    rig.feed(9000, 11_000, |ms| ms % 1000 == 0);
    let facts = rig.facts();
    assert_eq!((facts.errors, facts.last_error.unwrap().code()), (1, "queue_overflow"));
    assert!(rig.store.playlist(&rig.id).unwrap().contains("#EXT-X-DISCONTINUITY\n"));
    rig.end();
}

#[test]
fn a_viewer_that_holds_on_is_cut_off_and_the_others_go_on() {
    let mut rig = Rig::new("slow-viewer", 9, no_clock);
    rig.feed(0, 5000, |ms| ms % 1000 == 0);
    let mut held = Vec::new();
    for second in 5..20 {
        held.extend(rig.player.listed.iter().filter_map(|(name, _)| rig.store.slot(&rig.id, name)));
        rig.feed(second * 1000, second * 1000 + 1000, |ms| ms % 1000 == 0);
    }
    let facts = rig.facts();
    assert_eq!(facts.last_error.unwrap().code(), "slow_viewer_cut_off");
    let cut_off = held.iter().filter(|slot| slot.revoked()).map(Arc::as_ptr).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(cut_off.len() as u64, facts.errors);
    assert!(held.iter().all(|slot| slot.bytes().chunks(188).all(|packet| packet[0] == 0x47)));
    held.clear();
    rig.feed(20_000, 30_000, |ms| ms % 1000 == 0);
    assert_eq!(rig.facts().errors, facts.errors);
    rig.end();
}

#[test]
fn a_run_never_starts_in_a_folder_that_is_a_link() {
    let base = PathBuf::from(format!("/dev/shm/porthole-hls-{}-link", std::process::id()));
    std::fs::create_dir_all(base.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(base.join("elsewhere"), base.join("cam")).unwrap();
    let settings = Settings {
        id: StreamId::parse("cam").unwrap(),
        output_dir: base.clone(),
        prefix: Prefix::new(7),
        segment_duration: Ticks::from_secs(1),
        segment_count: 3,
        cleanup_threshold: 20,
        segment_bytes: 1 << 20,
        stream_bytes: Rc::new(Cell::new(8 << 20)),
        first_sequence: 0,
        wall: no_clock,
    };
    let reader = Hub::new().subscribe(Limits { units: 1, bytes: 1 });
    let Err(error) = block_on(run(reader, settings, Store::new(), |_| {}));
    assert!(error.to_string().starts_with(base.join("cam").to_str().unwrap()));
    std::fs::remove_dir_all(base).unwrap();
}
