//! The two configuration files: a plan within its limits, or problems with their lines.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use porthole::config::{Board, Config, Machine, Plan, Problem, TmpfsFacts};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // One file, or with a line of dashes between them two.
    let (text, board) = text.split_once("\n---\n").map_or((text, None), |(text, board)| (text, Some(board)));
    let machine = Machine { memory: 4 << 30, tmpfs: Some(TmpfsFacts { is_tmpfs: true, size: 1 << 30 }) };
    let board = match board.map(Board::parse) {
        Some(Ok(board)) => board,
        Some(Err(problems)) => return check(&problems, bytes.len()),
        None => Board::generic(&machine),
    };

    let (config, problems) = Config::read(text, |_| Ok("KEEPTHIS".to_owned()));
    check(&problems, bytes.len());
    assert!(!format!("{problems:?}{config:?}").contains("KEEPTHIS"), "a password was told");
    let parsed = Config::parse(text, |_| Ok("KEEPTHIS".to_owned()));
    assert_eq!(parsed.as_ref().err(), Some(&problems).filter(|problems| !problems.is_empty()));
    // A wrong file makes a plan all the same, so that further problems are found; only of a right one it is kept.
    let plan = match Plan::resolve(&config, &board, &machine) {
        Ok(plan) if problems.is_empty() => plan,
        Ok(_) => return,
        Err(unfit) => return check(&unfit, bytes.len()),
    };
    let needed: u64 = plan.memory.iter().map(|item| item.bytes).sum();
    assert!(needed <= plan.memory_limit, "{needed} of {}", plan.memory_limit);
    assert_eq!(plan.cameras.len(), config.cameras.len());
    let ids: BTreeSet<_> = config.cameras.iter().map(|camera| camera.id).collect();
    assert_eq!(ids.len(), config.cameras.len(), "an id twice");
    for camera in &config.cameras {
        assert!(camera.url.username().is_empty() && camera.url.password().is_none(), "{}", camera.url);
    }
});

fn check(problems: &[Problem], len: usize) {
    for problem in problems {
        assert!(problem.line.is_none_or(|line| (1..=len + 1).contains(&line)), "{problem:?}");
        assert!(!problem.sentence.is_empty());
        assert!(problem.to_string().len() <= 4 * len + 1000, "{} bytes", problem.to_string().len());
    }
    assert!(problems.len() <= len + 64, "{} problems", problems.len());
}
