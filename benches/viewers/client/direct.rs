//! The camera without the gateway: RTSP over TCP, interleaved, read as soon as it comes. RFC 2326 section 10.12.

use tokio::net::TcpStream;

use crate::frames::{Arrivals, note};
use crate::http::split;

/// Notes when each picture's last packet came, until it is over.
pub(crate) async fn follow(url: &str, log: Arrivals, over: impl Fn() -> bool) {
    let (host, _) = split(url);
    let mut camera = Camera { stream: TcpStream::connect(host).await.unwrap(), bytes: Vec::new() };
    camera.ask(&format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n")).await;
    let head = camera
        .ask(&format!(
            "SETUP {url}/stream=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
        ))
        .await;
    let session = head.lines().find_map(|line| line.strip_prefix("Session:")).expect("the camera opens a session");
    let session = session.split(';').next().unwrap_or_default().trim().to_owned();
    camera.ask(&format!("PLAY {url} RTSP/1.0\r\nCSeq: 3\r\nSession: {session}\r\n\r\n")).await;
    while !over() {
        let packet = camera.packet().await;
        if let Some((true, payload)) = parse(&packet) {
            note(&log, payload);
        }
    }
}

struct Camera {
    stream: TcpStream,
    /// Read and not yet used.
    bytes: Vec<u8>,
}

impl Camera {
    async fn ask(&mut self, request: &str) -> String {
        let mut rest = request.as_bytes();
        while !rest.is_empty() {
            self.stream.writable().await.unwrap();
            if let Ok(sent) = self.stream.try_write(rest) {
                rest = rest.get(sent..).unwrap_or_default();
            }
        }
        let end = loop {
            if let Some(at) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await;
        };
        let head = String::from_utf8(self.bytes.drain(..end).collect()).unwrap();
        assert!(head.starts_with("RTSP/1.0 200"), "{request}{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        while self.bytes.len() < length {
            self.read().await;
        }
        self.bytes.drain(..length);
        head
    }

    /// The next RTP packet of the video.
    async fn packet(&mut self) -> Vec<u8> {
        loop {
            match *self.bytes.as_slice() {
                [b'$', channel, high, low, ref rest @ ..] => {
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    if rest.len() >= length {
                        let packet = self.bytes.drain(..4 + length).skip(4).collect();
                        if channel == 0 {
                            return packet;
                        }
                        continue;
                    }
                }
                // An answer to nothing that was asked here.
                [_, ..] => drop(self.bytes.drain(..1)),
                [] => {}
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        self.stream.readable().await.unwrap();
        let mut buffer = [0; 65536];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => panic!("the camera ended"),
            Ok(length) => self.bytes.extend_from_slice(buffer.get(..length).unwrap()),
            Err(_) => {}
        }
    }
}

/// Marker bit and payload of an RTP packet. RFC 3550 section 5.1.
fn parse(packet: &[u8]) -> Option<(bool, &[u8])> {
    let (&[flags, marker], _) = packet.split_first_chunk()?;
    let mut at = 12 + 4 * usize::from(flags & 0x0f);
    if flags & 0x10 != 0 {
        let length = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes(length.try_into().ok()?));
    }
    Some((marker & 0x80 != 0, packet.get(at..)?))
}
