//! A window in, the text of its media playlist out. RFC 8216 section 4.3, protocol version 3.

use std::fmt::Write as _;

use super::window::Window;
use crate::media::Ticks;

/// The live media playlist of `window`; `None` while it lists nothing.
///
/// EXT-X-INDEPENDENT-SEGMENTS never appears: a long GOP makes it untrue at any time.
pub(super) fn text<H>(window: &Window<H>) -> Option<String> {
    let first = window.listed().next()?;
    let mut text = String::with_capacity(1024);
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        window.target_duration(),
        first.sequence,
        window.discontinuity_sequence(),
    );
    for entry in window.listed() {
        if entry.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some(date) = entry.date {
            let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{date}");
        }
        let _ = writeln!(text, "#EXTINF:{},\n{}", seconds(entry.duration), entry.file_name);
    }
    Some(text)
}

/// The lowest EXT-X-DISCONTINUITY-SEQUENCE for a run that follows the one whose last playlist is `text`.
pub(super) fn next_discontinuity(text: &str) -> Option<u64> {
    let first =
        text.lines().find_map(|line| line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:"))?.parse::<u64>().ok()?;
    let tags = text.lines().filter(|line| *line == "#EXT-X-DISCONTINUITY").count() as u64;
    Some(first.saturating_add(tags).saturating_add(1))
}

/// Seconds with six decimals, rounded down: an EXTINF must not round up to more than the target duration.
fn seconds(span: Ticks) -> String {
    let ticks = span.0.max(0);
    format!("{}.{:06}", ticks / Ticks::HZ, ticks % Ticks::HZ * 1_000_000 / Ticks::HZ)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::window::Entry;
    use super::*;
    use crate::media::WallTime;

    fn entry(sequence: u64, ticks: i64, discontinuity: bool, date: Option<i64>) -> Entry<()> {
        Entry {
            sequence,
            file_name: format!("k3x9ab_main_seg{sequence}.ts"),
            duration: Ticks(ticks),
            bytes: 1,
            discontinuity,
            date: date.map(WallTime),
            handle: (),
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
    fn playlists_read_like_this() {
        let mut window = Window::new(3, 20, 4711);
        assert_eq!(text(&window), None);
        let now = Instant::now();
        let segments = [
            entry(4711, 86_400, false, None),
            entry(4712, 134_999, true, None),
            entry(4713, 90_000, false, Some(1_795_413_954_120)),
        ];
        for (n, segment) in segments.into_iter().enumerate() {
            window.push(segment, 1, now + Duration::from_secs(n as u64));
        }
        assert_eq!(
            text(&window).unwrap(),
            "#EXTM3U\n\
             #EXT-X-VERSION:3\n\
             #EXT-X-TARGETDURATION:1\n\
             #EXT-X-MEDIA-SEQUENCE:4711\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:4711\n\
             #EXTINF:0.960000,\n\
             k3x9ab_main_seg4711.ts\n\
             #EXT-X-DISCONTINUITY\n\
             #EXTINF:1.499988,\n\
             k3x9ab_main_seg4712.ts\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-23T06:05:54.120Z\n\
             #EXTINF:1.000000,\n\
             k3x9ab_main_seg4713.ts\n"
        );
        // The segment with the tag is first now: the tag stays, so the sequence does too.
        window.push(entry(4714, 90_000, false, None), 1, now);
        let first_lines =
            |window: &Window<()>| text(window).unwrap().lines().skip(3).take(3).collect::<Vec<_>>().join(" ");
        assert_eq!(
            first_lines(&window),
            "#EXT-X-MEDIA-SEQUENCE:4712 #EXT-X-DISCONTINUITY-SEQUENCE:4711 #EXT-X-DISCONTINUITY"
        );
        assert_eq!(next_discontinuity(&text(&window).unwrap()), Some(4713));
        // It left, and its tag with it.
        window.push(entry(4715, 90_000, false, None), 1, now);
        assert!(
            first_lines(&window).starts_with("#EXT-X-MEDIA-SEQUENCE:4713 #EXT-X-DISCONTINUITY-SEQUENCE:4712 #EXT-X-P")
        );
    }
}
