//! A browser's SDP offer in; out what of it matters for somebody who only watches, or why it cannot be used. RFC 8866, RFC 8829.

use std::collections::BTreeMap;

use str0m::change::SdpOffer;

/// Sections that an offer may have. Browsers send two.
const MOST_SECTIONS: usize = 8;
/// The longest line. The longest that browsers send are fingerprints and candidates, a tenth of it.
const LONGEST_LINE: usize = 2048;

/// An offer to watch.
pub(super) struct Offered {
    pub(super) sdp: SdpOffer,
    /// Names of the video codecs that the browser accepts, in its order, as people write them.
    pub(super) video_codecs: Vec<String>,
}

/// Reads an offer. The error completes "the SDP offer cannot be used: ...".
pub(super) fn read(text: &str) -> Result<Offered, String> {
    let lines: Vec<&str> = text.lines().collect();
    if !lines.first().is_some_and(|line| line.starts_with("v=0")) {
        return Err("it does not start with \"v=0\"".to_owned());
    }
    if let Some(number) = lines.iter().position(|line| line.len() > LONGEST_LINE) {
        return Err(format!("line {} has more than {LONGEST_LINE} characters", number + 1));
    }
    if let Some(number) = lines.iter().position(|line| line.chars().any(char::is_control)) {
        return Err(format!("line {} has control characters", number + 1));
    }
    if !lines.iter().any(|line| is_fingerprint(line)) {
        return Err("it has no SHA-256 fingerprint of the browser's certificate (a=fingerprint:sha-256 ...)".to_owned());
    }
    let sections = sections(&lines);
    check_sections(&sections)?;
    let video = sections.iter().find(|section| section.kind() == "video");
    let video = video.ok_or_else(|| "it has no video section".to_owned())?;
    let sdp = SdpOffer::from_sdp_string(&without_candidates(&lines)).map_err(|error| one_line(&error.to_string()))?;
    // As str0m understood it, so that there is one reading only.
    let read = sdp.to_sdp_string();
    let read = self::sections(&read.lines().collect::<Vec<_>>());
    // Where it cannot read on, it stops without an error; the answer would then have fewer sections than the offer.
    if let Some(unread) = sections.get(read.len()) {
        return Err(format!("its {} section cannot be read", unread.kind()));
    }
    check_payload_types(&read)?;
    Ok(Offered { sdp, video_codecs: video.codecs() })
}

fn check_sections(sections: &[Section<'_>]) -> Result<(), String> {
    if sections.len() > MOST_SECTIONS {
        return Err(format!("it has {} media sections; at most {MOST_SECTIONS} are read", sections.len()));
    }
    for section in sections {
        match section.kind() {
            "audio" | "video" => {}
            "application" => return Err("it asks for a data channel; cameras have pictures and sound only".to_owned()),
            other => return Err(format!("it has a section of the kind {:?}", one_line(other))),
        }
        if section.has("a=sendonly") {
            return Err(format!("its {} section wants to send; ask with recvonly", section.kind()));
        }
    }
    Ok(())
}

/// RFC 9143 section 10.1.1: in sections that share a path, a payload type stands for one thing. str0m takes that for granted and
/// panics where it does not hold.
fn check_payload_types(sections: &[Section<'_>]) -> Result<(), String> {
    let mut all: BTreeMap<u8, Meaning<'_>> = BTreeMap::new();
    for section in sections {
        for (payload_type, meaning) in section.meanings() {
            let known = all.entry(payload_type).or_insert_with(|| meaning.clone());
            if !meaning.is_one() || *known != meaning {
                return Err(format!("its payload type {payload_type} stands for more than one thing"));
            }
        }
    }
    Ok(())
}

/// What a section says that a payload type is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Meaning<'a> {
    /// Names and clock rates.
    codecs: Vec<&'a str>,
    parameters: Vec<&'a str>,
}

impl Meaning<'_> {
    /// One codec, or the repetition of one payload type.
    fn is_one(&self) -> bool {
        let repeats = self.parameters.iter().filter(|parameter| parameter.trim_start().starts_with("apt=")).count();
        self.codecs.len() <= 1 && repeats <= 1
    }
}

/// An `m=` line and what follows it.
struct Section<'a> {
    lines: Vec<&'a str>,
}

impl Section<'_> {
    fn kind(&self) -> &str {
        let media = self.lines.first().and_then(|line| line.strip_prefix("m=")).unwrap_or_default();
        media.split(' ').next().unwrap_or_default()
    }

    fn has(&self, line: &str) -> bool {
        self.lines.contains(&line)
    }

    fn codecs(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for line in &self.lines {
            let Some((_, map)) = line.strip_prefix("a=rtpmap:").and_then(|map| map.split_once(' ')) else { continue };
            let name = match map.split('/').next().unwrap_or_default().to_ascii_uppercase().as_str() {
                // Not codecs: repetition and protection.
                "RTX" | "RED" | "ULPFEC" | "FLEXFEC-03" | "" => continue,
                "H264" => "H.264".to_owned(),
                "H265" => "H.265".to_owned(),
                other => one_line(other),
            };
            if !names.contains(&name) && names.len() < 8 {
                names.push(name);
            }
        }
        names
    }
}

