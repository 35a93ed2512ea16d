//! What is said in the end: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::outage::{self, Phase};
use crate::run::{Outcome, Window};
use crate::tally::Live;
use crate::verify::Verdict;

/// Everything that a run showed. The names are those of the JSON, told in `docs/loadtest.md`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) run: String,
    pub(crate) carrier: String,
    pub(crate) clients: u32,
    pub(crate) batch: u32,
    pub(crate) rate: Option<f64>,
    pub(crate) unacknowledged: bool,
    pub(crate) sent: u64,
    pub(crate) sent_again: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) unsettled: u64,
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) breaks: u64,
    pub(crate) came_back: Option<CameBack>,
    pub(crate) failed_clients: u64,
    pub(crate) failures: Vec<String>,
    pub(crate) broken_off: Option<String>,
    pub(crate) window: Measured,
    pub(crate) latency_ms: Option<Latency>,
    pub(crate) outage: Option<Outage>,
    pub(crate) verified: Option<Verdict>,
    pub(crate) not_verified: Option<String>,
}

/// The measured part of the run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) events: u64,
    pub(crate) events_per_second: f64,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) events_per_cpu_second: Option<f64>,
    pub(crate) resident_mib: Option<f64>,
    pub(crate) resident_before_mib: Option<f64>,
}

/// From the time an event was due to its answer, in milliseconds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) events: u64,
    /// Of them without an answer; they count as old as they were in the end.
    pub(crate) missed: u64,
}

/// An outage that the run made, and the latencies of what was due before, in and after it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outage {
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: u64,
    pub(crate) flow_after_ms: Option<f64>,
    pub(crate) before: Option<Latency>,
    pub(crate) during: Option<Latency>,
    pub(crate) after: Option<Latency>,
}

/// When clients whose connections broke had another, in seconds from the first break on.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CameBack {
    pub(crate) times: usize,
    pub(crate) first_s: f64,
    pub(crate) median_s: f64,
    pub(crate) last_s: f64,
    /// The most within any tenth of a second.
    pub(crate) most_at_once: usize,
}

impl Report {
    /// Adds everything up. `verified` is what the topic has, if it was asked for.
    pub(crate) fn new(outcome: &Outcome, verified: Result<Option<Verdict>>) -> Self {
        let Outcome { shared, tally, window, .. } = outcome;
        let [sent, acknowledged, refused] =
            [&shared.live.sent, &shared.live.acknowledged, &shared.live.refused].map(Live::get);
        let plan = &shared.plan;
        let (verified, not_verified) = match verified {
            Ok(verified) => (verified, None),
            Err(why) => (None, Some(format!("{why:#}"))),
        };
        Self {
            run: plan.run.clone(),
            carrier: plan.carrier.to_string(),
            clients: plan.clients,
            batch: plan.batch,
            rate: plan.rate(),
            sent,
            sent_again: tally.sent_again,
            acknowledged,
            refused,
            unsettled: if plan.unacknowledged { 0 } else { sent.saturating_sub(acknowledged + refused) },
            refusals: tally.refusals.clone(),
            statuses: tally.statuses.clone(),
            reasons: tally.reasons.clone(),
            breaks: tally.breaks,
            came_back: CameBack::of(&tally.broke_at, &tally.back_at),
            failed_clients: tally.failed_clients,
            failures: tally.failures.clone(),
            broken_off: shared.broken_off.get().cloned(),
            window: Measured::new(window, outcome.resident_before, plan.unacknowledged),
            latency_ms: Latency::of(tally),
            outage: outcome.outage.map(|seen| Outage::of(seen, tally)),
            verified,
            not_verified,
            unacknowledged: plan.unacknowledged,
        }
    }

