//! `board/NAME/profile.toml`, the only place where a board's figures stand: text in, `Profile` or every problem out.

use toml::de::DeTable;

use super::cores::Cores;
use crate::config::{Fields, Placed, Problem, Report, parse};

/// A board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name, and that of its folder.
    pub id: String,
    /// How far its figures can be trusted.
    pub tier: Tier,
    /// Where they come from.
    pub source: String,
    /// Width and height of the largest picture a camera sends.
    pub picture: (u32, u32),
    /// The figures; absent: the daemon takes its limits from the machine it finds.
    pub described: Option<Described>,
}

/// How far a profile's figures can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The board, or what stands for it, ran with them.
    Measured,
    /// From a datasheet; no such board ran with them yet.
    Assumed,
}

/// The figures of a board that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// `[hardware]`.
    pub hardware: Hardware,
    /// `[camera]`, `[viewers]` and `[memory]`.
    pub budget: Budget,
    /// `[schedule]`.
    pub schedule: Schedule,
    /// `[kernel]`.
    pub kernel: Kernel,
    /// `[image]`.
    pub image: Image,
}

/// What is on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// System on chip.
    pub soc: String,
    /// Architecture, as `uname -m` says it.
    pub arch: String,
    /// CPU cores.
    pub cores: u32,
    /// Memory, MiB.
    pub ram_mib: u32,
    /// Driver of the network controller.
    pub nic_driver: String,
    /// Its interface; a pattern where distributions name it differently.
    pub interface: String,
    /// Driver of the watchdog.
    pub watchdog_driver: String,
    /// The longest time-out that the watchdog takes, seconds.
    pub watchdog_most_seconds: u32,
}

/// What the board is made for, and the memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most cameras.
    pub cameras: u32,
    /// Highest bitrate per camera, kbit/s.
    pub camera_bitrate_kbit: u32,
    /// Most WebRTC viewers at once.
    pub webrtc_viewers: u32,
    /// Most web connections at once.
    pub http_connections: u32,
    /// Web worker threads.
    pub http_workers: u32,
    /// Memory for the daemon without its tmpfs, MiB.
    pub daemon_mib: u32,
    /// tmpfs for segments, MiB.
    pub tmpfs_mib: u32,
    /// What the kernel and everything beside the daemon need, MiB.
    pub system_mib: u32,
}

/// Which core does what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The core of the media thread.
    pub media_core: u32,
    /// How far the media thread goes before others: nice, negated.
    pub media_priority: u32,
    /// The cores of the daemon's threads.
    pub daemon_cores: Cores,
    /// The cores that take interrupts.
    pub irq_cores: Cores,
    /// The cores that take packets from the one that was interrupted (RPS); absent: it handles them itself.
    pub rps_cores: Option<Cores>,
    /// CPU frequency governor; absent: the board has no frequency scaling.
    pub governor: Option<String>,
}

/// Settings of the kernel that no figure of the board gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// From a panic to the reboot, seconds.
    pub panic_seconds: u32,
    /// What the kernel keeps free for packets that come while memory is short, KiB.
    pub min_free_kib: u32,
}

/// What the image builder must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Yocto MACHINE.
    pub machine: String,
    /// Block device of root file system A.
    pub slot_a: String,
    /// Block device of root file system B.
    pub slot_b: String,
    /// The oldest glibc that runs the daemon.
    pub glibc: String,
    /// The board resets when systemd does not answer for this long, seconds.
    pub watchdog_seconds: u32,
}

impl Tier {
    /// As it stands in the profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Assumed => "assumed",
        }
    }
}

impl Profile {
    /// Reads the profile that stands in the folder `folder`.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn parse(text: &str, folder: &str) -> Result<Self, Vec<Problem>> {
        let mut report = Report::new(text);
        let profile = read(folder, &mut report);
        match profile {
            Some(profile) if report.problems.is_empty() => Ok(profile),
            _ => Err(report.problems),
        }
    }

    /// Every key there is, for the documentation's test.
    pub fn keys() -> Vec<String> {
        let mut report = Report::new("");
        read("", &mut report);
        report.keys.into_iter().collect()
    }
}

