//! A load generator for Tidegate: many clients, every event counted.
//!
//! `cli` reads what is wanted, `run` starts threads of clients, each a `session` or `requests`; `verify` holds the topic
//! against what the clients were told, `report` says it.

mod bench;
mod cli;
mod clock;
mod flight;
mod link;
mod outage;
mod pacer;
mod payload;
mod plan;
mod produce;
mod progress;
mod report;
mod requests;
mod run;
mod schedule;
mod session;
mod tally;
mod target;
mod topic;
mod usage;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::cli::{Cli, Command};

/// As the gateway has it, so that librdkafka is the same in both.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Run(args) => {
            let (json, allow_duplicates) = (args.json, args.allow_duplicates);
            let report = args.run()?;
            say(&if json { serde_json::to_string_pretty(&report)? + "\n" } else { report.table() })?;
            let faults = report.faults(allow_duplicates);
            faults.iter().for_each(|fault| eprintln!("loadtest: {fault}"));
            Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Produce(args) => {
            say(&(serde_json::to_string_pretty(&args.run()?)? + "\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(args) => args.run().map(|()| ExitCode::SUCCESS),
    }
}

/// Prints to standard output.
fn say(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
