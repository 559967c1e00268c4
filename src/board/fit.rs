//! A profile in, the plan of its own full load out, or why the board could not carry what it is said to be made for.

use std::fmt::Write as _;

use super::derived::memory_max_mib;
use super::profile::{Described, Profile};
use super::render::board_toml;
use crate::config::{Board, Config, Machine, Plan, Problem, TmpfsFacts};

/// Resolves all of the profile's cameras and viewers, HLS, WebRTC and ICE-TCP on, as the daemon would on the board.
/// `None` for a board whose limits are found.
///
/// # Errors
/// Every reason why the profile does not fit itself, with the numbers.
pub fn fit(profile: &Profile) -> Result<Option<Plan>, Vec<Problem>> {
    let Some(described) = &profile.described else { return Ok(None) };
    let mut problems = Vec::new();
    problems.extend(beyond_ram(profile, described));
    let plan = resolve(profile, described).map_err(|more| problems.extend(more));
    match plan {
        Ok(plan) if problems.is_empty() => Ok(Some(plan)),
        _ => Err(problems),
    }
}

fn beyond_ram(profile: &Profile, described: &Described) -> Option<Problem> {
    let (budget, ram) = (described.budget, u64::from(described.hardware.ram_mib));
    let daemon = memory_max_mib(budget, profile.picture);
    let sum = daemon + u64::from(budget.system_mib);
    let sentence = format!(
        "the daemon with tmpfs and socket buffers may take {daemon} MiB, the system {} MiB: {sum} MiB; the board {} has {ram} MiB",
        budget.system_mib, profile.id
    );
    (sum > ram).then(|| Problem::of("memory", sentence))
}

fn resolve(profile: &Profile, described: &Described) -> Result<Plan, Vec<Problem>> {
    let budget = described.budget;
    let mut text = format!("[webrtc]\ntcp_port = 8189\nmax_viewers = {}\n", budget.webrtc_viewers);
    for n in 0..budget.cameras {
        let _ = write!(text, "[[camera]]\nid = \"c{n}\"\nurl = \"rtsp://10.0.0.1/{n}\"\n");
    }
    let config = Config::parse(&text, |_| Ok(String::new()))?;
    let board = Board::parse(&board_toml(profile, described))?;
    let mib = |mib: u32| u64::from(mib) << 20;
    let tmpfs = TmpfsFacts { is_tmpfs: true, size: mib(budget.tmpfs_mib) };
    Plan::resolve(&config, &board, &Machine { memory: mib(described.hardware.ram_mib), tmpfs: Some(tmpfs) })
}
