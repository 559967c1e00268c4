//! A running plan and a new one in, what has to be restarted out.

use crate::config::{Camera, CameraPlan, Plan, WebRtcPlan};
use crate::media::StreamId;

/// What a new plan changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Cameras to stop: gone, or changed.
    pub(super) stop: Vec<StreamId>,
    /// Cameras to start: new, or changed.
    pub(super) start: Vec<StreamId>,
    /// The web port's own settings changed.
    pub(super) web: bool,
    /// The WebRTC output is to be ended, started, or both. Cameras and their HLS go on.
    pub(super) webrtc: bool,
}

impl Changes {
    pub(super) fn between(old: &Plan, new: &Plan) -> Self {
        // The budget per stream follows the number of cameras; a running stream keeps the one it has.
        let every_camera = match (&old.hls, &new.hls) {
            (Some(old), Some(new)) => {
                (&old.output_dir, old.segment_duration, old.segment_count, old.segments.files)
                    != (&new.output_dir, new.segment_duration, new.segment_count, new.segments.files)
            }
            (None, None) => false,
            _ => true,
        };
        let find = |plan: &Plan, id: StreamId| plan.cameras.iter().find(|camera| camera.camera.id == id).cloned();
        let changed = |camera: &CameraPlan, other: &Plan| {
            every_camera || !find(other, camera.camera.id).is_some_and(|other| same_session(camera, &other))
        };
        let ids = |plan: &Plan, other: &Plan| {
            plan.cameras.iter().filter(|camera| changed(camera, other)).map(|camera| camera.camera.id).collect()
        };
        let fewer_or_more_viewers = |camera: &CameraPlan| {
            find(new, camera.camera.id).is_some_and(|other| other.max_viewers != camera.max_viewers)
        };
        let webrtc = old.webrtc.as_ref().map(same_output) != new.webrtc.as_ref().map(same_output)
            || old.cameras.iter().any(fewer_or_more_viewers);
        Self { stop: ids(old, new), start: ids(new, old), web: old.web != new.web, webrtc }
    }

    /// True when nothing has to be restarted.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// True when a camera's session and HLS can go on as they are: its viewers by WebRTC are not their business.
fn same_session(old: &CameraPlan, new: &CameraPlan) -> bool {
    let viewers_aside = |plan: &CameraPlan| CameraPlan {
        camera: Camera { max_viewers: None, ..plan.camera.clone() },
        max_viewers: 0,
        ..plan.clone()
    };
    viewers_aside(old) == viewers_aside(new)
}

/// What of a WebRTC plan cannot change while it runs: all but the bound of the GOP caches. That follows the number of
/// cameras, and a running hub takes a new one, as a stream does with its share of the tmpfs.
fn same_output(plan: &WebRtcPlan) -> WebRtcPlan {
    WebRtcPlan { gop_bytes: 0, ..plan.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Board, Config, Machine, TmpfsFacts};

    fn plan(text: &str) -> Plan {
        plan_with(text, 1024)
    }

    fn small_plan(text: &str) -> Plan {
        plan_with(text, 100)
    }

    fn plan_with(text: &str, mebibytes: u64) -> Plan {
        let machine = Machine { memory: 1 << 32, tmpfs: Some(TmpfsFacts { is_tmpfs: true, size: 1 << 30 }) };
        let config = Config::parse(text, |_| Ok("secret".to_owned())).unwrap();
        let board = Board { memory: mebibytes << 20, ..Board::generic(&machine) };
        Plan::resolve(&config, &board, &machine).unwrap()
    }

    fn camera(id: &str, path: &str) -> String {
        format!("[[camera]]\nid = \"{id}\"\nurl = \"rtsp://10.0.0.1/{path}\"\n")
    }

    fn ids(list: &[StreamId]) -> Vec<&str> {
        list.iter().map(StreamId::as_str).collect()
    }

    #[test]
    fn only_what_changed_is_restarted() {
        let old = plan(&(camera("a", "1") + &camera("b", "2")));
        let new = plan(&(camera("a", "1") + &camera("b", "other") + &camera("c", "3")));
        let changes = Changes::between(&old, &new);
        assert_eq!(ids(&changes.stop), ["b"]);
        assert_eq!(ids(&changes.start), ["b", "c"]);
        assert!(!changes.web);
        assert!(Changes::between(&new, &new).is_empty());
    }

    #[test]
    fn another_folder_restarts_every_camera_and_another_port_only_the_web() {
        let old = plan(&camera("a", "1"));
        let folder = plan(&("[hls]\nsegment_duration = 2\n".to_owned() + &camera("a", "1")));
        assert_eq!(ids(&Changes::between(&old, &folder).stop), ["a"]);
        let off = plan(&("[hls]\nenabled = false\n".to_owned() + &camera("a", "1")));
        assert_eq!(ids(&Changes::between(&old, &off).start), ["a"]);
        let port = plan(&("[web]\nlisten = \"0.0.0.0:80\"\n".to_owned() + &camera("a", "1")));
        let changes = Changes::between(&old, &port);
        assert!(changes.web && changes.stop.is_empty());
    }

    #[test]
    fn webrtc_restarts_by_itself_and_no_camera_with_it() {
        let camera = camera("a", "1");
        let old = plan(&camera);
        for section in [
            "[webrtc]\nenabled = false\n",
            "[webrtc]\nudp_port = 5000\n",
            "[webrtc]\ntcp_port = 8189\n",
            "[webrtc]\ninterfaces = [\"eth0\"]\n",
            "[webrtc]\nmax_viewers = 5\n",
            "[system]\nstate_dir = \"/data/porthole\"\n",
        ] {
            let new = plan(&(section.to_owned() + &camera));
            let expected = Changes { webrtc: true, ..Changes::default() };
            assert_eq!(Changes::between(&old, &new), expected, "{section}");
            assert_eq!(Changes::between(&new, &old), expected, "back from {section}");
        }
        let own_limit = plan(&(camera + "max_viewers = 2\n"));
        assert_eq!(Changes::between(&old, &own_limit), Changes { webrtc: true, ..Changes::default() });
    }

    #[test]
    fn more_cameras_leave_running_ones_and_webrtc_alone_though_caches_shrink() {
        let cameras = |count| (0..count).map(|n| camera(&format!("c{n}"), &n.to_string())).collect::<String>();
        let viewers = "[webrtc]\nmax_viewers = 20\n";
        let (old, new) =
            (small_plan(&(viewers.to_owned() + &cameras(2))), small_plan(&(viewers.to_owned() + &cameras(8))));
        assert!(old.webrtc.as_ref().unwrap().gop_bytes > new.webrtc.as_ref().unwrap().gop_bytes);
        let changes = Changes::between(&old, &new);
        assert_eq!(ids(&changes.start), ["c2", "c3", "c4", "c5", "c6", "c7"]);
        assert!(changes.stop.is_empty() && !changes.webrtc, "{changes:?}");
    }
}
