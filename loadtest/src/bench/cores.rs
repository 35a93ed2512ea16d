//! Who may run on which cores: latency is measured with Kafka on cores of its own, as it runs elsewhere in earnest.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Kafka on one half of the cores, this process and those it starts from now on the other; undone when dropped.
pub(crate) struct Split {
    all: Vec<usize>,
    kafka: u32,
    /// Of clients and gateway.
    ours: Vec<usize>,
}

/// How much of the time cores were busy since they were looked at.
pub(crate) struct Load<'a> {
    cores: &'a [usize],
    before: Times,
}

/// Ticks of a number of cores.
#[derive(Clone, Copy, Default)]
struct Times {
    idle: u64,
    all: u64,
}

impl Split {
    /// Splits the cores that this process has; `None` where it has but one.
    pub(crate) fn new(kafka: u32) -> Result<Option<Self>> {
        let all = allowed()?;
        let (theirs, ours) = all.split_at(all.len() / 2);
        if theirs.is_empty() {
            return Ok(None);
        }
        let split = Self { all: all.clone(), kafka, ours: ours.to_vec() };
        pin(kafka, theirs)?;
        pin(std::process::id(), ours)?;
        Ok(Some(split))
    }

    /// Begins to watch the cores of clients and gateway.
    pub(crate) fn load(&self) -> Result<Load<'_>> {
        Ok(Load { cores: &self.ours, before: times(&self.ours)? })
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        for process in [self.kafka, std::process::id()] {
            // A process that has gone has no cores.
            let _ = pin(process, &self.all);
        }
    }
}

impl Load<'_> {
    /// From 0 to 1.
    pub(crate) fn busy(&self) -> Result<f64> {
        let now = times(self.cores)?;
        let (idle, all) = (now.idle - self.before.idle, now.all - self.before.all);
        Ok(1.0 - crate::report::float(idle) / crate::report::float(all.max(1)))
    }
}

/// The cores that this process may run on (proc(5)).
fn allowed() -> Result<Vec<usize>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    numbers(list.context("/proc/self/status has no Cpus_allowed_list")?.trim())
}

/// The numbers of a list such as `0-3,8`.
fn numbers(list: &str) -> Result<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let bound = |text: &str| text.parse::<usize>().with_context(|| format!("cores {list}"));
        numbers.extend(bound(from)?..=bound(to)?);
    }
    Ok(numbers)
}

/// All threads of a process, and what it starts from now on.
fn pin(process: u32, cores: &[usize]) -> Result<()> {
    let list = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", &list, &process.to_string()]);
    let status = command.stdout(Stdio::null()).status().context("cannot start taskset (util-linux)")?;
    if !status.success() {
        bail!("taskset cannot give cores {list} to process {process}");
    }
    Ok(())
}

fn times(cores: &[usize]) -> Result<Times> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let lines = stat.lines().filter(|line| {
        let name = line.split_whitespace().next().and_then(|name| name.strip_prefix("cpu"));
        name.and_then(|number| number.parse().ok()).is_some_and(|number: usize| cores.contains(&number))
    });
    Ok(lines
        .map(line)
        .fold(Times::default(), |sum, one| Times { idle: sum.idle + one.idle, all: sum.all + one.all }))
}

/// `cpuN user nice system idle iowait irq softirq steal guest ...`; guests are in user already.
fn line(line: &str) -> Times {
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    Times { idle: ticks.iter().skip(3).take(2).sum(), all: ticks.iter().sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_has_numbers_and_ranges() {
        assert_eq!(numbers("0-2,5,7-8").unwrap(), [0, 1, 2, 5, 7, 8]);
        assert_eq!(numbers("3").unwrap(), [3]);
        assert!(numbers("all").is_err());
    }

    #[test]
    fn idle_cores_and_those_that_wait_for_a_disk_are_not_busy() {
        let times = line("cpu1 10 1 5 70 10 1 2 1 9 0");
        assert_eq!((times.idle, times.all), (80, 100));
    }

    #[test]
    fn this_process_has_cores() {
        let cores = allowed().unwrap();
        assert!(times(&cores).unwrap().all > 0, "{cores:?}");
    }
}
