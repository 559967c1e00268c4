use super::*;
use crate::webrtc::framing::header;
use crate::webrtc::socket::fixture::on_media_thread;

const NEVER: Duration = Duration::from_secs(600);

fn settings() -> Settings {
    Settings { tcp_first_datagram: NEVER, tcp_idle: NEVER, tcp_connections: 4, ..Settings::default() }
}

/// The port with a caller that accepts what begins with `ok`, answers `hello` with `welcome`, and notes what it is told.
struct Port {
    tcp: Tcp,
    report: Rc<Report>,
    datagrams: RefCell<Vec<(Path, Vec<u8>)>>,
    closed: RefCell<Vec<Path>>,
}

impl Port {
    fn bind(settings: &Settings) -> Self {
        let report = Rc::<Report>::default();
        let tcp = Tcp::bind(0, settings, Rc::clone(&report)).unwrap();
        Self { tcp, report, datagrams: RefCell::default(), closed: RefCell::default() }
    }

    async fn serve(&self) {
        let on_datagram = |path, bytes: &[u8]| {
            self.datagrams.borrow_mut().push((path, bytes.to_vec()));
            if bytes == b"ok hello" {
                self.tcp.queue(&path, b"welcome");
            }
            if bytes == b"ok close me" {
                self.tcp.close(&path);
            }
            bytes.starts_with(b"ok")
        };
        self.tcp.serve(on_datagram, |path| self.closed.borrow_mut().push(path)).await;
    }

    async fn connect(&self, ip: &str) -> TcpStream {
        TcpStream::connect((ip, self.tcp.port())).await.unwrap()
    }

    /// A connection that the caller knows.
    async fn peer(&self, ip: &str) -> (TcpStream, Path) {
        let mut stream = self.connect(ip).await;
        write(&mut stream, b"ok hello").await;
        assert_eq!(read(&mut stream).await, b"welcome");
        let path = self.datagrams.borrow().last().unwrap().0;
        (stream, path)
    }