/// `None` only together with a problem.
fn read(folder: &str, report: &mut Report<'_>) -> Option<Profile> {
    let document = parse(report);
    let empty = DeTable::new();
    let mut root = Fields::root(&document);
    let id = read_id(&mut root, folder, report);
    let tier = choice(&mut root, "tier", &[("measured", Tier::Measured), ("assumed", Tier::Assumed)], report);
    let found = choice(&mut root, "limits", &[("profile", false), ("found", true)], report);
    let source = sentence(&mut root, "source", "where the figures come from, e.g. a datasheet", report);
    let mut camera = root.table("camera", &empty, report);
    let width = number(&mut camera, "width", 16..=8192, "pixels", report);
    let height = number(&mut camera, "height", 16..=8192, "pixels", report);
    // A wrong `limits` was reported; the longer form has more to say.
    let described = if found == Some(true) {
        None
    } else {
        let hardware = read_hardware(root.table("hardware", &empty, report), report);
        let cores = hardware.as_ref().map_or(Cores::MOST, |hardware| hardware.cores);
        let watchdog = hardware.as_ref().map_or(u32::MAX, |hardware| hardware.watchdog_most_seconds);
        let viewers = root.table("viewers", &empty, report);
        let memory = root.table("memory", &empty, report);
        let budget = read_budget(&mut camera, viewers, memory, report);
        let schedule = read_schedule(root.table("schedule", &empty, report), cores, report);
        let kernel = read_kernel(root.table("kernel", &empty, report), report);
        let image = read_image(root.table("image", &empty, report), watchdog, report);
        Some((hardware, budget, schedule, kernel, image))
    };
    camera.finish(report);
    root.finish(report);
    let described = match described {
        None => None,
        Some((hardware, budget, schedule, kernel, image)) => Some(Described {
            hardware: hardware?,
            budget: budget?,
            schedule: schedule?,
            kernel: kernel?,
            image: image?,
        }),
    };
    Some(Profile { id: id?, tier: tier?, source: source?, picture: (width?, height?), described })
}

fn read_id<'t>(root: &mut Fields<'_, 't>, folder: &str, report: &mut Report<'t>) -> Option<String> {
    let id = word(root, "id", "the board's name, which is also its folder's", report)?;
    if id.value != folder && !folder.is_empty() {
        let sentence = format!("is {:?}, but the folder is {folder:?}: give both one name", id.value);
        report.add(id.offset, "id", sentence);
    }
    Some(id.value)
}

fn read_hardware<'t>(mut fields: Fields<'_, 't>, report: &mut Report<'t>) -> Option<Hardware> {
    let f = &mut fields;
    let soc = sentence(f, "soc", "the system on chip, e.g. \"BCM2711\"", report);
    let arch = word(f, "arch", "the architecture as `uname -m` says it, e.g. \"aarch64\"", report);
    let cores = number(f, "cores", 1..=Cores::MOST, "cores", report);
    let ram_mib = number(f, "ram_mib", 64..=65_536, "MiB", report);
    let nic_driver = word(f, "nic_driver", "the driver of the network controller, e.g. \"bcmgenet\"", report);
    let interface = word(f, "interface", "the network interface, or a pattern: \"e*\" is any Ethernet", report);
    let watchdog_driver = word(f, "watchdog_driver", "the driver of the watchdog, e.g. \"bcm2835_wdt\"", report);
    let watchdog_most_seconds = number(f, "watchdog_most_seconds", 1..=65_535, "seconds", report);
    fields.finish(report);
    Some(Hardware {
        soc: soc?,
        arch: arch?.value,
        cores: cores?,
        ram_mib: ram_mib?,
        nic_driver: nic_driver?.value,
        interface: interface?.value,
        watchdog_driver: watchdog_driver?.value,
        watchdog_most_seconds: watchdog_most_seconds?,
    })
}

/// Ranges are those of `board.toml`, which this becomes.
fn read_budget<'t>(
    camera: &mut Fields<'_, 't>,
    mut viewers: Fields<'_, 't>,
    mut memory: Fields<'_, 't>,
    report: &mut Report<'t>,
) -> Option<Budget> {
    let cameras = number(camera, "count", 1..=64, "cameras", report);
    let camera_bitrate_kbit = number(camera, "bitrate_kbit", 64..=200_000, "kbit/s", report);
    let webrtc_viewers = number(&mut viewers, "webrtc", 1..=256, "viewers", report);
    let http_connections = number(&mut viewers, "http_connections", 8..=4096, "connections", report);
    let http_workers = number(&mut viewers, "http_workers", 1..=16, "threads", report);
    viewers.finish(report);
    let daemon_mib = number(&mut memory, "daemon_mib", 16..=65_536, "MiB", report);
    let tmpfs_mib = number(&mut memory, "tmpfs_mib", 4..=65_536, "MiB", report);
    let system_mib = number(&mut memory, "system_mib", 16..=65_536, "MiB", report);
    memory.finish(report);
    Some(Budget {
        cameras: cameras?,
        camera_bitrate_kbit: camera_bitrate_kbit?,
        webrtc_viewers: webrtc_viewers?,
        http_connections: http_connections?,
        http_workers: http_workers?,
        daemon_mib: daemon_mib?,
        tmpfs_mib: tmpfs_mib?,
        system_mib: system_mib?,
    })
}

