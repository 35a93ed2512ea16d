//! The `tidegate` binary: everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use tidegate::cli::{self, Cli};

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
