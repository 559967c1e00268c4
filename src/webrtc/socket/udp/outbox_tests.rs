use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn peer(port: u16) -> SocketAddr {
    SocketAddr::new(HERE, port)
}

fn outbox(segmentation: bool) -> Outbox {
    Outbox::new(1 << 20, segmentation)
}

fn queue(outbox: &mut Outbox, port: u16, sizes: &[usize]) {
    for size in sizes {
        assert!(outbox.queue(HERE, peer(port), &vec![0; *size]));
    }
}

/// Each call of `transmit` as text: the segment size, then port and bytes of each message.
fn calls(outbox: &mut Outbox, mut answer: impl FnMut(&Batch<'_>) -> io::Result<usize>) -> (Vec<String>, Flushed) {
    let mut calls = Vec::new();
    let flushed = outbox.flush(|batch| {
        let messages: Vec<_> =
            batch.messages.iter().map(|(remote, bytes)| format!("{}:{}", remote.port(), bytes.len())).collect();
        let segment = batch.segment.map_or_else(|| "-".to_owned(), |segment| segment.to_string());
        calls.push(format!("{segment} {}", messages.join(" ")));
        answer(batch)
    });
    (calls, flushed)
}

/// The kernel that takes everything.
fn all(batch: &Batch<'_>) -> io::Result<usize> {
    Ok(batch.messages.len())
}

fn code(code: i32) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(code))
}

#[test]
fn equal_datagrams_of_a_path_are_one_message() {
    let mut outbox = outbox(true);
    queue(&mut outbox, 1, &[1200, 1200, 1200, 300]);
    queue(&mut outbox, 1, &[1200, 1200]);
    let (calls, flushed) = calls(&mut outbox, all);
    assert_eq!(calls, ["1200 1:3900 1:2400"]);
    assert_eq!((flushed.sent, flushed.failed, flushed.blocked, outbox.len()), (6, 0, false, 0));
}

#[test]
fn a_larger_datagram_begins_a_new_message() {
    let mut outbox = outbox(true);
    queue(&mut outbox, 1, &[40, 1200, 1200, 1201]);
    let (calls, flushed) = calls(&mut outbox, all);
    assert_eq!(calls, ["- 1:40", "1200 1:2400", "- 1:1201"]);
    assert_eq!(flushed.sent, 4);
}

#[test]
fn the_same_picture_for_many_peers_is_one_call() {
    let mut outbox = outbox(true);
    for port in 1..=4 {
        queue(&mut outbox, port, &[1200, 1200, 7]);
    }
    for port in 1..=3 {
        queue(&mut outbox, port, &[160]);
    }
    let (calls, flushed) = calls(&mut outbox, all);
    assert_eq!(calls, ["1200 1:2407 2:2407 3:2407 4:2407", "- 1:160 2:160 3:160"]);
    assert_eq!(flushed.sent, 15);
}

#[test]
fn messages_from_different_addresses_are_not_one_call() {
    let mut outbox = outbox(true);
    let other = IpAddr::from([127, 0, 0, 2]);
    for local in [HERE, other] {
        assert!(outbox.queue(local, peer(1), &[0; 100]) && outbox.queue(local, peer(1), &[0; 100]));
    }
    let mut locals = Vec::new();
    let (calls, _) = calls(&mut outbox, |batch| {
        locals.push(batch.local);
        all(batch)
    });
    assert_eq!((calls, locals), (vec!["100 1:200".to_owned(), "100 1:200".to_owned()], vec![HERE, other]));
}

#[test]
fn a_message_has_at_most_64_datagrams_and_65000_bytes() {
    let mut small = outbox(true);
    queue(&mut small, 1, &[10; 130]);
    assert_eq!(calls(&mut small, all).0, ["10 1:640 1:640 1:20"]);
    let mut large = outbox(true);
    queue(&mut large, 1, &[1300; 51]);
    assert_eq!(calls(&mut large, all).0, ["1300 1:65000", "- 1:1300"]);
}

#[test]
fn without_segmentation_each_datagram_is_a_message_and_32_are_a_call() {
    let mut outbox = outbox(false);
    queue(&mut outbox, 1, &[100; 20]);
    queue(&mut outbox, 2, &[100; 19]);
    queue(&mut outbox, 2, &[30]);
    let (calls, flushed) = calls(&mut outbox, all);
    let first = format!("-{}{}", " 1:100".repeat(20), " 2:100".repeat(12));
    assert_eq!(calls, [first, format!("-{} 2:30", " 2:100".repeat(7))]);
    assert_eq!(flushed.sent, 40);
}

