//! `[webrtc]` of `config.toml`: a table in, `WebRtc` out; what is wrong goes into the report.

use std::net::IpAddr;

use super::owner::{Hls, Web};
use super::reader::{Fields, Placed, Report};

/// Most WebRTC viewers that can be asked for, and that a board can be made for.
pub(super) const MOST_VIEWERS: u32 = 256;

/// The UDP port of all viewers when the owner names none.
const UDP_PORT: u16 = 8189;

/// `[webrtc]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRtc {
    /// WebRTC output on.
    pub enabled: bool,
    /// The UDP port of all viewers.
    pub udp_port: u16,
    /// The port for viewers whose network lets no UDP through (ICE-TCP); absent: off.
    pub tcp_port: Option<u16>,
    /// The addresses that viewers are offered.
    pub addresses: AddressChoice,
    /// Most viewers at once, of all cameras together; absent: as many as the board allows.
    pub max_viewers: Option<u32>,
}

/// Which addresses of this machine WebRTC viewers are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressChoice {
    /// All that others can reach.
    All,
    /// Those of these interfaces, e.g. `eth0`.
    Interfaces(Vec<String>),
    /// These, while the machine has them.
    Addresses(Vec<IpAddr>),
}

/// Reads `[webrtc]`; `web` and `hls` are what it must agree with.
pub(super) fn read_webrtc<'t>(mut fields: Fields<'_, 't>, web: &Web, hls: &Hls, report: &mut Report<'t>) -> WebRtc {
    let enabled = fields.boolean("enabled", true, report);
    if !enabled && !hls.enabled {
        let sentence = "is false, and so is hls.enabled: nothing would be delivered: enable [hls] or [webrtc]";
        report.add(fields.offset(), &fields.path_of("enabled"), sentence);
    }
    let udp_port = fields.port("udp_port", 1..=u16::MAX, "", report).unwrap_or(UDP_PORT);
    let tcp_port = fields.port("tcp_port", 1..=u16::MAX, "", report);
    if let Some(port) = tcp_port.filter(|port| enabled && *port == web.listen.port()) {
        let sentence = format!("is {port}, which is the port of web.listen: choose another");
        report.add(fields.offset(), &fields.path_of("tcp_port"), sentence);
    }
    let addresses = read_choice(&mut fields, report);
    let max_viewers = fields.optional_integer("max_viewers", 1..=MOST_VIEWERS, "viewers", report);
    fields.finish(report);
    WebRtc { enabled, udp_port, tcp_port, addresses, max_viewers }
}

fn read_choice<'t>(fields: &mut Fields<'_, 't>, report: &mut Report<'t>) -> AddressChoice {
    let interfaces = fields.strings("interfaces", "[\"eth0\"]", report);
    let addresses = fields.strings("addresses", "[\"10.0.0.2\"]", report);
    if let (Some(_), Some(second)) = (&interfaces, &addresses) {
        let offset = second.first().map_or(fields.offset(), |address| address.offset);
        report.add(offset, &fields.path_of("addresses"), "is given beside interfaces; keep one of them");
    }
    match (interfaces, addresses) {
        (Some(names), _) => AddressChoice::Interfaces(parse_all(names, "interfaces", interface, fields, report)),
        (None, Some(list)) => AddressChoice::Addresses(parse_all(list, "addresses", address, fields, report)),
        (None, None) => AddressChoice::All,
    }
}

fn parse_all<T>(
    list: Vec<Placed<String>>,
    key: &str,
    parse: fn(&str) -> Result<T, String>,
    fields: &Fields<'_, '_>,
    report: &mut Report<'_>,
) -> Vec<T> {
    let mut all = Vec::with_capacity(list.len());
    for Placed { value, offset } in list {
        match parse(&value) {
            Ok(item) => all.push(item),
            Err(sentence) => report.add(offset, &fields.path_of(key), format!("{value:?} {sentence}")),
        }
    }
    all
}

