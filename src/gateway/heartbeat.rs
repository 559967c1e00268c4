//! The heart of the service: says that it is ready once the web port answers, and that it is alive while the media thread turns,
//! the web port answers and every output gets on. Whoever listens, systemd or the machine's watchdog, starts anew what is silent.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::now;
use super::progress::Progress;
use super::service::Service;
use crate::control::StatusBoard;
use crate::system::{self, Watchdog};

/// Between two looks at the web port while it does not answer yet.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// A web port that is full says so within this.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Nobody listens: problems are looked for all the same, and said in the log.
const UNASKED_PERIOD: Duration = Duration::from_secs(10);

/// Beats until dropped. `web` is where the web port listens now.
pub(super) async fn run(board: Arc<StatusBoard>, web: Rc<Cell<SocketAddr>>, service: Rc<Service>) {
    // Armed already: starting may take its time, but not for ever.
    while !web_answers(web.get()).await {
        sleep(READY_PAUSE).await;
    }
    system::say_ready();
    let watchdog = service.watchdog();
    let period = period(watchdog);
    let mut progress = Progress::default();
    let mut said = None;
    loop {
        let trouble = match progress.judge(&board.read(), now()) {
            Some(sentence) => Some(sentence),
            None if web_answers(web.get()).await => None,
            None => Some("the web port does not answer".to_owned()),
        };
        match (&trouble, &said) {
            (None, None) => {}
            (None, Some(_)) => log::info!("the web port answers, and every output gets on again"),
            (Some(sentence), None) => log::error!("{sentence}: systemd and the watchdog hear no more of this run"),
            (Some(_), Some(_)) => {}
        }
        if trouble.is_none() {
            beat(watchdog);
        }
        said = trouble;
        sleep(period).await;
    }
}

fn period(watchdog: Option<&Watchdog>) -> Duration {
    let machine = watchdog.map(|watchdog| Duration::from_secs(watchdog.seconds().into()) / 3);
    [machine, system::watchdog_period()].into_iter().flatten().min().unwrap_or(UNASKED_PERIOD)
}

fn beat(watchdog: Option<&Watchdog>) {
    system::say_alive();
    if let Some(watchdog) = watchdog
        && let Err(error) = watchdog.feed()
    {
        log::error!("the watchdog cannot be fed: {error}");
    }
}

/// True when `/healthz` is answered, by whatever status: a gate that is full answers, too.
async fn web_answers(listen: SocketAddr) -> bool {
    let address = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, listen.port())),
        _ => listen,
    };
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut start = [0; 9];
        stream.read_exact(&mut start).await?;
        std::io::Result::Ok(start)
    };
    matches!(timeout(ANSWER_TIME, asked).await, Ok(Ok(start)) if start == *b"HTTP/1.1 ")
}
