//! A running plan and a new one in, what has to be restarted out.

use crate::config::{CameraPlan, Plan};
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
        let changed =
            |camera: &CameraPlan, other: &Plan| every_camera || find(other, camera.camera.id).as_ref() != Some(camera);
        let ids = |plan: &Plan, other: &Plan| {
            plan.cameras.iter().filter(|camera| changed(camera, other)).map(|camera| camera.camera.id).collect()
        };
        Self { stop: ids(old, new), start: ids(new, old), web: old.web != new.web }
    }

    /// True when nothing has to be restarted.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Board, Config, Machine, TmpfsFacts};

    fn plan(text: &str) -> Plan {
        let machine = Machine { memory: 1 << 32, tmpfs: Some(TmpfsFacts { is_tmpfs: true, size: 1 << 30 }) };
        let config = Config::parse(text, |_| Ok("secret".to_owned())).unwrap();
        Plan::resolve(&config, &Board::generic(&machine), &machine).unwrap()
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
}