    /// What is wrong, one line each; empty: every event sent was acknowledged or refused, and is where it should be, once
    /// and in order unless the contrary is allowed.
    pub(crate) fn faults(&self, allow_duplicates: bool) -> Vec<String> {
        let mut faults: Vec<String> =
            self.broken_off.iter().map(|why| format!("the run broke off: {why}")).collect();
        if self.failed_clients > 0 {
            faults.push(format!("{} clients gave up: {}", self.failed_clients, self.failures.join("; ")));
        }
        if self.unsettled > 0 {
            faults.push(format!("{} events were neither acknowledged nor refused", self.unsettled));
        }
        if self.acknowledged + self.refused > self.sent {
            faults.push("more was acknowledged and refused than was sent".into());
        }
        if let Some(why) = &self.not_verified {
            faults.push(format!("the topic was not verified: {why}"));
        }
        if let Some(verdict) = self.verified.filter(|verdict| !verdict.is_complete()) {
            faults.push(format!(
                "{} acknowledged events are missing, {} refused ones are there, {} were never sent",
                verdict.lost, verdict.refused_but_there, verdict.never_sent
            ));
            if verdict.records == 0 && self.acknowledged > 0 {
                faults.push(
                    "nothing at all has come to the topic: does the gateway write to it, and to these brokers?"
                        .into(),
                );
            }
        }
        if let Some(verdict) = self.verified.filter(|verdict| !allow_duplicates && !verdict.is_in_order()) {
            faults.push(format!(
                "{} duplicates and {} events out of order in the topic: where the gateway was killed there may be some, \
                 and --allow-duplicates allows them",
                verdict.duplicates, verdict.out_of_order
            ));
        }
        faults
    }

    fn outage_rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if let Some(Outage { flow_after_ms, before, during, after, .. }) = &self.outage {
            let flow =
                flow_after_ms.map_or("nothing settled".into(), |ms| format!("settled after {ms:.0} ms"));
            rows.push(("back again", flow));
            for (phase, latency) in Phase::ALL.into_iter().zip([before, during, after]) {
                if let Some(Latency { p50, p99, p999, .. }) = latency {
                    rows.push((phase.name(), format!("p50 {p50:.2}, p99 {p99:.2}, p99.9 {p999:.2} ms")));
                }
            }
        }
        if !self.reasons.is_empty() {
            let told = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}"));
            rows.push(("held back", told.collect::<Vec<_>>().join(", ")));
        }
        if let Some(CameBack { times, first_s, last_s, most_at_once, .. }) = self.came_back {
            let spread =
                format!("{times} times, {first_s:.1} to {last_s:.1} s, {most_at_once} within 0.1 s at most");
            rows.push(("came back", spread));
        }
        rows
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![
            (
                "load",
                format!("{} clients over {}, {} events at a time", self.clients, self.carrier, self.batch),
            ),
            ("sent", format!("{} events, {} of them again", self.sent, self.sent_again)),
            (
                "acknowledged",
                if self.unacknowledged { "not asked for".into() } else { self.acknowledged.to_string() },
            ),
            ("refused", counted(self.refused, &self.refusals)),
            ("unsettled", self.unsettled.to_string()),
        ];
        if self.breaks > 0 || !self.statuses.is_empty() {
            rows.push(("breaks", counted(self.breaks, &self.statuses)));
        }
        let window = &self.window;
        rows.push((
            "throughput",
            format!("{:.0} events/s over {:.1} s", window.events_per_second, window.seconds),
        ));
        rows.extend(self.outage_rows());
        if let Some(latency) = &self.latency_ms {
            let Latency { p50, p90, p99, p999, max, missed, .. } = latency;
            rows.push((
                "latency, ms",
                format!("p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2}"),
            ));
            rows.push(("missed", missed.to_string()));
        }
        if let (Some(cpu), Some(rate)) = (window.cpu_seconds, window.events_per_cpu_second) {
            rows.push(("cpu", format!("{cpu:.2} s, {rate:.0} events per CPU-second")));
        }
        if let Some(resident) = window.resident_mib {
            rows.push(("memory", format!("{resident:.1} MiB resident")));
        }
        if let Some(why) = &self.not_verified {
            rows.push(("verified", format!("no: {why}")));
        }
        if let Some(Verdict { records, lost, duplicates, out_of_order, .. }) = self.verified {
            let found = format!(
                "{records} records: {lost} lost, {duplicates} duplicates, {out_of_order} out of order"
            );
            rows.push(("verified", found));
        }
        rows.into_iter().fold(String::new(), |mut table, (name, value)| {
            let _ = writeln!(table, "{name:<14}{value}");
            table
        })
    }
}

impl Measured {
    fn new(window: &Window, resident_before: Option<u64>, unacknowledged: bool) -> Self {
        let count = if unacknowledged { window.sent } else { window.acknowledged };
        let events = window.observed.unwrap_or(count);
        let per = |seconds: f64| if seconds > 0.0 { float(events) / seconds } else { 0.0 };
        Self {
            seconds: window.seconds,
            events,
            events_per_second: per(window.seconds),
            cpu_seconds: window.cpu_seconds,
            events_per_cpu_second: window.cpu_seconds.map(per),
            resident_mib: window.resident_bytes.map(mib),
            resident_before_mib: resident_before.map(mib),
        }
    }
}

