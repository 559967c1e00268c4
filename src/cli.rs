//! The command line: arguments in, one `Action` or a usage error out.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::config::Transport;

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run the gateway.
    Run {
        /// `--config`.
        config: PathBuf,
        /// `--board`.
        board: Option<PathBuf>,
        /// `--log`.
        log: Option<log::LevelFilter>,
    },
    /// Print everything that is wrong with a configuration.
    Check {
        /// `--config`.
        config: PathBuf,
        /// `--board`.
        board: Option<PathBuf>,
    },
    /// Connect to a camera once and say what it sends.
    Probe {
        /// The camera's address.
        url: String,
        /// `--username`.
        username: Option<String>,
        /// `--password-file`; `-` is standard input.
        password_file: Option<PathBuf>,
        /// `--transport`.
        transport: Transport,
    },
    /// Note how a run ended that could not do so itself.
    NoteEnd,
    /// Run the gateway on a built-in camera.
    Demo {
        /// `--listen`.
        listen: std::net::SocketAddr,
        /// `--log`.
        log: Option<log::LevelFilter>,
    },
    /// Write the files that follow from every board's profile.
    BoardRender {
        /// `--dir`.
        dir: PathBuf,
        /// `--check`: compare only.
        check: bool,
    },
    /// Print the help of a command, or of the program.
    Help(&'static str),
    /// Print the version.
    Version,
}

/// The arguments make no sense.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// An option is unknown, lacks its value, or the value is wrong.
    #[error("{0}")]
    Option(#[from] lexopt::Error),
    /// The first word is no command.
    #[error("there is no command {0:?}; try: run, check, probe, demo, board")]
    Command(String),
    /// Something that the command needs is missing.
    #[error("porthole {0} needs {1}")]
    Missing(&'static str, &'static str),
    /// A value is not one of those allowed.
    #[error("{option} is {value:?}; it must be {allowed}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// This build has no demo camera.
    #[error("this build has no demo camera (feature `demo`)")]
    NoDemo,
}

/// `porthole --help`.
pub const HELP: &str = "\
Porthole: RTSP cameras in; HLS for every player and WebRTC for sub-second viewing out.

Usage: porthole <COMMAND> [OPTIONS]

Commands:
  run    Run the gateway with a configuration file
  check  Print everything that is wrong with a configuration file
  probe  Connect to a camera once and say what it sends and where it plays
  demo   Run the gateway on a built-in camera; needs nothing else
  board  Write the files that follow from the boards' profiles, for whoever builds firmware

Options:
  -h, --help     This help; after a command, the help of that command
  -V, --version  The version
";

const HELP_RUN: &str = "\
Run the gateway.

Usage: porthole run --config FILE [--board FILE] [--log LEVEL]

Options:
  -c, --config FILE  The configuration (TOML); `configs/porthole.toml` documents every key
      --board FILE   The board's limits (TOML); without it, limits from the machine found
      --log LEVEL    error, warn, info, debug or trace; info when absent, or the variable PORTHOLE_LOG

Signals: SIGHUP re-reads the configuration and restarts only what changed; SIGTERM and SIGINT end it.
";

const HELP_CHECK: &str = "\
Print everything that is wrong with a configuration, and exit with 1 if anything is.

Usage: porthole check --config FILE [--board FILE]
";

const HELP_PROBE: &str = "\
Connect to a camera once and print its streams, codecs, frame rate, key frames, bitrate, and where it plays.

Usage: porthole probe rtsp://HOST/PATH [--username NAME --password-file FILE] [--transport auto|tcp|udp]

Options:
      --username NAME       The camera's user; may also stand in the URL
      --password-file FILE  A file that holds the password; `-` reads it from standard input
      --transport KIND      auto (default), tcp or udp
";

const HELP_DEMO: &str = "\
Run the gateway on a built-in camera, and print the address to open in a browser.

Usage: porthole demo [--listen ADDRESS:PORT] [--log LEVEL]

Options:
      --listen ADDRESS:PORT  Where to listen; 127.0.0.1:8107 when absent
";

const HELP_BOARD: &str = "\
Write the files that follow from every board's profile: limits for the daemon, the kernel and systemd.

Usage: porthole board render [--check] [--dir FOLDER]

Options:
      --check       Write nothing; name each file that is not what its profile says, and exit with 1 if there is any
      --dir FOLDER  Holds a folder with a profile.toml for each board; `board` when absent
";

const HELP_NOTE_END: &str = "\
Note how a run ended that could not do so itself, for the status and the log of the next one.

Usage: ExecStopPost=/usr/bin/porthole note-end

Reads what systemd sets for it: STATE_DIRECTORY, SERVICE_RESULT and EXIT_STATUS.
";

/// Reads the arguments (without the program's own name).
///
/// # Errors
/// When they make no sense, in a sentence for the person who typed them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, UsageError> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let command = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Action::Help(HELP)),
        Some(Short('V') | Long("version")) => return Ok(Action::Version),
        Some(Value(command)) => command.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "run" | "check" => parse_run(parser, command == "run"),
        "probe" => parse_probe(parser),
        "demo" => parse_demo(parser),
        "board" => parse_board(parser),
        "note-end" => parse_note_end(parser),
        "help" => Ok(Action::Help(HELP)),
        _ => Err(UsageError::Command(command)),
    }
}

