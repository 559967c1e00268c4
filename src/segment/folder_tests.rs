//! Folders on a real tmpfs.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::super::scratch::Scratch;
use super::*;

fn id(text: &str) -> StreamId {
    StreamId::parse(text).unwrap()
}

fn put(path: &Path, names: &[&str]) {
    std::fs::create_dir_all(path).unwrap();
    for name in names {
        std::fs::write(path.join(name), b"x").unwrap();
    }
}

#[test]
fn prefixes_are_six_lower_case_letters_or_digits() {
    assert_eq!(Prefix::new(0).to_string(), "000000");
    assert_eq!(Prefix::new(u64::MAX).segment(812), "fsgs46_main_seg812.ts");
    assert!(is_ours(&Prefix::new(u64::MAX).segment(0)));
}

#[test]
fn only_our_names_are_ours() {
    for name in ["index.m3u8", ".index.m3u8.part", "k3x9ab_main_seg812.ts", ".k3x9ab_main_seg812.ts.part"] {
        assert!(is_ours(name), "{name}");
    }
    for name in [
        "index.m3u8.bak",
        "k3x9ab_main_seg.ts",
        "K3X9AB_main_seg1.ts",
        "a_main_seg1.ts",
        "k3x9ab_main_seg1.ts~",
        "notes.txt",
        ".part",
        "",
        "k3x9ab_main_seg-1.ts",
    ] {
        assert!(!is_ours(name), "{name}");
    }
}

#[test]
fn a_folder_is_made_with_parents_and_removed_with_its_files() {
    let scratch = Scratch::new("folder");
    let output_dir = scratch.path().join("a/b");
    let folder = Folder::create(&output_dir, id("cam")).unwrap();
    folder.replace(PLAYLIST, b"#EXTM3U\n").unwrap();
    drop(folder.file("k3x9ab_main_seg1.ts").unwrap());
    assert_eq!(Scratch::names(&output_dir.join("cam")), ["index.m3u8", "k3x9ab_main_seg1.ts"]);
    let mode = |name: &str| std::fs::metadata(output_dir.join(name)).unwrap().permissions().mode() & 0o777;
    // Whatever the umask: web servers run as somebody else.
    assert_eq!((mode("cam"), mode("cam/index.m3u8"), mode("cam/k3x9ab_main_seg1.ts")), (0o755, 0o644, 0o644));
    drop(folder);
    assert!(!output_dir.join("cam").exists());
    assert!(output_dir.exists());
}

#[test]
fn what_others_put_there_stays() {
    let scratch = Scratch::new("others");
    let folder = Folder::create(scratch.path(), id("cam")).unwrap();
    put(&folder.path(), &["notes.txt", "index.m3u8"]);
    drop(folder);
    assert_eq!(Scratch::names(&scratch.path().join("cam")), ["notes.txt"]);
}

#[test]
fn leftovers_of_a_crashed_run_are_removed() {
    let scratch = Scratch::new("leftovers");
    put(&scratch.path().join("cam"), &["index.m3u8", ".aaaaaa_main_seg7.ts.part", "aaaaaa_main_seg6.ts"]);
    let playlist = "#EXTM3U\n#EXTINF:1,\naaaaaa_main_seg6.ts\n";
    std::fs::write(scratch.path().join("cam/index.m3u8"), playlist).unwrap();
    // Somebody else's playlist is not ours.
    put(&scratch.path().join("cam2"), &["aaaaaa_main_seg6.ts", "keep", "index.m3u8"]);
    assert_eq!(clean_leftovers(scratch.path(), id("cam")), Ok(Leftovers { files: 3, playlist: Some(playlist.into()) }));
    assert_eq!(clean_leftovers(scratch.path(), id("cam2")), Ok(Leftovers { files: 1, playlist: None }));
    assert_eq!(clean_leftovers(scratch.path(), id("never-ran")), Ok(Leftovers::default()));
    assert_eq!(Scratch::names(scratch.path()), ["cam2"]);
    assert_eq!(clean_leftovers(Path::new("/dev/shm/porthole-no-such-folder"), id("cam")), Ok(Leftovers::default()));
    assert_eq!(Scratch::names(&scratch.path().join("cam2")), ["index.m3u8", "keep"]);
}

#[test]
fn a_link_or_a_file_in_the_way_is_refused_and_not_followed() {
    let scratch = Scratch::new("link");
    put(&scratch.path().join("precious"), &["index.m3u8"]);
    symlink(scratch.path().join("precious"), scratch.path().join("cam")).unwrap();
    put(scratch.path(), &["file"]);
    for name in ["cam", "file"] {
        let path = scratch.path().join(name);
        assert_eq!(Folder::create(scratch.path(), id(name)).unwrap_err(), FolderError::NotAFolder(path.clone()));
        assert_eq!(clean_leftovers(scratch.path(), id(name)), Err(FolderError::NotAFolder(path)));
    }
    std::fs::write(scratch.path().join("precious/index.m3u8"), "x_main_seg1.ts").unwrap();
    assert!(clean_leftovers(scratch.path(), id("cam")).is_err());
    assert_eq!(Scratch::names(&scratch.path().join("precious")), ["index.m3u8"]);
    let error = FolderError::NotAFolder(PathBuf::from("/run/porthole/hls/cam"));
    assert_eq!(
        error.to_string(),
        "/run/porthole/hls/cam is a symbolic link or a file where a folder is needed: remove it, or set another [hls] output_dir"
    );
}

#[test]
fn a_link_inside_the_folder_is_removed_and_its_target_stays() {
    let scratch = Scratch::new("inner-link");
    put(scratch.path(), &["precious"]);
    put(&scratch.path().join("cam"), &[]);
    symlink(scratch.path().join("precious"), scratch.path().join("cam/index.m3u8")).unwrap();
    let folder = Folder::create(scratch.path(), id("cam")).unwrap();
    symlink(scratch.path().join("precious"), scratch.path().join("cam/.index.m3u8.part")).unwrap();
    assert!(folder.replace(PLAYLIST, b"new").is_err());
    assert_eq!(std::fs::read(scratch.path().join("precious")).unwrap(), b"x");
}

#[test]
fn a_folder_removed_under_a_run_is_made_again() {
    let scratch = Scratch::new("removed");
    let folder = Folder::create(scratch.path(), id("cam")).unwrap();
    std::fs::remove_dir_all(scratch.path().join("cam")).unwrap();
    folder.replace(PLAYLIST, b"again").unwrap();
    assert_eq!(std::fs::read(scratch.path().join("cam/index.m3u8")).unwrap(), b"again");
}

#[test]
fn a_place_that_cannot_be_made_says_so() {
    let error = Folder::create(Path::new("/proc/porthole/hls"), id("cam")).unwrap_err();
    assert_eq!(error.to_string(), "cannot create /proc/porthole/hls: No such file or directory");
}