    async fn until(&self, mut condition: impl FnMut(&Self) -> bool) {
        while !condition(self) {
            sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Runs `body` beside the port.
fn with_port(settings: Settings, body: impl AsyncFnOnce(&Port)) {
    on_media_thread(async {
        let port = Port::bind(&settings);
        or(port.serve(), body(&port)).await;
        assert_eq!(port.tcp.len(), 0, "no connection outlives its owner");
    });
}

async fn write_raw(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn write(stream: &mut TcpStream, datagram: &[u8]) {
    write_raw(stream, &[&header(datagram).unwrap()[..], datagram].concat()).await.unwrap();
}

async fn read_raw(stream: &mut TcpStream, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut read = 0;
    while read < count {
        stream.readable().await?;
        match stream.try_read(&mut bytes[read..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

async fn read(stream: &mut TcpStream) -> Vec<u8> {
    let header = read_raw(stream, 2).await.unwrap();
    read_raw(stream, u16::from_be_bytes([header[0], header[1]]).into()).await.unwrap()
}

/// True once the other side has closed it, however it did.
async fn is_closed(stream: &mut TcpStream) -> bool {
    read_raw(stream, 1).await.is_err()
}

#[test]
fn datagrams_go_both_ways_with_their_addresses() {
    with_port(settings(), async |port| {
        for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
            let (mut stream, path) = port.peer(ip).await;
            let (local, remote) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
            assert_eq!(path, Path { local, remote, tcp: true });
            for datagram in [vec![1; 1200], vec![2; 1], vec![3; 2000]] {
                port.tcp.queue(&path, &datagram);
                assert_eq!(read(&mut stream).await, datagram);
            }
        }
        let counters = port.report.counters();
        assert_eq!((counters.received, counters.tcp_connections, counters.unsent), (3, 3, 0));
    });
}

#[test]
fn nagle_does_not_delay_datagrams() {
    on_media_thread(async {
        let port = Port::bind(&settings());
        let connect = port.connect("127.0.0.1");
        let (accepted, _peer) = futures_lite::future::zip(port.tcp.listener.accept(), connect).await;
        let accepted = accepted.unwrap().0;
        assert!(accepted.nodelay().unwrap());
        // The kernel says the double.
        assert_eq!(socket::getsockopt(&accepted, sockopt::SndBuf).unwrap(), 2 * SEND_BUFFER);
    });
}

#[test]
fn frames_may_arrive_in_any_pieces() {
    with_port(settings(), async |port| {
        let (mut stream, path) = port.peer("127.0.0.1").await;
        port.datagrams.borrow_mut().clear();
        for byte in [0, 4, b'o', b'k', b' ', b'a', 0, 1, b'b'] {
            write_raw(&mut stream, &[byte]).await.unwrap();
            yield_now().await;
        }
        port.until(|port| port.datagrams.borrow().len() == 2).await;
        assert_eq!(*port.datagrams.borrow(), [(path, b"ok a".to_vec()), (path, b"b".to_vec())]);
    });
}

#[test]
fn a_stranger_is_closed_at_its_first_datagram_and_the_caller_hears_no_more_of_it() {
    with_port(settings(), async |port| {
        let mut stream = port.connect("127.0.0.1").await;
        let frames = [&[0, 3][..], b"who", &[0, 2][..], b"ok"].concat();
        write_raw(&mut stream, &frames).await.unwrap();
        assert!(is_closed(&mut stream).await);
        port.until(|port| port.tcp.len() == 0).await;
        assert_eq!(port.datagrams.borrow().iter().map(|(_, bytes)| &bytes[..]).collect::<Vec<_>>(), [b"who"]);
        assert!(port.closed.borrow().is_empty());
    });
}

#[test]
fn what_is_no_frame_closes_a_connection() {
    with_port(settings(), async |port| {
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0], &[0xff; 20]] {
            let mut stream = port.connect("127.0.0.1").await;
            write_raw(&mut stream, garbage).await.unwrap();
            assert!(is_closed(&mut stream).await);
        }
        assert!(port.datagrams.borrow().is_empty());
        // Also later, and then the caller is told.
        let (mut stream, path) = port.peer("127.0.0.1").await;
        write_raw(&mut stream, &[0, 0]).await.unwrap();
        assert!(is_closed(&mut stream).await);
        port.until(|port| !port.closed.borrow().is_empty()).await;
        assert_eq!(*port.closed.borrow(), [path]);
    });
}

#[test]
fn who_says_nothing_acceptable_in_time_is_closed() {
    let settings = Settings { tcp_first_datagram: Duration::from_millis(100), ..settings() };
    with_port(settings, async |port| {
        let mut silent = port.connect("127.0.0.1").await;
        let mut trickling = port.connect("127.0.0.1").await;
        write_raw(&mut trickling, &[0]).await.unwrap();
        let (mut peer, path) = port.peer("127.0.0.1").await;
        assert!(is_closed(&mut silent).await && is_closed(&mut trickling).await);
        port.tcp.queue(&path, b"still there");
        assert_eq!(read(&mut peer).await, b"still there");
        assert_eq!((port.tcp.len(), port.closed.borrow().len()), (1, 0));
    });
}

#[test]
fn a_peer_from_which_nothing_acceptable_comes_any_more_is_closed() {
    let settings = Settings { tcp_idle: Duration::from_millis(200), ..settings() };
    with_port(settings, async |port| {
        let (mut stream, path) = port.peer("127.0.0.1").await;
        // Acceptable ones keep it open for longer than the deadline.
        for _ in 0..8 {
            sleep(Duration::from_millis(50)).await;
            write(&mut stream, b"ok").await;
        }
        assert!(port.closed.borrow().is_empty());
        // Others do not.
        let mut others = 0;
        while port.closed.borrow().is_empty() {
            sleep(Duration::from_millis(20)).await;
            let _ = stream.try_write(&[0, 2, b'n', b'o']);
            others += 1;
        }
        assert!((3..100).contains(&others), "{others}");
        assert_eq!(*port.closed.borrow(), [path]);
    });
}

#[test]
fn the_caller_is_told_when_a_peer_hangs_up() {
    with_port(settings(), async |port| {
        let (stream, hung_up) = port.peer("127.0.0.1").await;
        drop(stream);
        port.until(|port| port.closed.borrow().len() == 1).await;
        let (stream, reset) = port.peer("127.0.0.1").await;
        stream.set_zero_linger().unwrap();
        drop(stream);
        port.until(|port| port.closed.borrow().len() == 2).await;
        assert_eq!(*port.closed.borrow(), [hung_up, reset]);
        port.tcp.queue(&reset, b"too late");
        assert_eq!((port.tcp.len(), port.report.counters().unsent), (0, 1));
    });
}

#[test]
fn the_caller_can_close_a_connection_also_while_it_is_given_a_datagram() {
    with_port(settings(), async |port| {
        let (mut first, path) = port.peer("127.0.0.1").await;
        port.tcp.close(&path);
        assert!(is_closed(&mut first).await);
        let (mut second, _) = port.peer("127.0.0.1").await;
        write(&mut second, b"ok close me").await;
        assert!(is_closed(&mut second).await);
        assert_eq!((port.tcp.len(), port.closed.borrow().len()), (0, 0));
    });
}

#[test]
fn a_slow_reader_loses_whole_datagrams_and_delays_nobody() {
    let settings = Settings { tcp_queue_bytes: 50_000, ..settings() };
    with_port(settings, async |port| {
        let (mut slow, slow_path) = port.peer("127.0.0.1").await;
        let (mut quick, quick_path) = port.peer("127.0.0.1").await;
        for number in 0_u32..20_000 {
            let datagram = [&number.to_be_bytes()[..], &[7; 1000]].concat();
            port.tcp.queue(&slow_path, &datagram);
            if number % 1000 == 0 {
                port.tcp.queue(&quick_path, &datagram);
                assert_eq!(read(&mut quick).await, datagram);
            }
            let connections = port.tcp.connections.borrow();
            assert!(connections[&slow_path].outgoing.borrow().pending().len() <= 50_000);
        }
        let lost = port.report.counters().unsent;
        assert!(lost > 10_000, "{lost}");
        port.tcp.queue(&quick_path, b"the last");
        assert_eq!(read(&mut quick).await, b"the last");

        // What was not lost arrives whole and in order.
        let mut last = None;
        for _ in 0..20_000 - lost {
            let datagram = read(&mut slow).await;
            let (number, rest) = datagram.split_first_chunk::<4>().unwrap();
            let number = u32::from_be_bytes(*number);
            assert!(Some(number) > last && rest == [7; 1000]);
            last = Some(number);
        }
    });
}

#[test]
fn the_oldest_stranger_makes_room_and_peers_do_not() {
    with_port(settings(), async |port| {
        let (_first, _) = port.peer("127.0.0.1").await;
        let mut strangers = Vec::new();
        for count in 2..=4 {
            strangers.push(port.connect("127.0.0.1").await);
            port.until(|port| port.tcp.len() == count).await;
        }
        let (_second, _) = port.peer("127.0.0.1").await;
        assert!(is_closed(&mut strangers.remove(0)).await);
        let (_third, _) = port.peer("127.0.0.1").await;
        let (_fourth, _) = port.peer("127.0.0.1").await;
        assert_eq!((port.tcp.len(), port.report.counters().tcp_refused), (4, 3));

        let mut fifth = port.connect("127.0.0.1").await;
        assert!(is_closed(&mut fifth).await);
        assert_eq!((port.tcp.len(), port.report.counters().tcp_refused), (4, 4));
        assert!(port.closed.borrow().is_empty());
    });
}

#[test]
fn a_flood_of_connections_stays_within_the_bound_and_lets_a_peer_in() {
    with_port(settings(), async |port| {
        let (mut peer, path) = port.peer("::1").await;
        let flood = async {
            let mut open = Vec::new();
            for _ in 0..400 {
                open.push(port.connect("127.0.0.1").await);
                assert!(port.tcp.len() <= 4);
            }
            open
        };
        let come_and_go = async {
            for _ in 0..20 {
                let (stream, _) = port.peer("127.0.0.1").await;
                drop(stream);
            }
        };
        let (open, ()) = futures_lite::future::zip(flood, come_and_go).await;
        port.tcp.queue(&path, b"unimpressed");
        assert_eq!(read(&mut peer).await, b"unimpressed");
        drop(open);
        port.until(|port| port.tcp.len() == 1).await;
    });
}

#[test]
fn garbage_in_any_pieces_does_no_harm() {
    with_port(settings(), async |port| {
        let (mut peer, path) = port.peer("127.0.0.1").await;
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let mut stream = port.connect("127.0.0.1").await;
            if random.bool() {
                write(&mut stream, b"ok").await;
            }
            for _ in 0..random.usize(1..5) {
                let length = random.usize(1..3000);
                let mut garbage: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
                if random.bool() {
                    garbage[0] = 0;
                }
                if write_raw(&mut stream, &garbage).await.is_err() {
                    break;
                }
            }
        }
        port.until(|port| port.tcp.len() == 1).await;
        port.tcp.queue(&path, b"unharmed");
        assert_eq!(read(&mut peer).await, b"unharmed");
    });
}

#[test]
fn dropping_it_closes_every_connection() {
    on_media_thread(async {
        let port = Port::bind(&settings());
        let mut serve = Box::pin(port.serve());
        let peers = async { (port.peer("127.0.0.1").await, port.connect("127.0.0.1").await) };
        let never = async {
            serve.as_mut().await;
            unreachable!()
        };
        let ((mut peer, _), mut stranger) = or(never, peers).await;
        drop(serve);
        assert!(is_closed(&mut peer).await);
        assert_eq!(port.tcp.len(), 0);
        let address = ("127.0.0.1", port.tcp.port());
        drop(port);
        assert!(is_closed(&mut stranger).await);
        assert!(TcpStream::connect(address).await.is_err());
    });
}
