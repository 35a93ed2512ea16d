//! What was seen: counts for the progress bar while it runs, and a histogram of each thread for the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::outage::{Outage, Phase};
use crate::plan::Timetable;
use crate::schedule::Schedule;

/// The longest latency that is told apart, in microseconds: ten minutes.
const LATENCY_MAX_US: u64 = 600_000_000;

/// Counts over all threads.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) connected: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Clients that are through, well or not.
    pub(crate) ended: AtomicU64,
}

impl Live {
    /// Adds to one of the counts.
    pub(crate) fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }

    /// One of the counts now.
    pub(crate) fn get(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// What one thread, and in the end all of them, saw.
pub(crate) struct Tally {
    /// Microseconds from the time an event was due to its acknowledgement, within the window.
    pub(crate) latency: Histogram<u64>,
    /// Events of the window that had no answer in the end; the histogram has them at their age.
    pub(crate) missed: u64,
    /// Events that had been sent before.
    pub(crate) sent_again: u64,
    /// Connections that ended before they should.
    pub(crate) breaks: u64,
    /// Refused events by their code.
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Of a run with an outage: its parts by themselves, by [`Phase`].
    phases: Vec<Part>,
    /// How often clients were told another reason for less credit, by its name.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// When connections broke, and when their clients had another.
    pub(crate) broke_at: Vec<Instant>,
    pub(crate) back_at: Vec<Instant>,
    /// Requests answered with another status than success.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// What became of each client's numbers.
    pub(crate) clients: Vec<ClientTally>,
    /// What clients had no answer for when they ended.
    unanswered: Vec<Unanswered>,
    /// Why clients gave up; the first few.
    pub(crate) failures: Vec<String>,
    pub(crate) failed_clients: u64,
}

/// What was seen of the events that were due in one part of a run with an outage.
#[derive(Clone)]
pub(crate) struct Part {
    /// As in [`Tally::latency`].
    pub(crate) latency: Histogram<u64>,
    /// As in [`Tally::missed`].
    pub(crate) missed: u64,
}

/// The numbers of one client in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientTally {
    pub(crate) client: u32,
    /// The highest number sent.
    pub(crate) highest: u64,
    /// Everything up to here is settled.
    pub(crate) upto: u64,
    /// Numbers up to `upto` that were refused.
    pub(crate) refused: Vec<u64>,
}

/// What one client owed in the end.
struct Unanswered {
    /// Frames on their way: when each was due, and with how many events.
    open: Vec<(Instant, u64)>,
    /// What was still to come.
    schedule: Option<Schedule>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            latency: histogram(),
            phases: Vec::new(),
            reasons: BTreeMap::new(),
            broke_at: Vec::new(),
            back_at: Vec::new(),
            missed: 0,
            sent_again: 0,
            breaks: 0,
            refusals: BTreeMap::new(),
            statuses: BTreeMap::new(),
            clients: Vec::new(),
            unanswered: Vec::new(),
            failures: Vec::new(),
            failed_clients: 0,
        }
    }

    /// `count` events that were due then are answered now.
    pub(crate) fn answered(&mut self, due: Instant, now: Instant, count: u64) {
        self.latency.saturating_record_n(micros(now.saturating_duration_since(due)), count);
    }

    /// The same for an event of a run with an outage.
    pub(crate) fn answered_in(&mut self, phase: Option<Phase>, due: Instant, now: Instant, count: u64) {
        self.answered(due, now, count);
        if let Some(part) = phase.and_then(|phase| self.part(phase)) {
            part.latency.saturating_record_n(micros(now.saturating_duration_since(due)), count);
        }
    }

    /// The same for one that never was answered.
    fn missed_in(&mut self, phase: Option<Phase>, due: Instant, now: Instant, count: u64) {
        self.missed += count;
        self.answered_in(phase, due, now, count);
        if let Some(part) = phase.and_then(|phase| self.part(phase)) {
            part.missed += count;
        }
    }

    /// A part of a run with an outage.
    pub(crate) fn phase(&self, phase: Phase) -> Option<&Part> {
        self.phases.get(phase as usize)
    }

    fn part(&mut self, phase: Phase) -> Option<&mut Part> {
        self.phases.resize_with(Phase::ALL.len(), Part::new);
        self.phases.get_mut(phase as usize)
    }

    /// A client ends without an answer for these frames, and with what was still to come.
    pub(crate) fn unanswered(&mut self, open: Vec<(Instant, u64)>, schedule: Option<Schedule>) {
        self.unanswered.push(Unanswered { open, schedule });
    }

    /// The run is over now, perhaps before its time: what was due by then and never answered counts as old as it is.
    pub(crate) fn close(&mut self, times: Timetable, batch: u64, now: Instant, outage: Option<Outage>) {
        let end = times.end.min(now);
        let window = times.measure_from..end;
        for Unanswered { open, schedule } in std::mem::take(&mut self.unanswered) {
            let unmet = schedule.into_iter().flat_map(|schedule| schedule.unmet(end)).map(|due| (due, batch));
            for (due, count) in open.into_iter().chain(unmet).filter(|(due, _)| window.contains(due)) {
                let phase = outage.map(|outage| outage.phase(due, times.measure_from));
                self.missed_in(phase, due, now, count);
            }
        }
    }

    /// A client gave up.
    pub(crate) fn failed(&mut self, why: String) {
        self.failed_clients += 1;
        if self.failures.len() < 3 && !self.failures.contains(&why) {
            self.failures.push(why);
        }
    }

    /// Adds what another thread saw.
    pub(crate) fn merge(&mut self, other: Self) {
        // Both were made with the same bounds.
        let _ = self.latency.add(&other.latency);
        self.phases.resize_with(self.phases.len().max(other.phases.len()), Part::new);
        for (mine, theirs) in self.phases.iter_mut().zip(&other.phases) {
            let _ = mine.latency.add(&theirs.latency);
            mine.missed += theirs.missed;
        }
        self.broke_at.extend(other.broke_at);
        self.back_at.extend(other.back_at);
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        self.missed += other.missed;
        self.sent_again += other.sent_again;
        self.breaks += other.breaks;
        self.failed_clients += other.failed_clients;
        self.clients.extend(other.clients);
        self.unanswered.extend(other.unanswered);
        self.failures.extend(other.failures);
        self.failures.dedup();
        self.failures.truncate(3);
        other.refusals.into_iter().for_each(|(code, count)| *self.refusals.entry(code).or_default() += count);
        other
            .statuses
            .into_iter()
            .for_each(|(status, count)| *self.statuses.entry(status).or_default() += count);
    }
}

