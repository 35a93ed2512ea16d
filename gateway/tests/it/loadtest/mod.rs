//! The load generator, which the figures and proofs of others rest on: that it counts right, and that it can fail.

mod counts;
mod faults;
mod gate;
mod produce;
mod wrong;

use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::gateway::PATIENCE;

/// A `loadtest` process.
pub struct Loadtest {
    child: Child,
    output: std::fs::File,
    errors: std::fs::File,
}

/// How it ended.
pub struct Ended {
    pub status: Option<i32>,
    pub output: String,
    pub errors: String,
}

impl Loadtest {
    /// Starts `loadtest` with arguments that have no spaces in them.
    pub fn start(arguments: &str) -> Self {
        Self::start_by(Command::new(binary()), arguments)
    }

    /// The same where only `count` files may be open, unless the process asks for more.
    pub fn start_with_few_files(count: u64, arguments: &str) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={count}:")).arg(binary());
        Self::start_by(command, arguments)
    }

    fn start_by(mut command: Command, arguments: &str) -> Self {
        let [output, errors] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let child = command
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(errors.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self { child, output, errors }
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "did not end in time: {}", text(&mut self.errors));
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Ended { status: status.code(), output: text(&mut self.output), errors: text(&mut self.errors) }
    }
}

impl Drop for Loadtest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The JSON that it printed.
    pub fn report(&self) -> Report {
        let report = serde_json::from_str(&self.output);
        Report(report.unwrap_or_else(|error| panic!("{error}: {}{}", self.output, self.errors)))
    }

    /// The report of a run without faults.
    pub fn faultless(&self) -> Report {
        assert_eq!((self.status, self.errors.as_str()), (Some(0), ""), "{}", self.output);
        self.report()
    }

    /// The only line of one that could not start.
    pub fn only_line(&self) -> &str {
        assert_eq!(self.status, Some(2), "{}{}", self.output, self.errors);
        assert_eq!((self.output.as_str(), self.errors.lines().count()), ("", 1), "{}", self.errors);
        self.errors.trim_end()
    }
}

/// What it printed, by the names of `docs/loadtest.md`.
pub struct Report(pub Value);

impl Report {
    /// A count, such as `sent` or `verified.lost`.
    pub fn count(&self, name: &str) -> u64 {
        let value = name.split('.').fold(&self.0, |value, name| &value[name]);
        value.as_u64().unwrap_or_else(|| panic!("`{name}` is no count in {:#}", self.0))
    }

    /// Holds it to its own equation.
    pub fn assert_accounted(&self) {
        let settled = self.count("acknowledged") + self.count("refused");
        assert_eq!(self.count("sent"), settled + self.count("unsettled"), "{:#}", self.0);
    }

    /// Everything that was sent was acknowledged, and is in the topic once and in order.
    pub fn assert_complete(&self, sent: u64) {
        self.assert_accounted();
        assert_eq!((self.count("sent"), self.count("acknowledged")), (sent, sent), "{:#}", self.0);
        assert_eq!(self.count("verified.records"), sent, "{:#}", self.0);
        for fault in
            ["lost", "duplicates", "out_of_order", "refused_but_there", "never_sent", "unacknowledged"]
        {
            assert_eq!(self.count(&format!("verified.{fault}")), 0, "{fault} of {:#}", self.0);
        }
    }
}

/// Runs it to its end.
pub async fn loadtest(arguments: &str) -> Ended {
    Loadtest::start(arguments).ended().await
}

/// It is built beside the gateway.
fn binary() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_tidegate")).with_file_name("loadtest");
    assert!(binary.exists(), "{} is not there: `cargo build --workspace --bins` builds it", binary.display());
    binary
}

fn text(file: &mut std::fs::File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
