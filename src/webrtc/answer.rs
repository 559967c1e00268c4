//! str0m's SDP answer in, the browser's out: candidates ranked in the order in which they are named, and their end told.
//! RFC 8445 section 5.1.2.1, RFC 8840 section 8.2.

use std::borrow::Cow;

/// RFC 8445 section 5.1.2.1: the type's preference, 8 bits, stands above the local one, 16 bits, and the component's, 8 bits.
const LOCAL_SHIFT: u32 = 8;
const LOCAL_MASK: u32 = 0xFFFF << LOCAL_SHIFT;
/// RFC 6544 section 4.2: over TCP the upper 3 bits of the local preference are the direction's, 4 for passive.
const PASSIVE: u32 = 4 << 13;
const MOST_UDP: u32 = 0xFFFF;
const MOST_TCP: u32 = PASSIVE | 0x1FFF;

/// The candidate named first gets the highest priority of its kind, so that a browser tries the address on which it has
/// reached us already before the others.
pub(super) fn rank_candidates(answer: &str) -> String {
    let (mut udp, mut tcp) = (MOST_UDP, MOST_TCP);
    let mut text = String::with_capacity(answer.len());
    let mut lines = answer.lines().peekable();
    while let Some(line) = lines.next() {
        text.push_str(&ranked(line, &mut udp, &mut tcp).unwrap_or(Cow::Borrowed(line)));
        text.push_str("\r\n");
        let is_candidate = |line: &str| line.starts_with("a=candidate:");
        if is_candidate(line) && !lines.peek().is_some_and(|next| is_candidate(next)) {
            text.push_str("a=end-of-candidates\r\n");
        }
    }
    text
}

fn ranked<'a>(line: &'a str, udp: &mut u32, tcp: &mut u32) -> Option<Cow<'a, str>> {
    let rest = line.strip_prefix("a=candidate:")?;
    let mut words: Vec<&str> = rest.split(' ').collect();
    let next = if words.get(2)?.eq_ignore_ascii_case("tcp") { tcp } else { udp };
    let priority: u32 = words.get(3)?.parse().ok()?;
    let priority = (priority & !LOCAL_MASK | *next << LOCAL_SHIFT).to_string();
    *next = next.saturating_sub(1);
    *words.get_mut(3)? = &priority;
    Some(Cow::Owned(format!("a=candidate:{}", words.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_candidate_of_each_kind_comes_first() {
        let answer = "v=0\r\na=candidate:a 1 udp 2130706175 10.0.0.1 8189 typ host\r\n\
            a=candidate:b 1 udp 2130706431 fd00::2 8189 typ host\r\n\
            a=candidate:c 1 tcp 1526725375 10.0.0.1 8189 typ host tcptype passive\r\na=candidate:broken\r\na=mid:0\r\n";
        assert_eq!(
            rank_candidates(answer),
            "v=0\r\na=candidate:a 1 udp 2130706431 10.0.0.1 8189 typ host\r\n\
             a=candidate:b 1 udp 2130706175 fd00::2 8189 typ host\r\n\
             a=candidate:c 1 tcp 1520435199 10.0.0.1 8189 typ host tcptype passive\r\na=candidate:broken\r\n\
             a=end-of-candidates\r\na=mid:0\r\n"
        );
    }
}
