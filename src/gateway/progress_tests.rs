#![expect(clippy::disallowed_methods, reason = "tests may read the clock")]

use std::sync::Arc;

use super::*;
use crate::web::fixture;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The fixture's camera `yard`, which streams to HLS and to a browser.
fn change(snapshot: &mut Snapshot, change: impl Fn(&mut CameraStatus)) {
    change(Arc::make_mut(&mut snapshot.cameras[0]));
}

fn deliver(camera: &mut CameraStatus) {
    camera.access_units += 25;
}

fn send(snapshot: &mut Snapshot) {
    Arc::make_mut(snapshot.webrtc.as_mut().unwrap()).sessions[0].packets += 100;
}

#[test]
fn hls_that_makes_nothing_of_a_cameras_pictures_stands_still() {
    let (mut snapshot, mut progress, start) = (fixture::snapshot(), Progress::default(), Instant::now());
    for at in 0..60 {
        assert_eq!(progress.judge(&snapshot, start + seconds(at)), None, "after {at} s");
        change(&mut snapshot, deliver);
        send(&mut snapshot);
    }
    let sentence = "HLS of camera yard stands still for 60 s while the camera delivers";
    assert_eq!(progress.judge(&snapshot, start + seconds(60)).as_deref(), Some(sentence));
    // A fault that is counted is an answer.
    change(&mut snapshot, |camera| camera.hls.as_mut().unwrap().errors += 1);
    assert_eq!(progress.judge(&snapshot, start + seconds(61)), None);
}

#[test]
fn viewers_who_get_nothing_of_it_do_so_too() {
    let (mut snapshot, mut progress, start) = (fixture::snapshot(), Progress::default(), Instant::now());
    for at in 0..60 {
        assert_eq!(progress.judge(&snapshot, start + seconds(at)), None, "after {at} s");
        change(&mut snapshot, deliver);
        change(&mut snapshot, |camera| camera.hls.as_mut().unwrap().segments_created += 1);
    }
    let sentence = "WebRTC of camera yard stands still for 60 s while the camera delivers";
    assert_eq!(progress.judge(&snapshot, start + seconds(60)).as_deref(), Some(sentence));
    // The viewer left.
    Arc::make_mut(snapshot.webrtc.as_mut().unwrap()).sessions.clear();
    assert_eq!(progress.judge(&snapshot, start + seconds(61)), None);
    assert_eq!(progress.outputs.len(), 1);
}

#[test]
fn a_camera_that_delivers_nothing_blames_no_output() {
    let (mut snapshot, mut progress, start) = (fixture::snapshot(), Progress::default(), Instant::now());
    for at in 0..300 {
        assert_eq!(progress.judge(&snapshot, start + seconds(at)), None, "after {at} s");
    }
    // Pictures come, but nothing to start from.
    for at in 300..600 {
        change(&mut snapshot, deliver);
        change(&mut snapshot, |camera| camera.last_key_frame_age = Some(30.0));
        assert_eq!(progress.judge(&snapshot, start + seconds(at)), None, "after {at} s");
    }
    change(&mut snapshot, |camera| camera.last_key_frame_age = Some(0.5));
    // It delivers again, and its outputs have all their time.
    change(&mut snapshot, deliver);
    assert_eq!(progress.judge(&snapshot, start + seconds(600)), None);
    change(&mut snapshot, |camera| camera.state = CameraState::Waiting);
    assert_eq!(progress.judge(&snapshot, start + seconds(900)), None);
    assert!(progress.outputs.is_empty());
}
