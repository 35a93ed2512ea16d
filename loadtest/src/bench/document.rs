//! `docs/benchmarks.md`, from what was measured.

use std::fmt::Write as _;
use std::process::Command;

use super::BenchArgs;
use super::figures::{FEW, Figures, IDLE, MANY, SHARED_RATE};
use super::latency::{LOADS, LOW_RATE, Load, Way};
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

fn section(title: &str, about: &str) -> String {
    format!("\n## {title}\n\n{about}\n\n")
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    line(&head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// Median and range, with so many digits behind the point.
fn cell(series: &Series, digits: usize) -> String {
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
