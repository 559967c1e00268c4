//! One camera, for ever: connect, describe, set up, play, hand frames to the hub; say what is wrong, wait, try again.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::{Stream as _, future};
use retina::client::{
    Demuxed, Described, InitialTimestampPolicy, PlayOptions, Session, SessionGroup, SessionOptions, SetupOptions,
    TcpTransportOptions, TeardownPolicy, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParameterSetInsertion, aac, h26x};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hub::Hub;
use crate::media::{AudioCodec, AudioFormat, StreamFormat, Track, VideoFormat};

use super::backoff::Backoff;
use super::cause::{Cause, Step, detail};
use super::describe::{self, Choice};
use super::event::{Event, SkipReason, SkippedSound, Warning};
use super::intake::{Intake, Taken};
use super::meter::Meter;
use super::probe::Report;
use super::settings::{Settings, Transport, TransportChoice, shown_url};

/// retina gives a TEARDOWN 5 s on the old connection; no reconnect before it is answered or given up.
const TEARDOWN_BEFORE_RECONNECT: Duration = Duration::from_secs(6);
/// At the end there is less time: the whole gateway stops within 2 s.
const TEARDOWN_AT_END: Duration = Duration::from_secs(1);
/// How long finding out why a connection does not come about may take.
const DIAGNOSIS: Duration = Duration::from_secs(1);
/// GStreamer's server answers 503 to a DESCRIBE that comes before it let go of the connection that it refused.
const AFTER_REFUSED_TRANSPORT: Duration = Duration::from_millis(300);
/// retina gathers a picture without limit, out of our sight. So this many times may data arrive without completing
/// one (a picture of [`super::MAX_PICTURE`] is less than 3000 packets of an Ethernet), and this much may the process
/// have grown meanwhile. A camera that sends faster than we read makes one wait of many megabytes: so the growth is
/// looked at after so much time of gathering, too, which the pictures of most cameras never take.
const WAITS_PER_PICTURE: u32 = 4096;
const WAITS_PER_CHECK: u32 = 32;
const GATHERING_PER_CHECK: Duration = Duration::from_millis(1);
const GROWTH_PER_PICTURE: u64 = 16 << 20;
/// Frames handed on in a row before other tasks get their turn.
const BATCH: u32 = 32;
/// What the muxer wants: NAL bounds without a start code scan, parameter sets placed by us, sound ready for TS.
const FRAME_FORMAT: FrameFormat = FrameFormat {
    h26x_framing: h26x::Framing::FourByteLength,
    parameter_set_insertion: ParameterSetInsertion::Never,
    aac_framing: aac::Framing::Adts,
};

/// Serves one camera until `stop` is ready: delivers its units to `hub`, counts them in `meter`, tells `on_event`.
/// Returns after a TEARDOWN was answered, or after 1 s. Must run, and be dropped, inside a tokio runtime.
pub async fn run(
    settings: Settings,
    hub: Hub,
    meter: Rc<Meter>,
    mut on_event: impl FnMut(Event),
    stop: impl Future<Output = ()>,
) {
    let mut camera = Camera::new(settings);
    let group = Arc::clone(&camera.group);
    let serve = async { match camera.serve(&hub, &meter, &mut on_event).await {} };
    future::or(stop, serve).await;
    // The session is dropped with `serve`, which sent its TEARDOWN on the way.
    let _ = timeout(TEARDOWN_AT_END, group.await_teardown()).await;
    meter.forget_rates();
}

/// Connects once and watches for two GOPs, at least `least` and at most `most`, then says what it saw.
///
/// # Errors
/// When the camera delivers nothing.
pub async fn probe(settings: Settings, least: Duration, most: Duration) -> Result<Report, Cause> {
    let mut camera = Camera::new(settings);
    let result = camera.watch(least, most).await;
    let _ = timeout(TEARDOWN_AT_END, camera.group.await_teardown()).await;
    result
}

