//! What clients see when others flood, Kafka is away, or the gateway is restarted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use super::figures::{CLIENTS, Figures, number};
use super::parts::{Bench, Gateway, TOPIC, loadtest, loadtest_beside, loadtest_until, post};
use crate::clock;
use crate::report::float;
use crate::usage::Process;

/// Clients that flood while Kafka is away, and how many events a second all of them send whatever their credit.
pub(crate) const FLOODS: u32 = 200;
pub(crate) const FLOOD_RATE: u32 = 20_000;
/// Clients that send little, and how many events a second all of them.
pub(crate) const CALM: u32 = 200;
pub(crate) const CALM_RATE: u32 = 2_000;
/// Clients of a gateway that is restarted.
pub(crate) const RESTARTED: u32 = 500;
/// What the gateway may hold while Kafka is away.
pub(crate) const CAP_MIB: u32 = 32;
/// Delivery modes, each with an outage of its own.
pub(crate) const MODES: [&str; 3] = ["direct", "spool", "failover"];

/// Measured before Kafka goes away.
const BEFORE_S: f64 = 5.0;
/// And once it is back.
const AFTER_S: f64 = 10.0;
/// How often a gateway is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// For the log to be forwarded once everybody has gone.
const FORWARD_PATIENCE: Duration = Duration::from_secs(60);
/// A request is tried at every so many looks.
const REQUEST_EVERY: u32 = 10;

/// A look at a gateway.
struct Look {
    at_ms: u64,
    resident_bytes: u64,
    is_ready: bool,
    /// A request's status, and how long its answer took.
    request: Option<(u16, Duration)>,
    /// Records that wait in the log for Kafka.
    lag: f64,
}

impl Figures {
    /// Calm clients alone and beside a flood, in turns.
    pub(super) fn fairness(&mut self, bench: &Bench) -> Result<()> {
        let gateway = bench.gateway("")?;
        let url = format!("https://{}", gateway.secure);
        let calm = format!(
            "run {url} --json --clients {CALM} --rate {CALM_RATE} --batch 1 --duration {} --warm-up 1",
            bench.args.seconds
        );
        // Over before the flood is.
        let flood = format!(
            "run {url} --json --clients 1 --ignore-credit --duration {} --warm-up 0",
            bench.args.seconds + 4.0
        );
        for round in 0..bench.args.pairs {
            let mut ways = [("calm alone", false), ("calm beside a flood", true)];
            if round % 2 == 1 {
                ways.reverse();
            }
            for (name, is_flooded) in ways {
                let seen = if is_flooded {
                    loadtest_beside(&flood, || {
                        gateway.wait_for_sessions(1)?;
                        loadtest(&calm)
                    })?
                    .1
                } else {
                    loadtest(&calm)?
                };
                for quantile in ["p50", "p99"] {
                    self.push(
                        &format!("{name}, {quantile}"),
                        number(&seen, &format!("/latency_ms/{quantile}"))?,
                    );
                }
            }
        }
        Ok(())
    }

    /// Kafka stands still for a while under load, in every delivery mode.
    pub(super) fn outages(&mut self, bench: &Bench) -> Result<()> {
        for mode in MODES {
            self.outage(bench, mode).with_context(|| format!("mode {mode}"))?;
        }
        Ok(())
    }

    fn outage(&mut self, bench: &Bench, mode: &str) -> Result<()> {
        let config = format!("delivery.mode = \"{mode}\"\nlimits.budget_bytes = \"{CAP_MIB}MiB\"");
        let gateway = bench.gateway(&config)?;
        let url = format!("https://{}", gateway.secure);
        let idle =
            format!("run {url} --json --clients {} --rate 0 --duration 600 --warm-up 0", FLOODS + CALM);
        let idle_bytes = loadtest_until(&idle, || {
            gateway.wait_for_sessions(FLOODS + CALM)?;
            Process(gateway.pid()).resident_bytes()
        })?;
        let (away, kafka) = (bench.args.outage, bench.kafka());
        let time = format!("--warm-up 2 --reconnect 60 --grace 60 --duration {}", BEFORE_S + away + AFTER_S);
        let flood = format!("run {url} --json --clients {FLOODS} --rate {FLOOD_RATE} --ignore-credit {time}");
        let calm = format!(
            "run {url} --json --clients {CALM} --rate {CALM_RATE} --batch 1 {time} \
             --freeze {kafka} --freeze-after {BEFORE_S} --freeze-for {away}"
        );
        let is_over = AtomicBool::new(false);
        let (looks, seen) = thread::scope(|scope| {
            let looks = scope.spawn(|| look_until(&gateway, &is_over));
            let seen = loadtest_beside(&flood, || loadtest(&calm));
            is_over.store(true, Ordering::Relaxed);
            (looks.join(), seen)
        });
        let looks = looks.map_err(|_| anyhow!("whoever looks at the gateway panicked"))??;
        let (flood, calm) = seen?;
        self.memory_of(mode, &looks, idle_bytes);
        self.times_of(mode, &looks, &calm)?;
        for phase in ["before", "during", "after"] {
            for quantile in ["p50", "p99", "p999"] {
                let at = number(&calm, &format!("/outage/{phase}/{quantile}"))?;
                self.push(&format!("{mode}: {phase} {quantile}"), at);
            }
        }
        self.notes.insert(format!("{mode}: calm told"), told(&calm));
        self.notes.insert(format!("{mode}: floods told"), told(&flood));
        let breaker = gateway.samples("tidegate_kafka_breaker_transitions_total")?;
        let breaker = breaker.iter().filter(|(_, count)| *count > 0.0);
        let breaker: Vec<_> = breaker.map(|(labels, count)| format!("{count} {}", label(labels))).collect();
        self.notes.insert(format!("{mode}: breaker"), breaker.join(", "));
        Ok(())
    }

