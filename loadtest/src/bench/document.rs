//! `docs/benchmarks.md`, from what was measured.

use std::fmt::Write as _;
use std::process::Command;

use super::BenchArgs;
use super::figures::{FEW, Figures, IDLE, MANY, SHARED_RATE};
use super::latency::{LOADS, LOW_RATE, Load, Way};
use super::outages::{CALM, CALM_RATE, CAP_MIB, FLOOD_RATE, FLOODS, MODES, RESTARTED};
use super::series::Series;

/// The whole document; parts that were not measured are left out.
pub(crate) fn write(figures: &Figures, args: &BenchArgs) -> String {
    let mut text = format!(
        "# Benchmarks\n\nMade by `make bench`; do not edit. Every figure is the median of {} rounds, with the smallest and the largest in\n\
         brackets. Ratios are taken round by round, so a machine that is slower for a while does not change them. Events are\n\
         200-byte JSON, alike but for their names and numbers, so they compress well for everybody; CPU is of the process alone.\n\n{}\n",
        args.pairs,
        circumstances(args)
    );
    if figures.get("producer").len() > 0 {
        text += &cost(figures);
    }
    if figures.get("highest rate").len() > 0 {
        text += &latency(figures);
    }
    if figures.get("websocket KiB").len() > 0 {
        text += &memory(figures);
    }
    if figures.get(&format!("{MANY} connections us")).len() > 0 {
        text += &connections(figures);
    }
    if figures.get("mode spool").len() > 0 {
        text += &modes(figures);
    }
    if figures.get("calm alone, p99").len() > 0 {
        text += &fairness(figures);
    }
    text += &outages(figures, args);
    if figures.get("restart: s to end").len() > 0 {
        text += &restart(figures);
    }
    if figures.get("start ms").len() > 0 {
        text += &section(
            "Start",
            "From the start of the process, on the embedded log, to the first 200 of `/readyz`.",
        );
        text += &table(&["", "ms"], &[vec!["ready after".into(), cell(&figures.get("start ms"), 1)]]);
    }
    text
}

fn circumstances(args: &BenchArgs) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, model)| model));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let version = Command::new(&args.gateway).arg("--version").output().ok();
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let script = std::fs::read_to_string(&args.kafka).unwrap_or_default();
    let kafka = script.lines().find_map(|line| line.strip_prefix("version=")).unwrap_or("of unknown version");
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let rows = [
        (
            "machine",
            format!(
                "{} with {cores} cores, which clients, gateway and Kafka share",
                model.unwrap_or("unknown")
            ),
        ),
        ("gateway", format!("{version}, release build, default configuration but for addresses")),
        ("Kafka", format!("Apache Kafka {kafka}, one node, a topic of 8 partitions")),
        ("librdkafka", format!("{librdkafka}; idempotent, acks=all, lz4, linger.ms 5 (the gateway: at most, see below)")),
        ("allocator", "jemalloc in the gateway, the clients and the bare producer, glibc's in the service compared with".into()),
        (
            "each measurement",
            format!("{} s after 1 s of warm-up; rounds run forwards and backwards in turn", args.seconds),
        ),
    ];
    rows.iter().fold("| | |\n|---|---|\n".to_owned(), |mut table, (name, value)| {
        let _ = writeln!(table, "| {name} | {value} |");
        table
    })
}