struct Camera {
    settings: Settings,
    group: Arc<SessionGroup>,
    backoff: Backoff,
    /// Answered 461 to TCP.
    refuses_tcp: bool,
    /// Its G.711 ended a session, and how: it is left out from then on, so that the picture goes on.
    broken_g711: Option<String>,
}

/// What a session has next.
enum Next {
    Item(Option<Result<CodecItem, retina::Error>>),
    /// A picture grows beyond all measure.
    EndlessPicture,
    Deadline,
}

/// A session that plays.
struct Live {
    frames: Demuxed,
    transport: Transport,
    video: usize,
    audio: Option<AudioFormat>,
    skipped: Vec<SkippedSound>,
}

impl Live {
    fn video_format(&self) -> Option<VideoFormat> {
        describe::video_format(self.frames.streams().get(self.video))
    }

    /// What the camera says it is, fit for printing.
    fn tool(&self) -> Option<String> {
        self.frames.tool().map(|tool| detail(tool)).filter(|tool| !tool.is_empty())
    }

    /// UDP without room for a key frame: said before the loss, since such key frames never arrive whole.
    fn udp_warning(&self) -> Option<Warning> {
        let have = (self.transport == Transport::Udp).then(rmem_default)??;
        let size = self.video_format().map_or((1920, 1080), |video| (video.width, video.height));
        Warning::small_udp_buffer(have, size)
    }
}

impl Camera {
    fn new(settings: Settings) -> Self {
        let backoff = Backoff::new(settings.seed);
        let group = SessionGroup::default().named(settings.id.to_string());
        Self { settings, group: Arc::new(group), backoff, refuses_tcp: false, broken_g711: None }
    }

    async fn serve(&mut self, hub: &Hub, meter: &Meter, on_event: &mut impl FnMut(Event)) -> Infallible {
        let id = self.settings.id;
        let mut intake = Intake::new(hub.published() > 0);
        loop {
            let attempt = self.backoff.attempt();
            log::info!("{id}: connecting to {}, attempt {attempt}", shown_url(&self.settings.url));
            on_event(Event::Connecting { attempt });
            let (mut cause, streamed) = self.session(&mut intake, hub, meter, on_event).await;
            let ended = Instant::now();
            meter.forget_rates();
            let retry_in = self.backoff.wait_after(&mut cause, streamed);
            log::warn!("{id}: {cause}; next attempt in {:.0} s", retry_in.as_secs_f64());
            // Next time by TCP again: a firewall may let through what the camera refused once.
            self.refuses_tcp &= !matches!(cause, Cause::NoUdpPackets { .. });
            if let Some(detail) = cause.broken_g711() {
                self.broken_g711 = Some(detail.to_owned());
            }
            on_event(Event::Failed { cause, retry_in });
            self.await_teardown().await;
            sleep_until(ended + retry_in).await;
        }
    }

    /// One session from connecting to its end: why it ended, and how long pictures flowed.
    async fn session(
        &mut self,
        intake: &mut Intake,
        hub: &Hub,
        meter: &Meter,
        on_event: &mut impl FnMut(Event),
    ) -> (Cause, Duration) {
        let id = self.settings.id;
        let mut live = match self.connect().await {
            Ok(live) => live,
            Err(cause) => return (cause, Duration::ZERO),
        };
        let (transport, tool) = (live.transport, live.tool());
        log::info!("{id}: connected by {}, tool {}", transport.name(), tool.as_deref().unwrap_or("not named"));
        on_event(Event::Connected { transport, tool });
        for sound in live.skipped.drain(..) {
            log::info!("{id}: {} sound skipped: {}", sound.codec, sound.reason);
            on_event(Event::SoundSkipped(sound));
        }
        let warn = |warning: Warning, on_event: &mut dyn FnMut(Event)| {
            log::warn!("{id}: {warning}");
            on_event(Event::Warning(warning));
        };
        if let Some(warning) = live.udp_warning() {
            warn(warning, on_event);
        }
        self.receive(&mut live, intake, |taken, intake| {
            match taken {
                Taken::Unit { unit, new_format, first } => {
                    if new_format {
                        log::info!("{id}: {}", format_line(&unit.format));
                        on_event(Event::Format(Rc::clone(&unit.format)));
                    }
                    if first {
                        meter.on_streaming();
                        on_event(Event::Streaming);
                    }
                    meter.on_unit(&unit, intake.out_of_order());
                    hub.publish(&Rc::new(unit));
                }
                Taken::Skipped { lost_packets } => meter.on_skipped(lost_packets),
            }
            while let Some(warning) = intake.poll_warning() {
                warn(warning, on_event);
            }
        })
        .await
    }