    fn memory_of(&mut self, mode: &str, looks: &[Look], idle_bytes: u64) {
        let most = looks.iter().map(|look| look.resident_bytes).max().unwrap_or(0);
        let mib = float(most.saturating_sub(idle_bytes)) / f64::from(1 << 20);
        self.push(&format!("{mode}: memory MiB"), mib);
        self.push(&format!("{mode}: memory of cap"), mib / f64::from(CAP_MIB));
    }

    fn times_of(&mut self, mode: &str, looks: &[Look], calm: &Value) -> Result<()> {
        let [began, ended] = ["began_ms", "ended_ms"].map(|name| number(calm, &format!("/outage/{name}")));
        let (began, ended) = (began?, ended?);
        let after = |from: f64, is_ready: bool| {
            let mut later = looks.iter().filter(|look| float(look.at_ms) >= from);
            later.find(|look| look.is_ready == is_ready).map(|look| (float(look.at_ms) - from) / 1_000.0)
        };
        let not_ready = after(began, false);
        if let Some(seconds) = not_ready {
            self.push(&format!("{mode}: not ready after s"), seconds);
            let again = after(ended, true).context("the gateway is not ready again")?;
            self.push(&format!("{mode}: ready again after s"), again);
        }
        let noticed = began + not_ready.unwrap_or(0.0) * 1_000.0;
        let requests = looks.iter().filter(|look| (noticed..ended).contains(&float(look.at_ms)));
        let mut refused: Vec<f64> = requests
            .filter_map(|look| look.request)
            .filter(|(status, _)| *status == 503)
            .map(|(_, took)| took.as_secs_f64() * 1_000.0)
            .collect();
        refused.sort_by(f64::total_cmp);
        if let (Some(median), Some(most)) = (refused.get(refused.len() / 2), refused.last()) {
            self.push(&format!("{mode}: refused after ms"), *median);
            self.push(&format!("{mode}: refused after ms at most"), *most);
        }
        if looks.iter().any(|look| look.lag > 0.0) {
            let mut later = looks.iter().filter(|look| float(look.at_ms) >= ended);
            if let Some(done) = later.find(|look| look.lag == 0.0) {
                self.push(&format!("{mode}: forwarded after s"), (float(done.at_ms) - ended) / 1_000.0);
            }
        }
        self.push(&format!("{mode}: flow after ms"), number(calm, "/outage/flow_after_ms")?);
        Ok(())
    }

    /// What it costs to have an event in the log first, and to ask a rule.
    pub(super) fn modes(&mut self, bench: &Bench) -> Result<()> {
        let spool = bench.gateway("delivery.mode = \"spool\"")?;
        let direct = bench.gateway("")?;
        let rule = "keep = 'data.temperature > 20.0 && data.ok'";
        let filter =
            bench.gateway(&format!("[[routes]]\ntopic = \"{TOPIC}\"\n[[routes.filters]]\n{rule}"))?;
        for round in 0..bench.args.pairs {
            let mut modes = [("mode direct", &direct), ("mode spool", &spool), ("mode filter", &filter)];
            if round % 2 == 1 {
                modes.reverse();
            }
            for (name, gateway) in modes {
                let process = Process(gateway.pid());
                let before = process.cpu()?;
                let run = format!(
                    "run https://{} --json --clients {CLIENTS} --duration {} --warm-up 0",
                    gateway.secure, bench.args.seconds
                );
                let seen = loadtest(&run)?;
                // What it costs includes what is still to be done.
                while gateway.lag()? > 0.0 {
                    thread::sleep(LOOK);
                }
                let cpu = process.cpu()?.saturating_sub(before).as_secs_f64();
                self.push(name, number(&seen, "/acknowledged")? / cpu);
            }
        }
        Ok(())
    }