fn read_schedule<'t>(mut fields: Fields<'_, 't>, cores: u32, report: &mut Report<'t>) -> Option<Schedule> {
    let f = &mut fields;
    let media_core = number(f, "media_core", 0..=cores - 1, "(a core's number)", report);
    let media_priority = number(f, "media_priority", 0..=20, "(nice, negated)", report);
    let daemon_cores = core_list(f, "daemon_cores", cores, report);
    let irq_cores = core_list(f, "irq_cores", cores, report);
    let rps_cores = f.string("rps_cores", report).and_then(|text| core_set(f, "rps_cores", text, cores, report));
    let governor = f.string("governor", report).and_then(|text| plain_word(f, "governor", text, report));
    if let (Some(core), Some(all)) = (media_core, &daemon_cores)
        && !all.value.contains(core)
    {
        let sentence = format!("is {}, without media_core, which is {core}", all.value);
        report.add(all.offset, &f.path_of("daemon_cores"), sentence);
    }
    for (key, list) in [("irq_cores", &irq_cores), ("rps_cores", &rps_cores)] {
        if let (Some(core), Some(list)) = (media_core, list)
            && cores > 1
            && list.value.contains(core)
        {
            let sentence =
                format!("is {}, with media_core, which packets must not interrupt: take {core} out", list.value);
            report.add(list.offset, &f.path_of(key), sentence);
        }
    }
    fields.finish(report);
    Some(Schedule {
        media_core: media_core?,
        media_priority: media_priority?,
        daemon_cores: daemon_cores?.value,
        irq_cores: irq_cores?.value,
        rps_cores: rps_cores.map(|list| list.value),
        governor: governor.map(|text| text.value),
    })
}

fn read_kernel<'t>(mut fields: Fields<'_, 't>, report: &mut Report<'t>) -> Option<Kernel> {
    let panic_seconds = number(&mut fields, "panic_seconds", 1..=3600, "seconds", report);
    let min_free_kib = number(&mut fields, "min_free_kib", 256..=262_144, "KiB", report);
    fields.finish(report);
    Some(Kernel { panic_seconds: panic_seconds?, min_free_kib: min_free_kib? })
}

fn read_image<'t>(mut fields: Fields<'_, 't>, watchdog_most: u32, report: &mut Report<'t>) -> Option<Image> {
    let f = &mut fields;
    let machine = word(f, "machine", "Yocto's MACHINE, e.g. \"raspberrypi4-64\"", report);
    let slot_a = word(f, "slot_a", "the block device of root file system A, e.g. \"/dev/mmcblk0p2\"", report);
    let slot_b = word(f, "slot_b", "the block device of root file system B, e.g. \"/dev/mmcblk0p3\"", report);
    if let (Some(a), Some(b)) = (&slot_a, &slot_b)
        && a.value == b.value
    {
        report.add(b.offset, &f.path_of("slot_b"), "is slot_a: an update would overwrite what runs");
    }
    let glibc = word(f, "glibc", "the oldest glibc that runs the daemon, e.g. \"2.34\"", report);
    let watchdog_seconds = number(f, "watchdog_seconds", 2..=watchdog_most.max(2), "seconds", report);
    fields.finish(report);
    Some(Image {
        machine: machine?.value,
        slot_a: slot_a?.value,
        slot_b: slot_b?.value,
        glibc: glibc?.value,
        watchdog_seconds: watchdog_seconds?,
    })
}

fn number<'t>(
    fields: &mut Fields<'_, 't>,
    key: &'static str,
    range: std::ops::RangeInclusive<u32>,
    unit: &str,
    report: &mut Report<'t>,
) -> Option<u32> {
    let why = format!("{} to {} {unit}", range.start(), range.end());
    let value = fields.optional_integer(key, range, unit, report);
    if value.is_none() {
        fields.missing(key, &why, report);
    }
    value
}

/// A text that must be there.
fn text<'t>(
    fields: &mut Fields<'_, 't>,
    key: &'static str,
    why: &str,
    report: &mut Report<'t>,
) -> Option<Placed<String>> {
    let text = fields.string(key, report);
    if text.is_none() {
        fields.missing(key, why, report);
    }
    text
}

/// One of a few words.
fn choice<'t, T: Copy>(
    fields: &mut Fields<'_, 't>,
    key: &'static str,
    all: &[(&str, T)],
    report: &mut Report<'t>,
) -> Option<T> {
    let allowed = all.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(" or ");
    let text = text(fields, key, &allowed, report)?;
    let chosen = all.iter().find(|(name, _)| *name == text.value).map(|(_, value)| *value);
    if chosen.is_none() {
        report.add(text.offset, &fields.path_of(key), format!("is {:?}; it must be {allowed}", text.value));
    }
    chosen
}