    async fn watch(&mut self, least: Duration, most: Duration) -> Result<Report, Cause> {
        let mut live = self.connect().await?;
        let mut report = Report::new(shown_url(&self.settings.url), live.transport, live.tool(), &live.skipped);
        report.warnings.extend(live.udp_warning());
        let mut intake = Intake::new(false);
        let (enough, begun) = (Cell::new(false), Instant::now());
        let ended = {
            let mut watching = pin!(self.receive(&mut live, &mut intake, |taken, intake| {
                report.observe(&taken, intake.out_of_order());
                while let Some(warning) = intake.poll_warning() {
                    report.warnings.push(warning);
                }
                enough.set(report.key_frames() > 2 && begun.elapsed() >= least);
            }));
            let until_enough = poll_fn(|context| match watching.as_mut().poll(context) {
                Poll::Ready((cause, _)) => Poll::Ready(Some(cause)),
                Poll::Pending if enough.get() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            timeout(most, until_enough).await
        };
        match ended {
            Ok(Some(cause)) if report.is_empty() => Err(cause),
            _ => Ok(report),
        }
    }

    /// A session that plays, by the transport the camera accepts.
    async fn connect(&mut self) -> Result<Live, Cause> {
        let scheme = self.settings.url.scheme();
        if scheme != "rtsp" {
            return Err(Cause::SchemeUnsupported { scheme: scheme.to_owned() });
        }
        match self.settings.transport {
            TransportChoice::Tcp => self.open(Transport::Tcp).await,
            TransportChoice::Udp => self.open(Transport::Udp).await,
            TransportChoice::Auto => self.open_either().await,
        }
    }

    /// TCP, or UDP when the camera refuses TCP. Remembers that it did, until UDP fails as well.
    async fn open_either(&mut self) -> Result<Live, Cause> {
        if !self.refuses_tcp {
            match self.open(Transport::Tcp).await {
                Err(Cause::TransportRefused { .. }) => self.refuses_tcp = true,
                result => return result,
            }
            sleep(AFTER_REFUSED_TRANSPORT).await;
        }
        let result = self.open(Transport::Udp).await;
        self.refuses_tcp = !matches!(result, Err(Cause::TransportRefused { .. }));
        result
    }

    async fn open(&mut self, transport: Transport) -> Result<Live, Cause> {
        let answer_limit = self.settings.timeouts.answer;
        let mut session = self.describe(transport).await?;
        self.backoff.on_described();
        let Choice { video, mut audio, mut skipped } =
            describe::choose(session.streams(), self.settings.audio, &self.settings.host())?;
        if let Some(detail) = &self.broken_g711
            && let Some(sound) = audio.take_if(|sound| sound.format.codec != AudioCodec::Aac)
        {
            skipped.push(sound.skipped(SkipReason::Broken { detail: detail.clone() }));
        }
        self.set_up(&mut session, video, transport).await?;
        let mut format = None;
        if let Some(sound) = audio {
            match self.set_up(&mut session, sound.index, transport).await {
                Ok(()) => format = Some(sound.format),
                // A camera that refuses only its sound still has a picture to show.
                Err(Cause::NoReply { host, step }) => return Err(Cause::NoReply { host, step }),
                Err(cause) => {
                    skipped.push(sound.skipped(SkipReason::Refused { detail: cause.to_string() }));
                }
            }
        }
        let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        let playing = match timeout(answer_limit, session.play(options)).await {
            Ok(result) => result.map_err(|error| self.cause(Step::Play, transport, &error))?,
            Err(_) => return Err(self.no_reply(Step::Play)),
        };
        let frames = playing.demuxed().map_err(|error| self.cause(Step::Play, transport, &error))?;
        Ok(Live { frames, transport, video, audio: format, skipped })
    }

    async fn describe(&self, transport: Transport) -> Result<Session<Described>, Cause> {
        let creds = self.settings.credentials.as_ref().map(|known| retina::client::Credentials {
            username: known.username.clone(),
            password: known.password.clone(),
        });
        let options = SessionOptions::default()
            .creds(creds)
            .user_agent(concat!("Porthole/", env!("CARGO_PKG_VERSION")).to_owned())
            .session_group(Arc::clone(&self.group))
            .teardown(TeardownPolicy::Auto);
        let mut describe = pin!(Session::describe(self.settings.url.clone(), options));
        let answer = match timeout(self.settings.timeouts.connect, &mut describe).await {
            Ok(answer) => answer,
            Err(_) => {
                // retina connects and asks in one call: find out which of the two hangs.
                self.diagnose_connection().await?;
                timeout(self.settings.timeouts.answer, describe).await.map_err(|_| self.no_reply(Step::Describe))?
            }
        };
        answer.map_err(|error| self.cause(Step::Describe, transport, &error))
    }

    /// Why no connection came about; `Ok` when the port accepts one.
    async fn diagnose_connection(&self) -> Result<(), Cause> {
        let (host, port) = (self.settings.host(), self.settings.port());
        let bare = host.trim_matches(['[', ']']).to_owned();
        match timeout(DIAGNOSIS, tokio::net::lookup_host((bare.clone(), port))).await {
            Ok(Ok(_)) => {}
            _ => return Err(Cause::NameUnknown { host }),
        }
        match timeout(DIAGNOSIS, tokio::net::TcpStream::connect((bare, port))).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Cause::NoAnswer { host, port }),
        }
    }

