//! The command line: what can be asked for, one file for each command.

mod blame;
mod certs;
mod check;
mod explain;
mod health;
mod serve;
pub mod tail;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::config::{ConfigError, Loaded};

/// Takes events from browsers and devices over WebTransport, QUIC, WebSocket and HTTPS into Kafka or a log of its own,
/// and acknowledges them once they are durable.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate", version)]
pub struct Cli {
    /// The configuration; without it everything has its default.
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT. This is what happens without a command.
    Serve,
    /// Prints the events of the embedded log.
    Tail(tail::TailArgs),
    /// Says whether the configuration is right, and if not, what is wrong where.
    Check,
    /// Says what the rules cost and what they would do with events, without sending any.
    Explain(explain::ExplainArgs),
    /// Asks the gateway that runs by this configuration how it is: 0 if it answers well, 1 if not.
    Health(health::HealthArgs),
    /// Makes a certificate for development.
    Certs(certs::CertsArgs),
    /// Makes a token, and prints it with the lines that admit it.
    Token(token::TokenArgs),
}

/// Does what was asked for. Blocks until it is done.
pub fn run(cli: Cli) -> Result<()> {
    let loaded = || Loaded::read(cli.config.as_deref());
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&loaded()?),
        Command::Tail(args) => tail::run(args, &loaded()?.config),
        Command::Check => check::run(&loaded()?, cli.config.as_deref()),
        Command::Explain(args) => explain::run(&args, &loaded()?.config),
        Command::Health(args) => health::run(&args, &loaded()?.config),
        Command::Certs(args) => certs::run(&args, wall_clock()),
        Command::Token(args) => token::run(&args),
    }
}

/// Says on standard error why it could not be done, in one line; a configuration's report is as long as it has to be.
/// The exit status is 78 (`EX_CONFIG`) for the configuration and 1 for everything else. (A command line that does not
/// parse ends with 2 before it comes to this.)
pub fn report(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<ConfigError>() {
        Some(ConfigError::Invalid { report }) => eprintln!("{report}"),
        Some(unreadable) => eprintln!("tidegate: {unreadable}"),
        None => eprintln!("tidegate: {}", in_one_line(error)),
    }
    ExitCode::from(if error.is::<ConfigError>() { 78 } else { 1 })
}

/// The error and its causes, each said once: many messages have their cause in them.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| {
        if line.contains(&cause) {
            line
        } else if line.is_empty() {
            cause
        } else {
            format!("{line}: {cause}")
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "certificates are dated by the wall clock")]
fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::deliver::log::Cursor;

    #[test]
    fn each_cause_is_said_once() {
        let error = Cursor::end(std::path::Path::new("/nowhere/log")).context("is it there?").unwrap_err();
        assert_eq!(
            in_one_line(&error),
            "is it there?: the log: cannot list /nowhere/log: No such file or directory (os error 2)"
        );
        let error = anyhow::anyhow!("the cause").context("the matter");
        assert_eq!(in_one_line(&error), "the matter: the cause");
    }
}
