//! The `tidegate` binary: everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use tidegate::cli::{self, Cli};

/// The same allocator serves librdkafka, which allocates on one thread and frees on another.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