impl Part {
    fn new() -> Self {
        Self { latency: histogram(), missed: 0 }
    }
}

#[expect(clippy::expect_used, reason = "the bounds are constants that the library takes")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("bounds of a histogram")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).clamp(1, LATENCY_MAX_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn what_threads_saw_adds_up_and_what_was_missed_counts_as_late() {
        let times = timetable(100);
        let due = times.measure_from;
        let (mut one, mut two) = (Tally::new(), Tally::new());
        one.answered(due, due + Duration::from_millis(500), 3);
        two.unanswered(vec![(due, 1)], None);
        two.failed("no".into());
        one.merge(two);
        one.close(times, 1, due + Duration::from_secs(60), None);
        assert_eq!((one.latency.len(), one.missed, one.failed_clients), (4, 1, 1));
        assert!(one.latency.max() >= 60_000_000);
    }

    #[test]
    fn a_run_that_ends_early_has_missed_what_was_due_by_then() {
        let times = timetable(100);
        let mut tally = Tally::new();
        // A frame of 10 each second, from the warm-up of 10 seconds on; nothing was ever answered.
        let schedule = Schedule::new(times.start, Some(Duration::from_secs(1)), 0.0, None);
        tally.unanswered(Vec::new(), Some(schedule));
        tally.close(times, 10, times.start + Duration::from_secs(20), None);
        assert_eq!(tally.missed, 100);
        let age = |quantile| tally.latency.value_at_quantile(quantile) / 1_000_000;
        assert_eq!((age(0.01), age(0.5), age(1.0)), (1, 5, 10));
    }

    #[test]
    fn what_an_outage_left_unanswered_is_missed_in_the_part_in_which_it_was_due() {
        let times = timetable(30);
        let seconds = Duration::from_secs;
        let outage = Outage { process: 0, after: seconds(10), lasts: seconds(10) };
        let at = |second| times.measure_from + seconds(second);
        let mut tallies = [2, 3].map(|count| {
            let mut tally = Tally::new();
            tally.answered_in(Some(Phase::During), at(11), at(21), 5);
            tally.unanswered(vec![(at(12), count), (at(25), 1)], None);
            tally
        });
        let [one, two] = &mut tallies;
        one.merge(std::mem::replace(two, Tally::new()));
        one.close(times, 1, at(60), Some(outage));
        let missed = Phase::ALL.map(|phase| one.phase(phase).unwrap().missed);
        assert_eq!((missed, one.missed), ([0, 5, 2], 7));
        // A thread that has closed its own is added up as well.
        let mut all = Tally::new();
        all.merge(std::mem::replace(one, Tally::new()));
        let during = all.phase(Phase::During).unwrap();
        assert_eq!((during.missed, during.latency.len()), (5, 15));
    }

    /// A warm-up of ten seconds, then so many.
    fn timetable(seconds: u64) -> Timetable {
        let start = clock::now();
        let measure_from = start + Duration::from_secs(10);
        let end = measure_from + Duration::from_secs(seconds);
        Timetable { start, measure_from, end, give_up: end }
    }
}