fn cost(figures: &Figures) -> String {
    let get = |name: &str| figures.get(name);
    let producer = get("producer");
    let mut text = section(
        "Cost of an event",
        "Events per CPU-second of the process, acknowledged by Kafka, as fast as credit allows (32 clients; 256 with one\n\
         event at a time). What counts is what arrived in the topic; a run with an event refused, or acknowledged and missing,\n\
         has no figure. `librdkafka alone` is a bare producer of the same bytes: no network in front of it, no TLS, no\n\
         envelope, no keys; the row below it has keys, and records of the size that a completed CloudEvent has.\n\n![CPU for each event](benchmarks.svg)\n\nSingle requests, ten times as dear, are in the tables alone.",
    );
    let row = |label: &str, name: &str| {
        let series = get(name);
        vec![label.into(), cell(&series, 0), cell(&series.over(&producer), 3)]
    };
    let rows = [
        row("librdkafka alone", "producer"),
        row("the same with records as the gateway writes them", "producer of completed events"),
        row("WebSocket with TLS, 64 events a frame", "websocket 64"),
        row("WebTransport, 64", "webtransport 64"),
        row("QUIC, 64", "quic 64"),
        row("HTTPS, 64 a request", "https 64"),
        row("WebSocket with TLS, 1 event a frame", "websocket 1"),
        row("WebTransport, 1", "webtransport 1"),
        row("QUIC, 1", "quic 1"),
        row("HTTPS, 1 a request", "https 1"),
    ];
    text += &table(&["", "events/CPU-s", "of librdkafka alone"], &rows);
    text += "\nAgainst the service that a team would write itself ([24 lines](../loadtest/baselines/src/main.rs) of axum and\n\
             `FutureProducer`, which looks at nothing it passes on), both without TLS, NDJSON bodies:\n\n";
    let versus = |label: &str, ours: &str, theirs: &str| {
        let (ours, theirs) = (get(ours), get(theirs));
        vec![label.into(), cell(&ours, 0), cell(&theirs, 0), cell(&ours.over(&theirs), 2)]
    };
    let rows = [versus("bodies of 100", "http 100", "axum 100"), versus("bodies of 1", "http 1", "axum 1")];
    text += &table(&["", "gateway, events/CPU-s", "axum, events/CPU-s", "ratio"], &rows);
    text += "\nWhat acknowledging costs: the same frames over WebSocket, acknowledged and lossy, both at half speed\n(at full speed nothing would hold lossy events back, and some would be dropped).\n\n";
    let acknowledged = get("acknowledged at a pace");
    let forgotten = get("unacknowledged at a pace");
    let rows = [vec![cell(&acknowledged, 0), cell(&forgotten, 0), cell(&acknowledged.over(&forgotten), 2)]];
    text += &table(&["acknowledged, events/CPU-s", "lossy, events/CPU-s", "ratio"], &rows);
    text += "\nWhat adaptive batching costs at full speed: the default, and `linger.ms` fixed at 5.\n\n";
    let fixed = get("websocket 64 fixed linger");
    let adaptive = get("websocket 64");
    let rows = [vec![cell(&adaptive, 0), cell(&fixed, 0), cell(&adaptive.over(&fixed), 2)]];
    text + &table(&["adaptive, events/CPU-s", "fixed, events/CPU-s", "ratio"], &rows)
}

fn latency(figures: &Figures) -> String {
    let mut text = section(
        "Latency",
        &format!(
            "From the time an event is due to its acknowledgement (open loop). Directly means a librdkafka producer in the place of\n\
             the clients: the same keys, and as many events at the same times; linger.ms is 5 in both. Kafka has half of the cores\n\
             to itself, clients and gateway share the others, where they reach {} events/s; busy is how much of those cores is used.",
            grouped(figures.get("highest rate").median())
        ),
    );
    let loads =
        LOADS.iter().flat_map(|load| ["p50", "p99"].map(|quantile| latency_row(figures, *load, quantile)));
    let head =
        ["ms, at this share of it", "", "directly", "busy, %", "through the gateway", "busy, %", "added"];
    text += &table(&head, &loads.collect::<Vec<_>>());
    let _ = write!(
        text,
        "\nAt {LOW_RATE} events/s, where nothing is worth waiting for: the gateway with default settings, and a producer that never\nlingers.\n\n"
    );
    let rows = ["p50", "p99"].map(|quantile| {
        let direct = figures.get(&format!("low rate, direct, {quantile}"));
        let gateway = figures.get(&format!("low rate, gateway, {quantile}"));
        vec![quantile.into(), cell(&direct, 2), cell(&gateway, 2), cell(&gateway.minus(&direct), 2)]
    });
    text + &table(&["ms", "directly", "through the gateway", "added"], &rows)
}

