//! What a process costs, as the kernel counts it (proc(5)), and how many files this one may open.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A process to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// CPU time of all its threads so far, user and system; the kernel counts in hundredths of a second.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The name, in brackets, may contain anything; the rest are numbers from the third field on.
        let fields: Vec<_> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("/proc/PID/stat is not as proc(5) has it")?;
        // USER_HZ is 100 on every architecture that this runs on.
        Ok(Duration::from_millis((user + system) * 10))
    }

    /// Memory it holds now, in bytes: resident pages, without what the kernel holds for it.
    pub(crate) fn resident_bytes(self) -> Result<u64> {
        let status = self.read("status")?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("/proc/PID/status has no VmRSS")? * 1_024)
    }

    fn read(self, file: &str) -> Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0))
            .with_context(|| format!("process {} is not there", self.0))
    }
}

/// Raises the number of files that this process may have open as far as it is allowed to; says how many that is.
pub(crate) fn raise_open_files() -> u64 {
    let allowed = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: allowed.maximum, ..allowed };
    let is_raised = setrlimit(Resource::Nofile, raised).is_ok();
    (if is_raised { allowed.maximum } else { allowed.current }).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something() {
        let me = Process(std::process::id());
        assert!(me.resident_bytes().unwrap() > 100_000);
        assert!(me.cpu().unwrap() < Duration::from_secs(3_600));
        assert!(Process(u32::MAX).cpu().is_err());
    }
}