/// What Linux takes as a name, `dev_valid_name` in `net/core/dev.c`; an address label such as `eth0:1` counts, too.
fn interface(name: &str) -> Result<String, String> {
    let one_word = !name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    if matches!(name.len(), 1..=15) && one_word && name != "." && name != ".." {
        Ok(name.to_owned())
    } else {
        Err("is not the name of a network interface (1 to 15 characters, e.g. \"eth0\")".to_owned())
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| {
        "is not an IP address; write e.g. \"10.0.0.2\" or \"fd00::2\", without a port and without a zone".to_owned()
    })?;
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if link_local {
        Err("is link-local: a browser cannot reach it; name another address, or an interface".to_owned())
    } else if address.is_multicast() || address == IpAddr::from([255; 4]) {
        Err("is the address of many; name one that this machine has".to_owned())
    } else if address.is_unspecified() {
        Err("names no address; leave addresses out to offer every one".to_owned())
    } else {
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::super::owner::Config;
    use super::*;

    const CAMERA: &str = "[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\n";

    fn read(webrtc: &str) -> (WebRtc, Vec<String>) {
        let (config, problems) = Config::read(&format!("{webrtc}\n{CAMERA}"), |_| Ok(String::new()));
        (config.webrtc, problems.iter().map(ToString::to_string).collect())
    }

    fn good(webrtc: &str) -> WebRtc {
        let (webrtc, problems) = read(webrtc);
        assert_eq!(problems, Vec::<String>::new());
        webrtc
    }

    #[test]
    fn webrtc_is_on_by_default_and_ice_tcp_is_off() {
        assert_eq!(
            good(""),
            WebRtc { enabled: true, udp_port: 8189, tcp_port: None, addresses: AddressChoice::All, max_viewers: None }
        );
        let moved = good("[webrtc]\nudp_port = 5000\nmax_viewers = 8");
        assert_eq!((moved.udp_port, moved.tcp_port, moved.max_viewers), (5000, None, Some(8)));
        let apart = good("[webrtc]\ntcp_port = 443");
        assert_eq!((apart.udp_port, apart.tcp_port), (8189, Some(443)));
    }

    #[test]
    fn addresses_are_chosen_by_interface_or_one_by_one() {
        let names = good("[webrtc]\ninterfaces = [\"eth0\", \"br-lan.10\"]").addresses;
        assert_eq!(names, AddressChoice::Interfaces(vec!["eth0".to_owned(), "br-lan.10".to_owned()]));
        let list =
            good("[webrtc]\naddresses = [\"10.0.0.2\", \"fd00::2\", \"127.0.0.1\", \"::ffff:10.0.0.3\"]").addresses;
        let expected = ["10.0.0.2", "fd00::2", "127.0.0.1", "10.0.0.3"].map(|text| text.parse().unwrap());
        assert_eq!(list, AddressChoice::Addresses(expected.to_vec()));
    }

    #[test]
    fn every_wrong_value_is_told_with_its_line_and_what_to_do() {
        let text = "[webrtc]\nenabled = 1\nudp_port = 0\ntcp_port = \"off\"\nmax_viewers = 257\nudp = 1\n\
                    interfaces = [\"eth0\", \"\", \"a b\", \"sixteen-letters-\", \"..\", 5]\n";
        assert_eq!(
            read(text).1,
            [
                "line 2: webrtc.enabled: must be true or false, not an integer",
                "line 3: webrtc.udp_port: is 0; it must be 1 to 65535",
                "line 4: webrtc.tcp_port: must be a port number, not a string",
                "line 5: webrtc.max_viewers: is 257; it must be 1 to 256 viewers",
                "line 6: webrtc.udp: unknown key; known keys here: enabled, udp_port, tcp_port, interfaces, addresses, max_viewers",
                "line 7: webrtc.interfaces: must be a list of texts in quotes, e.g. interfaces = [\"eth0\"], not an integer",
                "line 7: webrtc.interfaces: \"\" is not the name of a network interface (1 to 15 characters, e.g. \"eth0\")",
                "line 7: webrtc.interfaces: \"a b\" is not the name of a network interface (1 to 15 characters, e.g. \"eth0\")",
                "line 7: webrtc.interfaces: \"sixteen-letters-\" is not the name of a network interface (1 to 15 characters, e.g. \"eth0\")",
                "line 7: webrtc.interfaces: \"..\" is not the name of a network interface (1 to 15 characters, e.g. \"eth0\")",
            ]
        );
        assert_eq!(read("[webrtc]\ntcp_port = 65536").1, ["line 2: webrtc.tcp_port: is 65536; it must be 1 to 65535"]);
    }

    #[test]
    fn addresses_that_no_browser_can_use_are_refused_with_the_reason() {
        let list = ["eth0", "10.0.0.2:8189", "169.254.1.1", "fe80::1", "239.1.2.3", "255.255.255.255", "::", "0.0.0.0"];
        let problems = read(&format!("[webrtc]\naddresses = {list:?}")).1;
        let wrong = "is not an IP address; write e.g. \"10.0.0.2\" or \"fd00::2\", without a port and without a zone";
        let link_local = "is link-local: a browser cannot reach it; name another address, or an interface";
        let many = "is the address of many; name one that this machine has";
        let none = "names no address; leave addresses out to offer every one";
        let expected: Vec<_> = list
            .iter()
            .zip([wrong, wrong, link_local, link_local, many, many, none, none])
            .map(|(text, sentence)| format!("line 2: webrtc.addresses: {text:?} {sentence}"))
            .collect();
        assert_eq!(problems, expected);
    }

    #[test]
    fn interfaces_and_addresses_exclude_each_other_and_neither_is_empty() {
        assert_eq!(
            read("[webrtc]\ninterfaces = [\"eth0\"]\naddresses = [\"10.0.0.2\"]").1,
            ["line 3: webrtc.addresses: is given beside interfaces; keep one of them"]
        );
        assert_eq!(
            read("[webrtc]\ninterfaces = []").1,
            [
                "line 2: webrtc.interfaces: is an empty list; must be a list of texts in quotes, e.g. interfaces = [\"eth0\"]"
            ]
        );
        assert_eq!(
            read("[webrtc]\naddresses = \"10.0.0.2\"").1,
            [
                "line 2: webrtc.addresses: must be a list of texts in quotes, e.g. addresses = [\"10.0.0.2\"], not a string"
            ]
        );
    }

    #[test]
    fn the_web_port_is_not_shared_while_webrtc_is_on() {
        assert_eq!(
            read("[web]\nlisten = \"0.0.0.0:8189\"\n[webrtc]\ntcp_port = 8189").1,
            ["line 3: webrtc.tcp_port: is 8189, which is the port of web.listen: choose another"]
        );
        for fine in ["enabled = false\ntcp_port = 8189", "", "tcp_port = 8190"] {
            good(&format!("[web]\nlisten = \"0.0.0.0:8189\"\n[webrtc]\n{fine}"));
        }
    }

    #[test]
    fn a_gateway_that_delivers_nothing_is_refused() {
        assert_eq!(
            read("[hls]\nenabled = false\n[webrtc]\nenabled = false").1,
            [
                "line 3: webrtc.enabled: is false, and so is hls.enabled: nothing would be delivered: enable [hls] or [webrtc]"
            ]
        );
        good("[hls]\nenabled = false");
        good("[webrtc]\nenabled = false");
    }
}