/// One line of any words: it goes into comments.
fn sentence<'t>(fields: &mut Fields<'_, 't>, key: &'static str, why: &str, report: &mut Report<'t>) -> Option<String> {
    let text = text(fields, key, why, report)?;
    if text.value.trim().is_empty() || text.value.contains(char::is_control) {
        report.add(text.offset, &fields.path_of(key), "must be one line that says something");
        return None;
    }
    Some(text.value)
}

/// A name that must be there.
fn word<'t>(
    fields: &mut Fields<'_, 't>,
    key: &'static str,
    why: &str,
    report: &mut Report<'t>,
) -> Option<Placed<String>> {
    let text = text(fields, key, why, report)?;
    plain_word(fields, key, text, report)
}

/// No blanks, no quotes, no `%`: none of the rendered formats needs to escape it.
fn plain_word(
    fields: &Fields<'_, '_>,
    key: &str,
    text: Placed<String>,
    report: &mut Report<'_>,
) -> Option<Placed<String>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/*".contains(c);
    if text.value.is_empty() || !text.value.chars().all(plain) {
        let sentence = format!("is {:?}; it must be one word of letters, digits and - _ . : / *", text.value);
        report.add(text.offset, &fields.path_of(key), sentence);
        return None;
    }
    Some(text)
}

fn core_list<'t>(
    fields: &mut Fields<'_, 't>,
    key: &'static str,
    cores: u32,
    report: &mut Report<'t>,
) -> Option<Placed<Cores>> {
    let text = text(fields, key, "cores as the kernel lists them, e.g. \"0,2-3\"", report)?;
    core_set(fields, key, text, cores, report)
}

fn core_set(
    fields: &Fields<'_, '_>,
    key: &str,
    text: Placed<String>,
    cores: u32,
    report: &mut Report<'_>,
) -> Option<Placed<Cores>> {
    match Cores::parse(&text.value).filter(|list| list.last() < cores) {
        Some(value) => Some(Placed { value, offset: text.offset }),
        None => {
            let sentence = format!("is {:?}; it must list cores from 0 to {}, e.g. \"0,2-3\"", text.value, cores - 1);
            report.add(text.offset, &fields.path_of(key), sentence);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: &str = "id = \"any\"\ntier = \"assumed\"\nlimits = \"found\"\nsource = \"none\"\n\
                         [camera]\nwidth = 1920\nheight = 1080\n";

    fn problems(text: &str) -> Vec<String> {
        Profile::parse(text, "any").unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_board_whose_limits_are_found_needs_no_figures_and_takes_none() {
        let profile = Profile::parse(FOUND, "any").unwrap();
        assert_eq!((profile.id.as_str(), profile.tier, profile.described), ("any", Tier::Assumed, None));
        assert_eq!(
            problems(&format!("{FOUND}count = 4\n[memory]\ndaemon_mib = 64\n")),
            [
                "line 8: camera.count: unknown key; known keys here: width, height",
                "line 9: memory: unknown key; known keys here: id, tier, limits, source, camera",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_all_at_once() {
        let text =
            "id = \"other\"\ntier = \"guessed\"\nlimits = \"found\"\nsource = \"\"\n[camera]\nwidth = 1\nhight = 2\n";
        assert_eq!(
            problems(text),
            [
                "line 1: id: is \"other\", but the folder is \"any\": give both one name",
                "line 2: tier: is \"guessed\"; it must be \"measured\" or \"assumed\"",
                "line 4: source: must be one line that says something",
                "line 6: camera.width: is 1; it must be 16 to 8192 pixels",
                "line 5: camera.height: is missing: 16 to 8192 pixels",
                "line 7: camera.hight: unknown key; did you mean `height`?",
            ]
        );
    }

    #[test]
    fn cores_that_contradict_each_other_are_refused() {
        let text = FOUND.replace("found", "profile")
            + "[hardware]\ncores = 2\n[schedule]\nmedia_core = 1\nmedia_priority = 10\n\
               daemon_cores = \"0\"\nirq_cores = \"0-1\"\nrps_cores = \"2\"\ngovernor = \"a b\"\n";
        let schedule: Vec<_> = problems(&text).into_iter().filter(|problem| problem.contains("schedule.")).collect();
        // Without all of [hardware], the number of cores is not believed.
        assert_eq!(
            schedule,
            [
                "line 16: schedule.governor: is \"a b\"; it must be one word of letters, digits and - _ . : / *",
                "line 13: schedule.daemon_cores: is 0, without media_core, which is 1",
                "line 14: schedule.irq_cores: is 0 1, with media_core, which packets must not interrupt: take 1 out",
            ]
        );
    }
}