#[test]
fn what_the_kernel_does_not_take_waits_in_order() {
    for segmentation in [true, false] {
        let mut outbox = outbox(segmentation);
        for number in 0..50_u8 {
            assert!(outbox.queue(HERE, peer(1 + u16::from(number) / 7), &[number; 100]));
        }
        let mut taken = Vec::new();
        let mut sent = 0;
        // One message fits each time.
        for round in 0..50 {
            let mut room = 1;
            let flushed = outbox.flush(|batch| {
                if room == 0 {
                    return code(libc::EAGAIN);
                }
                room -= 1;
                taken.extend(batch.messages[0].1.chunks(100).map(|datagram| datagram[0]));
                Ok(1)
            });
            sent += flushed.sent;
            assert_eq!(flushed.blocked, outbox.len() > 0, "round {round}");
        }
        assert_eq!((sent, outbox.len()), (50, 0));
        assert_eq!(taken, (0..50).collect::<Vec<u8>>());
    }
}

#[test]
fn the_newest_is_dropped_when_the_bound_is_reached() {
    let mut outbox = Outbox::new(1000, true);
    queue(&mut outbox, 1, &[400, 400]);
    assert!(!outbox.queue(HERE, peer(1), &[0; 201]));
    assert!(outbox.queue(HERE, peer(1), &[0; 200]));
    assert!(!outbox.queue(HERE, peer(1), &[0; 1]));
    assert!(calls(&mut outbox, |_| code(libc::EAGAIN)).1.blocked);
    assert_eq!(outbox.len(), 1000);
    assert_eq!(calls(&mut outbox, all).0, ["400 1:1000"]);
    assert!(outbox.queue(HERE, peer(1), &[0; 1000]));
}

#[test]
fn no_datagram_is_empty_or_longer_than_2000_bytes() {
    let mut outbox = outbox(true);
    assert!(!outbox.queue(HERE, peer(1), &[]));
    assert!(!outbox.queue(HERE, peer(1), &[0; 2001]));
    assert!(outbox.queue(HERE, peer(1), &[0; 2000]));
}

#[test]
fn no_datagram_leaves_from_an_ipv4_address_to_an_ipv6_one() {
    let mut outbox = outbox(true);
    let v6: SocketAddr = "[::1]:9".parse().unwrap();
    assert!(!outbox.queue(HERE, v6, &[0; 10]) && !outbox.queue(v6.ip(), peer(9), &[0; 10]));
    assert!(outbox.queue(v6.ip(), v6, &[0; 10]));
}

#[test]
fn a_destination_that_cannot_be_reached_does_not_stop_the_others() {
    let mut outbox = outbox(true);
    for port in [1, 2, 3] {
        queue(&mut outbox, port, &[100, 100, 50]);
    }
    let (calls, flushed) = calls(&mut outbox, |batch| match batch.messages[0].0.port() {
        1 => Ok(1),
        2 => code(libc::EHOSTUNREACH),
        _ => all(batch),
    });
    assert_eq!(calls, ["100 1:250 2:250 3:250", "100 2:250 3:250", "100 3:250"]);
    assert_eq!((flushed.sent, flushed.failed), (6, 3));
    let (remote, error) = flushed.error.unwrap();
    assert_eq!((remote, error.raw_os_error()), (peer(2), Some(libc::EHOSTUNREACH)));
}

#[test]
fn an_interrupted_call_is_repeated() {
    let mut outbox = outbox(true);
    queue(&mut outbox, 1, &[100]);
    let mut interruptions = 2;
    let (calls, flushed) = calls(&mut outbox, |batch| {
        if interruptions > 0 {
            interruptions -= 1;
            return code(libc::EINTR);
        }
        all(batch)
    });
    assert_eq!((calls.len(), flushed.sent, flushed.failed), (3, 1, 0));
}

/// A device that does not divide messages.
fn no_segmentation(batch: &Batch<'_>) -> io::Result<usize> {
    if batch.segment.is_some() { code(libc::EIO) } else { all(batch) }
}

#[test]
fn a_message_that_is_not_divided_goes_out_one_by_one() {
    let mut outbox = outbox(true);
    queue(&mut outbox, 1, &[100, 100, 50]);
    queue(&mut outbox, 2, &[100, 100]);
    let (calls, flushed) = calls(&mut outbox, |batch| match batch.messages[0].0.port() {
        1 => no_segmentation(batch),
        _ => all(batch),
    });
    assert_eq!(calls, ["100 1:250 2:200", "- 1:100 1:100 1:50", "100 2:200"]);
    assert_eq!((flushed.sent, flushed.failed, flushed.gave_up_segmentation), (5, 0, false));
}