fn latency_row(figures: &Figures, load: Load, quantile: &str) -> Vec<String> {
    let get = |way, what: &str| figures.get(&load.series(way, what));
    let (direct, gateway) = (get(Way::Direct, quantile), get(Way::Gateway, quantile));
    let busy = |way| format!("{:.0}", get(way, "busy %").median());
    vec![
        load.name.into(),
        quantile.into(),
        cell(&direct, 2),
        busy(Way::Direct),
        cell(&gateway, 2),
        busy(Way::Gateway),
        cell(&gateway.minus(&direct), 2),
    ]
}

fn memory(figures: &Figures) -> String {
    let how = if figures.kernel_included {
        "with the kernel's objects for it, by the gateway's control group"
    } else {
        "without what the kernel holds, by the gateway's resident pages"
    };
    let about = format!("Of each of {IDLE} sessions that say nothing, {how}.");
    let rows = [
        vec!["WebSocket with TLS".into(), cell(&figures.get("websocket KiB"), 1)],
        vec!["WebTransport".into(), cell(&figures.get("webtransport KiB"), 1)],
    ];
    section("Memory of an idle connection", &about) + &table(&["", "KiB"], &rows)
}

fn connections(figures: &Figures) -> String {
    let about = format!(
        "CPU of the gateway for each event: {SHARED_RATE} events/s in all, one a frame, over WebSocket with TLS."
    );
    let few = figures.get(&format!("{FEW} connections us"));
    let many = figures.get(&format!("{MANY} connections us"));
    let rows = [vec![cell(&few, 1), cell(&many, 1), cell(&many.over(&few), 2)]];
    let (few, many) = (format!("{FEW} connections, us"), format!("{MANY} connections, us"));
    section("Many connections", &about) + &table(&[&few, &many, "ratio"], &rows)
}

fn modes(figures: &Figures) -> String {
    let about = "Events per CPU-second as above, acknowledged by Kafka (`direct`) or by the log (`spool`), 64 events a frame over WebSocket\n\
                 with TLS; and as `direct` with a filter `data.temperature > 20.0 && data.ok`, which keeps them all. The CPU is all of it, from the first event to the last one's being in Kafka.";
    let direct = figures.get("mode direct");
    let rows = ["direct", "spool", "filter"].map(|mode| {
        let figure = figures.get(&format!("mode {mode}"));
        let ratio = if mode == "direct" { String::new() } else { cell(&figure.over(&direct), 2) };
        vec![
            if mode == "filter" { "`direct` with a filter".into() } else { format!("`{mode}`") },
            cell(&figure, 0),
            ratio,
        ]
    });
    section("Delivery modes and rules", about) + &table(&["", "events per CPU-second", "of `direct`"], &rows)
}

fn fairness(figures: &Figures) -> String {
    let about = format!(
        "Latency of {CALM} calm clients, {CALM_RATE} events/s in all, one a frame, over WebSocket with TLS: alone, and beside one\n\
         client that sends as fast as it can without heeding credit. It uses cores that everybody shares, too."
    );
    let rows = ["p50", "p99"].map(|quantile| {
        let alone = figures.get(&format!("calm alone, {quantile}"));
        let beside = figures.get(&format!("calm beside a flood, {quantile}"));
        vec![quantile.into(), cell(&alone, 2), cell(&beside, 2), cell(&beside.over(&alone), 2)]
    });
    section("Fairness", &about) + &table(&["ms", "alone", "beside a flood", "ratio"], &rows)
}