fn parse_run(mut parser: lexopt::Parser, runs: bool) -> Result<Action, UsageError> {
    let (mut config, mut board, mut log) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Action::Help(if runs { HELP_RUN } else { HELP_CHECK })),
            Short('c') | Long("config") => config = Some(PathBuf::from(parser.value()?)),
            Long("board") => board = Some(PathBuf::from(parser.value()?)),
            Long("log") if runs => log = Some(parse_level(&mut parser)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let command = if runs { "run" } else { "check" };
    let config = config.ok_or(UsageError::Missing(command, "--config FILE"))?;
    Ok(if runs { Action::Run { config, board, log } } else { Action::Check { config, board } })
}

fn parse_probe(mut parser: lexopt::Parser) -> Result<Action, UsageError> {
    let (mut url, mut username, mut password_file, mut transport) = (None, None, None, Transport::Auto);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Action::Help(HELP_PROBE)),
            Long("username") => username = Some(parser.value()?.string()?),
            Long("password-file") => password_file = Some(PathBuf::from(parser.value()?)),
            Long("transport") => {
                let value = parser.value()?.string()?;
                transport = match value.as_str() {
                    "auto" => Transport::Auto,
                    "tcp" => Transport::Tcp,
                    "udp" => Transport::Udp,
                    _ => {
                        let allowed = "auto, tcp or udp";
                        return Err(UsageError::Value { option: "--transport", value, allowed });
                    }
                };
            }
            Value(value) if url.is_none() => url = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let url = url.ok_or(UsageError::Missing("probe", "the camera's address: rtsp://HOST/PATH"))?;
    Ok(Action::Probe { url, username, password_file, transport })
}

fn parse_demo(mut parser: lexopt::Parser) -> Result<Action, UsageError> {
    let (mut listen, mut log) = (std::net::SocketAddr::from(([127, 0, 0, 1], 8107)), None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Action::Help(HELP_DEMO)),
            Long("log") => log = Some(parse_level(&mut parser)?),
            Long("listen") => {
                let value = parser.value()?.string()?;
                let allowed = "an address with a port, e.g. 0.0.0.0:8107";
                listen = value.parse().map_err(|_| UsageError::Value { option: "--listen", value, allowed })?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if cfg!(feature = "demo") { Ok(Action::Demo { listen, log }) } else { Err(UsageError::NoDemo) }
}

fn parse_board(mut parser: lexopt::Parser) -> Result<Action, UsageError> {
    let (mut render, mut check, mut dir) = (false, false, PathBuf::from("board"));
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Action::Help(HELP_BOARD)),
            Long("check") => check = true,
            Long("dir") => dir = PathBuf::from(parser.value()?),
            Value(value) if !render && value == "render" => render = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if render {
        Ok(Action::BoardRender { dir, check })
    } else {
        Err(UsageError::Missing("board", "what to do: render"))
    }
}

fn parse_note_end(mut parser: lexopt::Parser) -> Result<Action, UsageError> {
    match parser.next()? {
        None => Ok(Action::NoteEnd),
        Some(Short('h') | Long("help")) => Ok(Action::Help(HELP_NOTE_END)),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn parse_level(parser: &mut lexopt::Parser) -> Result<log::LevelFilter, UsageError> {
    let value = parser.value()?.string()?;
    let allowed = "error, warn, info, debug or trace";
    value.parse().map_err(|_| UsageError::Value { option: "--log", value, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Action, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_and_their_options_are_read() {
        let run =
            Action::Run { config: "a.toml".into(), board: Some("b.toml".into()), log: Some(log::LevelFilter::Debug) };
        assert_eq!(parsed("run --config a.toml --board=b.toml --log debug"), Ok(run));
        assert_eq!(parsed("check -c a.toml"), Ok(Action::Check { config: "a.toml".into(), board: None }));
        assert_eq!(
            parsed("probe rtsp://h/1 --transport udp"),
            Ok(Action::Probe {
                url: "rtsp://h/1".to_owned(),
                username: None,
                password_file: None,
                transport: Transport::Udp
            })
        );
        assert_eq!(parsed("board render"), Ok(Action::BoardRender { dir: "board".into(), check: false }));
        let check = Action::BoardRender { dir: "b".into(), check: true };
        assert_eq!(parsed("board render --check --dir b"), Ok(check));
        assert_eq!(parsed(""), Ok(Action::Help(HELP)));
        assert_eq!(parsed("run --help"), Ok(Action::Help(HELP_RUN)));
        assert_eq!(parsed("--version"), Ok(Action::Version));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(parsed("run"), Err("porthole run needs --config FILE".to_owned()));
        assert_eq!(parsed("runn"), Err("there is no command \"runn\"; try: run, check, probe, demo, board".to_owned()));
        assert_eq!(parsed("board --check"), Err("porthole board needs what to do: render".to_owned()));
        assert_eq!(parsed("board draw"), Err("unexpected argument \"draw\"".to_owned()));
        assert_eq!(parsed("check -c a --log info"), Err("invalid option '--log'".to_owned()));
        assert_eq!(
            parsed("demo --listen 8107"),
            Err("--listen is \"8107\"; it must be an address with a port, e.g. 0.0.0.0:8107".to_owned())
        );
        assert_eq!(parsed("run --config"), Err("missing argument for option '--config'".to_owned()));
    }
}
