use super::*;

fn notes(folder: &Path, boot_id: &str) -> LastRun {
    LastRun { state_dir: folder.to_owned(), boot_id: boot_id.to_owned() }
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("porthole-last-run-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

#[test]
fn the_next_start_knows_how_a_run_ended() {
    let folder = scratch("ended");
    let first = notes(&folder, "boot-1");
    assert_eq!(first.begin(false), None);
    first.end("stopped by SIGTERM");
    first.ended("what others think");
    let second = notes(&folder, "boot-1");
    assert_eq!(second.begin(false).as_deref(), Some("stopped by SIGTERM"));
    // Killed, and nobody knows how.
    let third = notes(&folder, "boot-1");
    assert_eq!(third.begin(false).as_deref(), Some("it was killed (kill -9, or memory ran out)"));
    third.ended("the kernel ended it: memory ran out");
    let again = notes(&folder, "boot-1");
    assert_eq!(again.begin(false).as_deref(), Some("the kernel ended it: memory ran out"));
    // Power cut, and then a reset.
    let fourth = notes(&folder, "boot-2");
    let cut = "the machine went down while it ran: power cut, reset or crash";
    assert_eq!(fourth.begin(false).as_deref(), Some(cut));
    let fifth = notes(&folder, "boot-3");
    let reset = "the machine was reset by its watchdog: Porthole or the system had stopped to work";
    assert_eq!(fifth.begin(true).as_deref(), Some(reset));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_no_note_is_no_reason() {
    let folder = scratch("damaged");
    let notes = notes(&folder, "boot-1");
    for bytes in [&b""[..], b"boot-1", b"boot-1\n", b"boot-1\n \n", b"\xff\nrunning\n"] {
        system::write_private(&folder, FILE, bytes).unwrap();
        assert_eq!(notes.begin(false), None, "{bytes:?}");
    }
    system::write_private(&folder, FILE, format!("b\n{}\u{1b}[31m\n", "x".repeat(1000)).as_bytes()).unwrap();
    assert_eq!(notes.begin(false).unwrap(), "x".repeat(500));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_systemd_knows_becomes_a_sentence() {
    assert_eq!(service_result("success", "0"), None);
    assert!(service_result("watchdog", "ABRT").unwrap().contains("watchdog"));
    assert_eq!(service_result("signal", "SEGV").unwrap(), "it was ended by signal SEGV");
    assert_eq!(service_result("resources", "1").unwrap(), "systemd ended it: resources");
}
