//! The boards: what is committed is what their profiles say, and every board carries what it is said to be made for.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use porthole::board::{Profile, Tier, fit, task};
use porthole::config::Plan;

fn boards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("board")
}

fn profile(name: &str) -> Profile {
    let text = std::fs::read_to_string(boards().join(name).join("profile.toml")).unwrap();
    Profile::parse(&text, name).unwrap()
}

/// A copy of `board/` that a test may spoil.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        let copy = Self(std::env::temp_dir().join(format!("porthole-boards-{}-{name}", std::process::id())));
        copy_folder(&boards(), &copy.0);
        copy
    }

    fn replace(&self, file: &str, old: &str, new: &str) {
        let path = self.0.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{text}");
        std::fs::write(path, text.replacen(old, new, 1)).unwrap();
    }

    /// Exit status and what was said, without the folder's own path.
    fn render(&self, options: &[&str]) -> (Option<i32>, String) {
        let run = Command::new(env!("CARGO_BIN_EXE_porthole"))
            .args(["board", "render", "--dir"])
            .arg(&self.0)
            .args(options)
            .output()
            .unwrap();
        let said = String::from_utf8(if run.status.success() { run.stdout } else { run.stderr }).unwrap();
        (run.status.code(), said.replace(&format!("{}/", self.0.display()), ""))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

#[test]
fn what_is_committed_is_what_the_profiles_say() {
    let files = task::check(&boards()).unwrap_or_else(|error| panic!("{error}"));
    assert!(files > 20, "{files}");
}

#[test]
fn every_board_carries_all_of_its_cameras_and_viewers() {
    let carried = |name| {
        let profile = profile(name);
        let plan: Plan = fit(&profile).unwrap_or_else(|problems| panic!("{name}: {problems:?}")).unwrap();
        let worst: u64 = plan.memory.iter().map(|item| item.bytes).sum();
        assert!(worst <= plan.memory_limit && plan.hls.is_some(), "{name}: {plan:?}");
        let webrtc = plan.webrtc.unwrap();
        (plan.cameras.len(), webrtc.max_viewers, webrtc.gop_bytes / 1000, profile.tier)
    };
    // Cameras, viewers, kB of each camera's last GOP: 12 s of its bitrate where the memory allows.
    assert_eq!(carried("qemu-virt"), (4, 2, 2555, Tier::Assumed));
    assert_eq!(carried("raspberrypi4-64"), (16, 8, 6000, Tier::Assumed));
    assert_eq!(carried("imx8mp-evk"), (16, 16, 12_000, Tier::Assumed));
    assert_eq!(carried("rk3568"), (16, 12, 12_000, Tier::Assumed));
    assert_eq!(fit(&profile("generic")), Ok(None), "its limits are found where it runs");
}

#[test]
fn the_profile_that_new_boards_start_from_shows_every_key() {
    let text = std::fs::read_to_string(boards().join("rk3568/profile.toml")).unwrap();
    let document: toml::Table = text.parse().unwrap();
    let shown = |key: &String| match key.split_once('.') {
        Some((table, key)) => document.get(table).is_some_and(|table| table.get(key).is_some()),
        None => document.contains_key(key),
    };
    let keys = Profile::keys();
    assert!(keys.len() > 30, "{keys:?}");
    assert_eq!(keys.into_iter().filter(|key| !shown(key)).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_what_its_profile_says_is_named() {
    let copy = Copy::new("stale");
    assert_eq!(copy.render(&["--check"]), (Some(0), "good: 30 files are what the profiles say\n".to_owned()));
    copy.replace("qemu-virt/rendered/sysctl.conf", "458752", "458753");
    std::fs::remove_file(copy.0.join("rk3568/rendered/board.toml")).unwrap();
    std::fs::write(copy.0.join("generic/rendered/board.toml"), "id = \"generic\"\n").unwrap();
    let stale = "porthole: qemu-virt/rendered/sysctl.conf: differs from its profile: edit that, and run `porthole board render`\n\
                 rk3568/rendered/board.toml: is missing: run `porthole board render`\n\
                 generic/rendered/board.toml: is rendered from nothing: delete it\n";
    assert_eq!(copy.render(&["--check"]), (Some(1), stale.to_owned()));
    let written = "qemu-virt/rendered/sysctl.conf\nrk3568/rendered/board.toml\n";
    assert_eq!(copy.render(&[]), (Some(0), written.to_owned()));
    std::fs::remove_file(copy.0.join("generic/rendered/board.toml")).unwrap();
    assert_eq!(copy.render(&["--check"]).0, Some(0));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_nothing_is_written() {
    let copy = Copy::new("key");
    copy.replace("qemu-virt/profile.toml", "daemon_mib = 40", "deamon_mib = 40");
    copy.replace("rk3568/profile.toml", "watchdog_seconds = 30", "watchdog_seconds = 60");
    copy.replace("generic/profile.toml", "width = 1920", "width = 3840");
    let (status, said) = copy.render(&[]);
    assert_eq!(
        (status, said.lines().collect::<Vec<_>>().as_slice()),
        (
            Some(1),
            [
                "porthole: qemu-virt/profile.toml: line 30: memory.daemon_mib: is missing: 16 to 65536 MiB",
                "qemu-virt/profile.toml: line 31: memory.deamon_mib: unknown key; did you mean `daemon_mib`?",
                "rk3568/profile.toml: line 52: image.watchdog_seconds: is 60; it must be 2 to 44 seconds",
            ]
            .as_slice()
        )
    );
    let generic = std::fs::read_to_string(copy.0.join("generic/rendered/sysctl.conf")).unwrap();
    assert!(generic.contains("1920 x 1080"), "{generic}");
}

#[test]
fn a_profile_that_does_not_fit_itself_is_refused_with_the_count_that_would() {
    let refusal = |name: &str, old: &str, new: &str| {
        let copy = Copy::new(&format!("fit-{}", new.replace(' ', "")));
        copy.replace(&format!("{name}/profile.toml"), old, new);
        let (status, said) = copy.render(&["--check"]);
        assert_eq!(status, Some(1), "{said}");
        said
    };
    for (name, old, new, said) in [
        (
            "qemu-virt",
            "count = 4",
            "count = 8",
            "porthole: qemu-virt/profile.toml: hls.output_dir: 8 cameras of 2000 kbit/s need 42 MiB for segments; \
             /run/porthole/hls may hold 23 MiB: at most 4 cameras fit\n\
             qemu-virt/profile.toml: camera: 8 cameras may need 53 MiB of memory; the board qemu-virt allows 40 MiB: \
             at most 5 cameras fit\n",
        ),
        (
            "raspberrypi4-64",
            "webrtc = 8",
            "webrtc = 80",
            "porthole: raspberrypi4-64/profile.toml: webrtc.max_viewers: is 80; so many viewers and 16 cameras may need \
             229 MiB of memory; the board raspberrypi4-64 allows 192 MiB: at most 55 fit\n",
        ),
        (
            "raspberrypi4-64",
            "ram_mib = 1024",
            "ram_mib = 512",
            "porthole: raspberrypi4-64/profile.toml: memory: the daemon with tmpfs and socket buffers may take 395 MiB, \
             the system 384 MiB: 779 MiB; the board raspberrypi4-64 has 512 MiB\n",
        ),
    ] {
        assert_eq!(refusal(name, old, new), said);
    }
}