#[test]
fn segmentation_is_given_up_once_the_device_has_refused_it_often() {
    let mut outbox = outbox(true);
    let mut flush = |_| {
        queue(&mut outbox, 1, &[100, 100]);
        let (calls, flushed) = calls(&mut outbox, no_segmentation);
        (calls.len(), flushed.sent, flushed.gave_up_segmentation)
    };
    let flushes: Vec<_> = (1..=10).map(&mut flush).collect();
    assert_eq!(flushes[..7], [(2, 2, false); 7]);
    assert_eq!(flushes[7..], [(2, 2, true), (1, 2, false), (1, 2, false)]);
}

#[test]
fn one_path_with_a_small_mtu_does_not_end_segmentation_for_the_others() {
    let mut outbox = outbox(true);
    for _ in 0..20 {
        queue(&mut outbox, 1, &[100, 100]);
        queue(&mut outbox, 2, &[100, 100]);
        let (calls, flushed) = calls(&mut outbox, |batch| match (batch.messages[0].0.port(), batch.segment) {
            (1, Some(_)) => code(libc::EINVAL),
            _ => all(batch),
        });
        assert_eq!(calls, ["100 1:200 2:200", "- 1:100 1:100", "100 2:200"]);
        assert_eq!((flushed.sent, flushed.gave_up_segmentation), (4, false));
    }
}

#[test]
fn datagrams_that_come_alone_say_nothing_about_segmentation() {
    let mut outbox = outbox(true);
    for _ in 0..20 {
        queue(&mut outbox, 1, &[160]);
        assert_eq!(calls(&mut outbox, all).0, ["- 1:160"]);
    }
    queue(&mut outbox, 1, &[100, 100]);
    assert_eq!(calls(&mut outbox, all).0, ["100 1:200"]);
}

#[test]
fn what_comes_after_a_message_that_is_not_divided_is_a_new_message() {
    let mut outbox = outbox(true);
    queue(&mut outbox, 1, &[100, 100]);
    let refused = calls(&mut outbox, |batch| match batch.segment {
        Some(_) => code(libc::EINVAL),
        None => code(libc::EAGAIN),
    });
    assert!(refused.1.blocked);
    queue(&mut outbox, 1, &[100, 100]);
    assert_eq!(calls(&mut outbox, all).0, ["- 1:100 1:100", "100 1:200"]);
}

#[test]
fn an_address_that_this_machine_has_lost_does_not_end_segmentation() {
    let mut outbox = outbox(true);
    for _ in 0..20 {
        queue(&mut outbox, 1, &[100, 100]);
        let (_, flushed) = calls(&mut outbox, |_| code(libc::EINVAL));
        assert_eq!((flushed.sent, flushed.failed, flushed.gave_up_segmentation), (0, 2, false));
    }
    queue(&mut outbox, 1, &[100, 100]);
    assert_eq!(calls(&mut outbox, all).0, ["100 1:200"]);
}

#[test]
fn memory_of_a_long_block_is_given_back() {
    let mut outbox = outbox(true);
    queue(&mut outbox, 1, &[1000; 1000]);
    assert!(calls(&mut outbox, |_| code(libc::EAGAIN)).1.blocked);
    assert_eq!(calls(&mut outbox, all).1.sent, 1000);
    assert!(outbox.bytes.capacity() <= KEPT_CAPACITY, "{}", outbox.bytes.capacity());
}

#[test]
fn a_kernel_that_is_always_a_little_behind_does_not_make_it_grow() {
    let mut outbox = outbox(false);
    queue(&mut outbox, 1, &[100]);
    for _ in 0..10_000 {
        queue(&mut outbox, 1, &[100]);
        let mut room = 1;
        let flushed = outbox.flush(|_| if room == 0 { code(libc::EAGAIN) } else { Ok(std::mem::take(&mut room)) });
        assert_eq!((flushed.sent, outbox.len()), (1, 100));
    }
    assert!(outbox.bytes.capacity() <= 1000, "{}", outbox.bytes.capacity());
}

#[test]
fn after_the_first_datagrams_nothing_is_allocated() {
    let mut outbox = outbox(true);
    let mut picture = || {
        queue(&mut outbox, 1, &[]);
        for port in 1..=8 {
            for _ in 0..14 {
                assert!(outbox.queue(HERE, peer(port), &[0; 1200]));
            }
        }
        outbox.flush(all)
    };
    picture();
    let allocations = allocation_counter::measure(|| {
        assert_eq!(picture().sent, 112);
    });
    assert_eq!(allocations.count_total, 0);
}