impl<'a> Section<'a> {
    fn meanings(&self) -> BTreeMap<u8, Meaning<'a>> {
        let mut all: BTreeMap<u8, Meaning<'a>> = BTreeMap::new();
        let attributes =
            |name: &'static str| self.lines.iter().filter_map(move |line| numbered(line.strip_prefix(name)?));
        for (payload_type, codec) in attributes("a=rtpmap:") {
            // Without the number of channels, which may be left out when it is one.
            let end = codec.match_indices('/').nth(1).map_or(codec.len(), |(at, _)| at);
            all.entry(payload_type).or_default().codecs.extend(codec.get(..end));
        }
        for (payload_type, parameters) in attributes("a=fmtp:") {
            all.entry(payload_type).or_default().parameters.extend(parameters.split(';'));
        }
        let listed = self.lines.first().into_iter().flat_map(|line| line.split(' ').skip(3));
        for payload_type in listed.filter_map(|word| word.parse().ok()) {
            let codecs = &mut all.entry(payload_type).or_default().codecs;
            if codecs.is_empty() {
                codecs.extend(static_codec(payload_type));
            }
        }
        all
    }
}

/// `NUMBER TEXT`, what follows the name of an attribute of a payload type.
fn numbered(text: &str) -> Option<(u8, &str)> {
    let (number, text) = text.split_once(' ')?;
    Some((number.parse().ok()?, text))
}

/// What a payload type stands for without an rtpmap. RFC 3551 section 6, as far as str0m knows it.
const fn static_codec(payload_type: u8) -> Option<&'static str> {
    match payload_type {
        0 => Some("PCMU/8000"),
        8 => Some("PCMA/8000"),
        9 => Some("G722/8000"),
        13 => Some("CN/8000"),
        _ => None,
    }
}

fn sections<'a>(lines: &[&'a str]) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    for line in lines {
        if line.starts_with("m=") {
            sections.push(Section { lines: Vec::new() });
        }
        if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    sections
}

/// RFC 8122 section 5. str0m compares SHA-256 only.
fn is_fingerprint(line: &str) -> bool {
    let value = line.strip_prefix("a=fingerprint:").and_then(|value| value.split_once(' '));
    let Some((_, digits)) = value.filter(|(hash, _)| hash.eq_ignore_ascii_case("sha-256")) else { return false };
    let pairs: Vec<&str> = digits.trim_end().split(':').collect();
    pairs.len() == 32 && pairs.iter().all(|pair| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok())
}

/// A server that is ICE-lite learns addresses from the checks that reach it: what the browser says of its own is not needed.
fn without_candidates(lines: &[&str]) -> String {
    let candidate = |line: &&&str| line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates");
    let mut text = String::new();
    for line in lines.iter().filter(|line| !candidate(line)) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

/// Foreign text on one printable line of moderate length.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::webrtc) const CHROMIUM: &str = include_str!("chromium-offer.sdp");

    #[test]
    fn what_a_browser_accepts_is_read_from_its_offer() {
        let offered = read(CHROMIUM).unwrap();
        assert_eq!(offered.video_codecs, ["VP8", "VP9", "H.264", "AV1"]);
        assert!(!offered.sdp.to_sdp_string().contains("candidate"));
    }

    #[test]
    fn many_codecs_and_foreign_words_stay_short() {
        let maps: String = (0..20).map(|n| format!("a=rtpmap:{n} codec{n}/90000\r\n")).collect();
        let video = format!("m=video 9 UDP/TLS/RTP/SAVPF 0\r\n{maps}");
        assert_eq!(sections(&video.lines().collect::<Vec<_>>())[0].codecs().len(), 8);
        assert_eq!(one_line("line 1\nline\u{7}2"), "line 1 line 2");
        assert_eq!(one_line(&"x".repeat(200)).len(), 120);
    }

    #[test]
    fn what_cannot_be_used_is_told_why() {
        let print = format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":"));
        let refusal = |text: &str| read(&text.replacen("v=0\r\n", &format!("v=0\r\n{print}"), 1)).err().unwrap();
        assert_eq!(refusal(""), "it does not start with \"v=0\"");
        assert_eq!(refusal("v=0\r\n"), "it has no video section");
        let digest = |hash: &str, pair: &str| format!("a=fingerprint:{hash} {}\r\n", [pair; 32].join(":"));
        let short = "a=fingerprint:sha-256 AB:CD\r\n".to_owned();
        for wrong in [String::new(), short, digest("sha-1", "AB"), digest("sha-256", "GG"), digest("sha-256", "A")] {
            let reason = read(&format!("v=0\r\n{wrong}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n")).err().unwrap();
            assert!(reason.starts_with("it has no SHA-256 fingerprint"), "{wrong}: {reason}");
        }
        assert_eq!(refusal("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"), "it has no video section");
        assert_eq!(
            refusal("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
            "it asks for a data channel; cameras have pictures and sound only"
        );
        assert_eq!(
            refusal("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n"),
            "its video section wants to send; ask with recvonly"
        );
        assert_eq!(refusal("v=0\r\nm=text 9 RTP/AVP 0\r\n"), "it has a section of the kind \"text\"");
        assert_eq!(refusal("v=0\r\na=\u{7}\r\n"), "line 3 has control characters");
        assert_eq!(refusal(&format!("v=0\r\na={}\r\n", "x".repeat(3000))), "line 3 has more than 2048 characters");
        assert!(refusal(&format!("v=0\r\n{}", "m=audio 9 RTP/AVP 0\r\n".repeat(9))).contains("9 media sections"));
    }

    #[test]
    fn a_section_that_cannot_be_read_is_not_left_out() {
        let unread = CHROMIUM.replacen("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 UDP/QUIC/RTP/SAVPF", 1);
        let reason = read(&unread).err().unwrap();
        assert_eq!(reason, "its audio section cannot be read");
    }
}