    async fn set_up(&self, session: &mut Session<Described>, index: usize, transport: Transport) -> Result<(), Cause> {
        let options = SetupOptions::default().frame_format(FRAME_FORMAT).transport(match transport {
            Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
            Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
        });
        match timeout(self.settings.timeouts.answer, session.setup(index, options)).await {
            Ok(result) => result.map_err(|error| self.cause(Step::Setup, transport, &error)),
            Err(_) => Err(self.no_reply(Step::Setup)),
        }
    }

    /// Frames through the intake to `sink` until the session ends: why, and how long pictures flowed.
    async fn receive(
        &self,
        live: &mut Live,
        intake: &mut Intake,
        mut sink: impl FnMut(Taken, &mut Intake),
    ) -> (Cause, Duration) {
        let limits = self.settings.timeouts;
        intake.start_session(live.audio.clone());
        if let Some(video) = live.video_format() {
            intake.on_parameters(video);
        }
        let mut deadline = pin!(sleep_until(Instant::now() + limits.first_picture));
        let mut pictures: Option<(std::time::Instant, std::time::Instant)> = None;
        let mut heard = false;
        let mut batch = 0;
        let mut gathering = Gathering::default();
        let cause = loop {
            batch += 1;
            if batch % BATCH == 0 {
                future::yield_now().await;
            }
            let next = poll_fn(|context| {
                let begun = Instant::now();
                match Pin::new(&mut live.frames).poll_next(context) {
                    Poll::Ready(item) => Poll::Ready(Next::Item(item)),
                    Poll::Pending if gathering.is_endless(begun.elapsed()) => Poll::Ready(Next::EndlessPicture),
                    Poll::Pending => deadline.as_mut().poll(context).map(|()| Next::Deadline),
                }
            });
            let item = match next.await {
                Next::Item(Some(Ok(item))) => item,
                Next::Item(Some(Err(error))) => break self.cause(Step::Stream, live.transport, &error),
                Next::Item(None) => break Cause::ConnectionClosed { host: self.settings.host(), step: Step::Stream },
                Next::EndlessPicture => {
                    let detail = "a picture without end".to_owned();
                    break Cause::BrokenStream { host: self.settings.host(), detail };
                }
                Next::Deadline => {
                    let Some((_, last)) = pictures else { break self.no_picture(live.transport, heard) };
                    let limit = Instant::from_std(last) + limits.silence;
                    if Instant::now() >= limit {
                        break Cause::Silent { seconds: limits.silence.as_secs() };
                    }
                    // Not touched per picture: the timer is set anew at most once per silence limit.
                    deadline.as_mut().reset(limit);
                    continue;
                }
            };
            heard = true;
            let Some((frame, new_parameters)) = describe::frame(item) else { continue };
            if new_parameters && let Some(video) = live.video_format() {
                intake.on_parameters(video);
            }
            if frame.track == Track::Video {
                gathering = Gathering::default();
                pictures.get_or_insert((frame.received, frame.received)).1 = frame.received;
            }
            let taken = intake.take(frame);
            sink(taken, intake);
        };
        (cause, pictures.map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first)))
    }

    fn no_picture(&self, transport: Transport, heard: bool) -> Cause {
        let seconds = self.settings.timeouts.first_picture.as_secs();
        match transport {
            Transport::Udp if !heard => Cause::NoUdpPackets { seconds },
            _ => Cause::NoPicture { seconds },
        }
    }

    fn no_reply(&self, step: Step) -> Cause {
        Cause::NoReply { host: self.settings.host(), step }
    }

    fn cause(&self, step: Step, transport: Transport, error: &retina::Error) -> Cause {
        Cause::of(&self.settings, step, transport, error.status_code(), &error.to_string())
    }

    /// Waits until the camera let go of the last session, so that it never has two of ours.
    async fn await_teardown(&self) {
        if timeout(TEARDOWN_BEFORE_RECONNECT, self.group.await_teardown()).await.is_err() {
            log::debug!("{}: TEARDOWN not answered", self.settings.id);
        }
    }
}

