//! Light WHEP viewers for load: receive and decrypt, decode nothing. Events are JSON lines on stdout.
//!
//!     viewers watch COUNT URL                 "playing" once each has a whole key frame; until a line on stdin: "report"
//!     viewers starts COUNT URL                one after the other, each until its first whole key frame: "report"
//!     viewers cycles COUNT URL                one after the other, each until its first packet, then DELETE: "report"
//!     viewers arrivals FILE SECONDS URL ...   when each picture's last packet came, from http:// (WHEP) and rtsp:// (the
//!                                             camera itself) addresses, one line each: address number, ns of CLOCK_MONOTONIC,
//!                                             the picture's last 8 bytes
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may panic")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod direct;
mod frames;
mod http;
mod peer;

use std::cell::Cell;
use std::fmt::Write as _;
use std::future::Future;
use std::io::BufRead;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use frames::Arrivals;
use peer::Peer;

/// A viewer without a key frame after so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match *words.as_slice() {
        ["watch", count, url] => block_on(&runtime, watch(count.parse().unwrap(), url)),
        ["starts", count, url] => block_on(&runtime, starts(count.parse().unwrap(), url)),
        ["cycles", count, url] => block_on(&runtime, cycles(count.parse().unwrap(), url)),
        ["arrivals", file, seconds, ref urls @ ..] if !urls.is_empty() => {
            block_on(&runtime, arrivals(file, Duration::from_secs_f64(seconds.parse().unwrap()), urls));
        }
        _ => panic!("see the head of benches/viewers/client/main.rs for how to call this"),
    }
}

fn block_on(runtime: &tokio::runtime::Runtime, work: impl Future<Output = ()>) {
    LocalSet::new().block_on(runtime, work);
}

/// `count` viewers at once, until stdin says that it is enough.
async fn watch(count: usize, url: &str) {
    let enough = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&enough);
    std::thread::spawn(move || {
        std::io::stdin().lock().read_line(&mut String::new()).unwrap();
        said.store(true, Ordering::Relaxed);
    });
    let started = Rc::new(Cell::new(0));
    let viewers: Vec<_> = (0..count)
        .map(|_| {
            let (url, enough, started) = (url.to_owned(), Arc::clone(&enough), Rc::clone(&started));
            tokio::task::spawn_local(async move {
                let mut peer = Peer::open(&url).await;
                peer.run(|frames| frames.first_key.is_some() || enough.load(Ordering::Relaxed)).await;
                started.set(started.get() + 1);
                peer.run(|_| enough.load(Ordering::Relaxed)).await;
                peer.close().await;
                peer
            })
        })
        .collect();
    timeout(PATIENCE, async {
        while started.get() < count {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("every viewer gets a key frame");
    println!("{}", json!({"event": "playing"}));
    let mut reports = Vec::new();
    for viewer in viewers {
        reports.push(viewer.await.unwrap().report());
    }
    println!("{}", json!({"event": "report", "viewers": reports}));
}

/// How long the first whole key frame takes after the POST; in between the camera's GOP goes on by a varying part.
async fn starts(count: usize, url: &str) {
    let mut reports = Vec::new();
    for turn in 0..count {
        let mut peer = Peer::open(url).await;
        timeout(PATIENCE, peer.run(|frames| frames.first_key.is_some())).await.expect("a key frame comes");
        peer.close().await;
        reports.push(peer.report());
        sleep(Duration::from_millis(150 + 170 * (turn as u64 % 7))).await;
    }
    println!("{}", json!({"event": "report", "viewers": reports}));
}

async fn cycles(count: usize, url: &str) {
    for turn in 0..count {
        let mut peer = Peer::open(url).await;
        timeout(PATIENCE, peer.run(|frames| frames.packets > 0)).await.expect("packets come");
        peer.close().await;
        if (turn + 1) % 1000 == 0 {
            println!("{}", json!({"event": "cycles", "done": turn + 1}));
        }
    }
    println!("{}", json!({"event": "report", "cycles": count}));
}

async fn arrivals(file: &str, lasting: Duration, urls: &[&str]) {
    let log: Vec<Arrivals> = urls.iter().map(|_| Arrivals::default()).collect();
    let over = Rc::new(Cell::new(false));
    let mut tasks = Vec::new();
    for (url, log) in urls.iter().zip(&log) {
        let (url, log, over) = ((*url).to_owned(), log.clone(), Rc::clone(&over));
        tasks.push(tokio::task::spawn_local(async move {
            if url.starts_with("rtsp://") {
                direct::follow(&url, log, || over.get()).await;
            } else {
                let mut peer = Peer::open(&url).await;
                peer.frames.log = Some(log);
                peer.run(|_| over.get()).await;
                peer.close().await;
            }
        }));
    }
    sleep(lasting).await;
    over.set(true);
    for task in tasks {
        task.await.expect("no address fails");
    }
    let mut text = String::new();
    for (number, log) in log.iter().enumerate() {
        for (at, tail) in log.borrow().iter() {
            writeln!(text, "{number} {at} {tail:016x}").unwrap();
        }
    }
    std::fs::write(file, text).unwrap();
    println!(
        "{}",
        json!({"event": "report", "arrivals": log.iter().map(|log| log.borrow().len()).collect::<Vec<_>>()})
    );
}
