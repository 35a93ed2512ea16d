//! A process that stands still for a while, such as a broker: SIGSTOP, and later SIGCONT.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::plan::{Shared, Timetable};
use crate::tally::Live;

/// How often it is looked whether the run is still on, and whether events settle again.
const LOOK: Duration = Duration::from_millis(1);

/// Which process, and when: counted from the end of the warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) process: u32,
    pub(crate) after: Duration,
    pub(crate) lasts: Duration,
}

/// A part of a run with an outage, by when events were due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Before,
    During,
    After,
}

/// What was seen of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Unix milliseconds.
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: u64,
    /// From the process's return to the next event that settled, if one did.
    pub(crate) flow_after: Option<Duration>,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }
}

impl Outage {
    pub(crate) fn phase(self, due: Instant, measure_from: Instant) -> Phase {
        let began = measure_from + self.after;
        match due {
            due if due < began => Phase::Before,
            due if due < began + self.lasts => Phase::During,
            _ => Phase::After,
        }
    }

    /// Makes it happen, on a thread of its own.
    pub(crate) fn start(self, shared: &Arc<Shared>, times: Timetable) -> Result<JoinHandle<Result<Seen>>> {
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new().name("outage".into());
        Ok(thread.spawn(move || self.happen(&shared, times))?)
    }

    fn happen(self, shared: &Shared, times: Timetable) -> Result<Seen> {
        let began = times.measure_from + self.after;
        let is_on = || shared.broken_off.get().is_none();
        wait(|| clock::now() >= began || !is_on());
        let stopped = Stopped::stop(self.process)?;
        let began_ms = clock::wall_ms();
        wait(|| clock::now() >= began + self.lasts || !is_on());
        let settled = || Live::get(&shared.live.acknowledged) + Live::get(&shared.live.refused);
        let before = settled();
        let (returned, ended_ms) = (clock::now(), clock::wall_ms());
        drop(stopped);
        wait(|| settled() > before || clock::now() >= times.give_up || !is_on());
        let flow_after = (settled() > before).then(|| clock::now() - returned);
        Ok(Seen { began_ms, ended_ms, flow_after })
    }
}

fn wait(is_over: impl Fn() -> bool) {
    while !is_over() {
        thread::sleep(LOOK);
    }
}

/// A process that stands still until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn stop(process: u32) -> Result<Self> {
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("--freeze {process}: no process has this number"))?;
        kill_process(pid, Signal::STOP).with_context(|| format!("--freeze {process}"))?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_belong_to_the_part_in_which_they_were_due() {
        let start = clock::now();
        let seconds = Duration::from_secs;
        let outage = Outage { process: 1, after: seconds(5), lasts: seconds(10) };
        let phase = |at| outage.phase(start + seconds(at), start);
        assert_eq!(
            [0, 4, 5, 14, 15].map(phase),
            [Phase::Before, Phase::Before, Phase::During, Phase::During, Phase::After]
        );
    }

    #[test]
    fn a_process_stands_still_and_goes_on() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
        };
        let stopped = Stopped::stop(child.id()).unwrap();
        wait(|| state() == 'T');
        drop(stopped);
        wait(|| state() == 'S');
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