fn outages(figures: &Figures, args: &BenchArgs) -> String {
    let modes: Vec<_> =
        MODES.into_iter().filter(|mode| figures.get(&format!("{mode}: flow after ms")).len() > 0).collect();
    if modes.is_empty() {
        return String::new();
    }
    let about = format!(
        "Kafka stands still (SIGSTOP) for {} s, under {FLOODS} clients that send {FLOOD_RATE} events/s in all, whatever their credit, and\n\
         {CALM} calm ones ({CALM_RATE} events/s in all, one a frame), with `limits.budget_bytes` of {CAP_MIB} MiB, in each delivery mode.\n\
         Without a log (`direct`) nothing is acknowledged meanwhile. Memory is the most resident pages above what the gateway\n\
         holds with as many idle clients. What clients were told holds their credit back is in the last rows, with how often.",
        args.outage
    );
    let head: Vec<&str> = std::iter::once("").chain(modes.iter().copied()).collect();
    let figure = |label: &str, name: &str, digits| {
        let cells = modes.iter().map(|mode| cell(&figures.get(&format!("{mode}: {name}")), digits));
        std::iter::once(label.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let note = |label: &str, name: &str| {
        let note = |mode| figures.notes.get(&format!("{mode}: {name}")).cloned().unwrap_or_default();
        std::iter::once(label.to_owned()).chain(modes.iter().map(note)).collect::<Vec<_>>()
    };
    let mut rows = vec![
        figure("memory, MiB", "memory MiB", 1),
        figure("memory, of the cap", "memory of cap", 2),
        figure("not ready after, s", "not ready after s", 2),
        figure("503 for a request then, ms, median", "refused after ms", 2),
        figure("503 for a request then, ms, longest", "refused after ms at most", 2),
        figure("events settle again after Kafka's return, ms", "flow after ms", 0),
        figure("what the log took is in Kafka after it, s", "forwarded after s", 2),
        figure("ready again after it, s", "ready again after s", 2),
    ];
    for (phase, quantile) in
        ["before", "during", "after"].iter().flat_map(|phase| ["p50", "p99", "p999"].map(|at| (phase, at)))
    {
        let label = format!("ms to the acknowledgement, due {phase}, {}", quantile.replace("p999", "p99.9"));
        rows.push(figure(&label, &format!("{phase} {quantile}"), 1));
    }
    rows.push(note("calm clients were told", "calm told"));
    rows.push(note("flooding ones", "floods told"));
    rows.push(note("the breaker's transitions", "breaker"));
    section("Kafka away", &about) + &table(&head, &rows)
}

fn restart(figures: &Figures) -> String {
    let about = format!(
        "The gateway is stopped (SIGTERM) under {RESTARTED} clients with {CALM_RATE} events/s in all, and started again. When clients\n\
         were connected again is counted from the first that was asked to leave; the default is that each is at a moment of its own\n\
         within 1 s, and waits 0.5 to 5.5 s. Every event was read back: lost is what was acknowledged and is missing."
    );
    let row = |label: &str, name: &str, digits| {
        vec![label.into(), cell(&figures.get(&format!("restart: {name}")), digits)]
    };
    let rows = [
        row("stopped after, s", "s to end", 2),
        row("clients back, first, s", "first back s", 2),
        row("half of them, s", "median back s", 2),
        row("last, s", "last back s", 2),
        row("the most of them within 0.1 s", "most at once", 0),
        row("events lost", "lost", 0),
        row("events doubled", "doubled", 0),
    ];
    section("Restart", &about) + &table(&["", ""], &rows)
}

fn section(title: &str, about: &str) -> String {
    format!("\n## {title}\n\n{about}\n\n")
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    line(&head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// Median and range, with so many digits behind the point; a dash for what did not happen.
fn cell(series: &Series, digits: usize) -> String {
    if series.len() == 0 {
        return "-".into();
    }
    let (low, high) = series.range();
    let text = |value: f64| if digits == 0 { grouped(value) } else { format!("{value:.digits$}") };
    format!("**{}** ({} to {})", text(series.median()), text(low), text(high))
}

/// 1234567 as 1,234,567.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_the_median_and_its_range() {
        let mut series = Series::default();
        [1_234_567.0, 999.0, 2_000_000.0].into_iter().for_each(|value| series.push(value));
        assert_eq!(cell(&series, 0), "**1,234,567** (999 to 2,000,000)");
        let mut series = Series::default();
        series.push(0.25);
        assert_eq!(cell(&series, 2), "**0.25** (0.25 to 0.25)");
    }
}