    /// Clients over a restart of their gateway.
    pub(super) fn restart(&mut self, bench: &Bench) -> Result<()> {
        const ROUNDS: u32 = 3;
        for _ in 0..bench.args.pairs.min(ROUNDS) {
            let mut gateway = bench.gateway("")?;
            let run = format!(
                "run https://{} --json --clients {RESTARTED} --rate {CALM_RATE} --batch 1 --duration 14 --warm-up 1 \
                 --reconnect 30 --verify --allow-duplicates --brokers {} --topic {TOPIC}",
                gateway.secure, bench.brokers
            );
            let (seen, stopped_after) = loadtest_beside(&run, || {
                gateway.wait_for_sessions(RESTARTED)?;
                thread::sleep(Duration::from_secs(3));
                let stopped_after = gateway.stop()?;
                gateway.start_again()?;
                Ok(stopped_after)
            })?;
            self.push("restart: s to end", stopped_after.as_secs_f64());
            for (name, place) in [
                ("first back s", "/came_back/first_s"),
                ("median back s", "/came_back/median_s"),
                ("last back s", "/came_back/last_s"),
                ("most at once", "/came_back/most_at_once"),
                ("lost", "/verified/lost"),
                ("doubled", "/verified/duplicates"),
            ] {
                self.push(&format!("restart: {name}"), number(&seen, place)?);
            }
        }
        Ok(())
    }
}

/// Looks at a gateway again and again.
fn look_until(gateway: &Gateway, is_over: &AtomicBool) -> Result<Vec<Look>> {
    let mut looks = Vec::new();
    let mut until_request = 0;
    let mut forwards_until = None;
    loop {
        // What the log took may be on its way for longer than clients are there.
        if is_over.load(Ordering::Relaxed) {
            let until = *forwards_until.get_or_insert_with(|| clock::now() + FORWARD_PATIENCE);
            if looks.last().is_none_or(|look: &Look| look.lag == 0.0) || clock::now() >= until {
                break;
            }
        }
        let at_ms = clock::wall_ms();
        let resident_bytes = Process(gateway.pid()).resident_bytes()?;
        let is_ready = gateway.is_ready();
        let mut request = None;
        // While it is ready but Kafka hangs, an answer would take long.
        if !is_ready && until_request == 0 {
            let asked_at = clock::now();
            request = Some((post(gateway.plain)?, clock::now() - asked_at));
            until_request = REQUEST_EVERY;
        }
        until_request = until_request.saturating_sub(1);
        looks.push(Look { at_ms, resident_bytes, is_ready, request, lag: gateway.lag()? });
        thread::sleep(LOOK);
    }
    Ok(looks)
}

/// The reasons that clients were told, with how often.
fn told(seen: &Value) -> String {
    let reasons = seen.get("reasons").and_then(Value::as_object);
    let told = reasons.into_iter().flatten().map(|(reason, count)| format!("`{reason}` {count}"));
    told.collect::<Vec<_>>().join(", ")
}

/// The value of the only label: `open` of `{to="open"}`.
fn label(labels: &str) -> &str {
    labels.split('"').nth(1).unwrap_or(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: u64, is_ready: bool, request_ms: Option<u64>) -> Look {
        let request = request_ms.map(|ms| (503, Duration::from_millis(ms)));
        Look { at_ms, resident_bytes: at_ms << 20, is_ready, request, lag: if is_ready { 0.0 } else { 1.0 } }
    }

    #[test]
    fn times_are_counted_from_the_beginning_and_the_end_of_the_outage() {
        let looks = [
            look(500, false, Some(900)),
            look(1_000, true, None),
            look(3_500, false, Some(2)),
            look(6_000, false, Some(4)),
            look(9_400, true, None),
        ];
        let calm = serde_json::json!({
            "outage": { "began_ms": 1_000, "ended_ms": 9_000, "flow_after_ms": 70.0 },
            "reasons": { "broker": 3 },
        });
        let mut figures = Figures::default();
        figures.times_of("m", &looks, &calm).unwrap();
        figures.memory_of("m", &looks, 9_368 << 20);
        let median = |name: &str| format!("{:.1}", figures.get(&format!("m: {name}")).median());
        assert_eq!([median("not ready after s"), median("ready again after s")], ["2.5", "0.4"]);
        assert_eq!([median("refused after ms"), median("refused after ms at most")], ["4.0", "4.0"]);
        assert_eq!([median("forwarded after s"), median("flow after ms")], ["0.4", "70.0"]);
        assert_eq!([median("memory MiB"), median("memory of cap")], ["32.0", "1.0"]);
        assert_eq!(told(&calm), "`broker` 3");
        assert_eq!(label("{to=\"open\"}"), "open");
    }
}