fn format_line(format: &StreamFormat) -> String {
    let VideoFormat { codec, width, height, rfc6381, .. } = &format.video;
    let sound = format.audio.as_ref().map(|audio| format!(", {} {} Hz", audio.codec.name(), audio.sample_rate));
    format!("{} {width}x{height} ({rfc6381}){}", codec.name(), sound.unwrap_or_default())
}

/// `net.core.rmem_default`: retina cannot ask for a larger UDP receive buffer.
fn rmem_default() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/net/core/rmem_default").ok()?.trim().parse().ok()
}

/// A picture of which not all has arrived.
#[derive(Default)]
struct Gathering {
    waits: u32,
    /// Since memory was looked at last.
    waits_unchecked: u32,
    time_unchecked: Duration,
    /// Private memory when it was looked at first, bytes.
    memory: Option<u64>,
}

impl Gathering {
    /// Some more of the picture was read for `lasted`, and it is not complete: whether that goes too far.
    fn is_endless(&mut self, lasted: Duration) -> bool {
        self.waits += 1;
        self.waits_unchecked += 1;
        self.time_unchecked += lasted;
        if self.waits_unchecked >= WAITS_PER_CHECK || self.time_unchecked >= GATHERING_PER_CHECK {
            (self.waits_unchecked, self.time_unchecked) = (0, Duration::ZERO);
            let now = private_bytes();
            if now > *self.memory.get_or_insert(now) + GROWTH_PER_PICTURE {
                return true;
            }
        }
        self.waits > WAITS_PER_PICTURE
    }
}

/// Memory of the process that is neither file nor slot; 0 when the kernel does not say.
fn private_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split(' ').skip(1).map(|pages| pages.parse().unwrap_or(0_u64));
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    resident.saturating_sub(shared) * u64::try_from(page).unwrap_or(4096)
}