impl Latency {
    pub(crate) fn of(tally: &crate::tally::Tally) -> Option<Self> {
        Self::over(&tally.latency, tally.missed)
    }

    fn over(latency: &Histogram<u64>, missed: u64) -> Option<Self> {
        let at = |quantile: f64| float(latency.value_at_quantile(quantile)) / 1_000.0;
        (!latency.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: float(latency.max()) / 1_000.0,
            events: latency.len(),
            missed,
        })
    }
}

impl Outage {
    fn of(seen: outage::Seen, tally: &crate::tally::Tally) -> Self {
        let [before, during, after] = Phase::ALL.map(|phase| {
            let part = tally.phase(phase)?;
            Latency::over(&part.latency, part.missed)
        });
        let flow_after_ms = seen.flow_after.map(|after| after.as_secs_f64() * 1_000.0);
        Self { began_ms: seen.began_ms, ended_ms: seen.ended_ms, flow_after_ms, before, during, after }
    }
}

impl CameBack {
    fn of(broke_at: &[Instant], back_at: &[Instant]) -> Option<Self> {
        const AT_ONCE_S: f64 = 0.1;
        let first = broke_at.iter().min()?;
        let mut seconds: Vec<f64> = back_at.iter().map(|at| (*at - *first).as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        let within = |from: &f64| seconds.iter().filter(|at| (*from..from + AT_ONCE_S).contains(*at)).count();
        Some(Self {
            times: seconds.len(),
            first_s: *seconds.first()?,
            median_s: *seconds.get(seconds.len() / 2)?,
            last_s: *seconds.last()?,
            most_at_once: seconds.iter().map(within).max()?,
        })
    }
}

fn counted<K: std::fmt::Display>(count: u64, by: &BTreeMap<K, u64>) -> String {
    let parts: Vec<_> = by.iter().map(|(what, count)| format!("{count} {what}")).collect();
    if parts.is_empty() { count.to_string() } else { format!("{count} ({})", parts.join(", ")) }
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

fn mib(bytes: u64) -> f64 {
    float(bytes) / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_json_is_documented() {
        let report = Report {
            latency_ms: Some(Latency::default()),
            outage: Some(Outage::default()),
            came_back: Some(CameBack::default()),
            verified: Some(Verdict::default()),
            ..Report::default()
        };
        let document = include_str!("../../docs/loadtest.md");
        let mut open = vec![serde_json::to_value(report).unwrap()];
        while let Some(serde_json::Value::Object(members)) = open.pop() {
            for (name, value) in members {
                assert!(document.contains(&format!("`{name}`")), "{name}");
                if value.is_object() {
                    open.push(value);
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_what_is_right_is_not() {
        let faults = |report: Report| report.faults(false);
        let right = || Report { sent: 5, acknowledged: 4, refused: 1, breaks: 2, ..Report::default() };
        let verified = |verdict| Report { verified: Some(verdict), ..right() };
        let duplicates = Verdict { duplicates: 3, out_of_order: 2, ..Verdict::default() };
        assert_eq!(faults(right()), <[String; 0]>::default());
        assert_eq!(verified(duplicates).faults(true), <[String; 0]>::default());
        for (verdict, said) in [
            (duplicates, "3 duplicates and 2 events out of order"),
            (Verdict { duplicates: 1, ..Verdict::default() }, "1 duplicates and 0 events out of order"),
            (Verdict { out_of_order: 1, ..Verdict::default() }, "0 duplicates and 1 events out of order"),
        ] {
            let found = faults(verified(verdict));
            assert!(found.len() == 1 && found.concat().starts_with(said), "{found:?}");
        }
        let lost = faults(verified(Verdict { lost: 1, ..Verdict::default() }));
        assert!(lost.concat().starts_with("1 acknowledged events are missing"), "{lost:?}");
        assert_eq!(faults(Report { unsettled: 1, ..right() }).len(), 1);
        assert_eq!(faults(Report { acknowledged: 5, ..right() }).len(), 1);
        assert_eq!(faults(Report { broken_off: Some("interrupted".into()), ..right() }).len(), 1);
        assert_eq!(faults(Report { not_verified: Some("Kafka is away".into()), ..right() }).len(), 1);
        assert_eq!(faults(Report { failed_clients: 1, ..right() }).len(), 1);
    }
}
