//! A stream's format in, the PAT and PMT packets that describe it out. ISO/IEC 13818-1 section 2.4.4.

use mpeg2ts::es::StreamType;
use mpeg2ts::ts::payload::{Pat, Pmt};
use mpeg2ts::ts::{
    ContinuityCounter, EsInfo, Pid, ProgramAssociation, TransportScramblingControl, TsHeader, TsPacket, TsPacketWriter,
    TsPayload, VersionNumber, WriteTsPacket,
};

use super::{AUDIO_PID, PACKET, PSI_LEN, VIDEO_PID, carries_sound};
use crate::media::{StreamFormat, VideoCodec};

const PMT_PID: u16 = 0x1000;
const PROGRAM: u16 = 1;

/// PAT and PMT, serialised once per format, and their continuity counter: both are always written together, so one serves both.
#[derive(Debug)]
pub(super) struct Psi {
    pat: [u8; PACKET],
    pmt: [u8; PACKET],
    program: Program,
    version: VersionNumber,
    counter: ContinuityCounter,
}

/// What the PMT says of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Program {
    video: VideoCodec,
    audio: bool,
}

impl Psi {
    pub(super) fn new(format: &StreamFormat) -> Self {
        let (program, version) = (Program::of(format), VersionNumber::new());
        Self { pat: pat(), pmt: program.pmt(version), program, version, counter: ContinuityCounter::new() }
    }

    pub(super) fn set_format(&mut self, format: &StreamFormat) {
        let program = Program::of(format);
        if program != self.program {
            self.version.increment();
            self.program = program;
            self.pmt = program.pmt(self.version);
        }
    }

    pub(super) fn write(&mut self, out: &mut [u8; PSI_LEN]) {
        let (packets, _) = out.as_chunks_mut::<PACKET>();
        for (packet, template) in packets.iter_mut().zip([&self.pat, &self.pmt]) {
            *packet = *template;
            packet[3] |= self.counter.as_u8();
        }
        self.counter.increment();
    }
}

impl Program {
    const fn of(format: &StreamFormat) -> Self {
        Self { video: format.video.codec, audio: carries_sound(format) }
    }

    fn pmt(self, version_number: VersionNumber) -> [u8; PACKET] {
        let video = match self.video {
            VideoCodec::H264 => StreamType::H264,
            VideoCodec::H265 => StreamType::H265,
        };
        let stream = |stream_type, id| EsInfo { stream_type, elementary_pid: pid(id), descriptors: Vec::new() };
        let mut es_info = vec![stream(video, VIDEO_PID)];
        es_info.extend(self.audio.then(|| stream(StreamType::AdtsAac, AUDIO_PID)));
        let pcr_pid = Some(pid(VIDEO_PID));
        let pmt = Pmt { program_num: PROGRAM, pcr_pid, version_number, program_info: Vec::new(), es_info };
        packet(PMT_PID, TsPayload::Pmt(pmt))
    }
}

fn pat() -> [u8; PACKET] {
    let table = vec![ProgramAssociation { program_num: PROGRAM, program_map_pid: pid(PMT_PID) }];
    packet(Pid::PAT, TsPayload::Pat(Pat { transport_stream_id: 1, version_number: VersionNumber::new(), table }))
}

/// One table as a packet with continuity counter 0.
fn packet(id: u16, table: TsPayload) -> [u8; PACKET] {
    let header = TsHeader {
        transport_error_indicator: false,
        transport_priority: false,
        pid: pid(id),
        transport_scrambling_control: TransportScramblingControl::NotScrambled,
        continuity_counter: ContinuityCounter::new(),
    };
    let mut writer = TsPacketWriter::new(Vec::with_capacity(PACKET));
    writer
        .write_ts_packet(&TsPacket { header, adaptation_field: None, payload: Some(table) })
        .expect("a table of three entries fits a packet");
    let [sync, id_high, id_low, _, adaptation, rest @ ..] =
        <[u8; PACKET]>::try_from(writer.into_stream()).expect("the writer makes whole packets");
    // The writer puts the stuffing into an adaptation field; receivers expect it behind a table (section 2.4.4.1).
    let mut packet = [0xFF; PACKET];
    let table = &rest[usize::from(adaptation)..];
    packet[..4].copy_from_slice(&[sync, id_high, id_low, 0x10]);
    packet[4..4 + table.len()].copy_from_slice(table);
    packet
}

fn pid(id: u16) -> Pid {
    Pid::new(id).expect("packet ids are 13 bits")
}
