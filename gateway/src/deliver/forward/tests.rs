//! The forwarder, a step at a time.

mod given;
mod holes;
mod topics;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::deliver::testing::{Kafka, end, now, open_log, store, until};
use crate::record::testing::structured as records;
use crate::ticket::testing::ticket;

struct Bench {
    home: TempDir,
    log: Arc<Log>,
    kafka: Arc<Kafka>,
    series: ForwardSeries,
    forwarder: Forwarder,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::of(TempDir::new().unwrap(), Kafka::up(true))
    }

    fn of(home: TempDir, kafka: Arc<Kafka>) -> Self {
        let log = Arc::new(open_log(home.path()));
        let series = ForwardSeries::default();
        let forwarder = Forwarder::new(Arc::clone(&log), kafka.clone(), series.clone()).unwrap();
        Self { home, log, kafka, series, forwarder, now: now() }
    }

    /// As after a kill, if nothing is persisted in between: the same directory and Kafka, all else anew.
    fn restarted(self) -> Self {
        let Self { home, log, kafka, forwarder, .. } = self;
        kafka.lose();
        end(&log);
        drop((log, forwarder));
        Self::of(home, kafka)
    }

    fn store(&self, values: impl IntoIterator<Item = u32>) {
        store(&self.log, &records(values.into_iter().map(|n| n.to_string())));
    }

    /// Steps and delivers until Kafka has the whole log.
    fn run(&mut self) {
        until(|| {
            self.step();
            self.kafka.deliver(usize::MAX);
            self.step();
            self.forwarder.has_all()
        });
    }

    fn step(&mut self) -> bool {
        self.now += Duration::from_millis(20);
        self.forwarder.step(self.now)
    }

    fn delivered(&self) -> Vec<u32> {
        self.kafka.delivered().iter().map(|value| value.parse().unwrap()).collect()
    }

    fn segments(&self) -> usize {
        segments(self.home.path()).len()
    }
}

/// In order.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "segment")).collect();
    paths.sort();
    paths
}

fn all(count: u32) -> Vec<u32> {
    (0..count).collect()
}

#[test]
fn what_the_log_holds_arrives_in_order_and_its_segments_go() {
    let mut bench = Bench::new();
    for first in (0..2_000).step_by(100) {
        bench.store(first..first + 100);
    }
    assert!(bench.segments() > 5);
    bench.run();
    assert_eq!(bench.delivered(), all(2_000));
    assert_eq!((bench.series.records.get(), bench.series.repeated.get()), (2_000, 0));
    bench.forwarder.persist(bench.now);
    until(|| bench.segments() == 1);
    bench.store([2_000]);
    bench.run();
    assert_eq!(bench.delivered(), all(2_001));
    assert_eq!(bench.series.lag.get(), 0);
}

#[test]
fn what_was_read_before_an_error_is_not_passed_over() {
    let bench = Bench::new();
    for first in (0..2_000).step_by(100) {
        bench.store(first..first + 100);
    }
    // So that it knows of the segments before one of them turns bad.
    let mut bench = bench.restarted();
    // The first batch reaches into the second segment, which cannot be read for a while.
    let (second, aside) = (segments(bench.home.path())[1].clone(), bench.home.path().join("aside"));
    fs::rename(&second, &aside).unwrap();
    std::os::unix::fs::symlink(&second, &second).unwrap();
    bench.step();
    fs::remove_file(&second).unwrap();
    fs::rename(&aside, &second).unwrap();
    bench.run();
    assert_eq!(bench.delivered(), all(2_000));
}

#[test]
fn it_goes_on_where_it_was_persisted_and_repeats_what_was_not() {
    let mut bench = Bench::new();
    bench.store(0..700);
    bench.step();
    bench.kafka.deliver(500);
    bench.step();
    bench.forwarder.persist(bench.now);
    bench.kafka.deliver(150);
    let mut bench = bench.restarted();
    bench.run();
    assert_eq!(bench.delivered(), (0..650).chain(500..700).collect::<Vec<_>>());
}

#[test]
fn a_log_that_was_not_forwarded_is_a_backlog_until_it_is() {
    let mut bench = Bench::new();
    bench.store(0..10);
    let backlog = |bench: &Bench| crate::deliver::log::backlog(bench.home.path()).unwrap();
    assert_eq!(backlog(&bench), 10);
    bench.run();
    bench.forwarder.persist(bench.now);
    assert_eq!(backlog(&bench), 0);
    assert_eq!(crate::deliver::log::backlog(&bench.home.path().join("nowhere")).unwrap(), 0);
}

#[test]
fn what_kafka_refuses_is_counted_and_stops_nothing() {
    let mut bench = Bench::new();
    bench.store(0..4);
    bench.step();
    bench.kafka.deliver(1);
    bench.kafka.refuse(Outcome::BrokerRejected);
    bench.kafka.refuse(Outcome::DeadLettered);
    bench.run();
    assert_eq!(bench.delivered(), [0, 3]);
    assert_eq!((bench.series.records.get(), bench.series.refused.get()), (2, 1));
    assert_eq!(bench.series.dead_lettered.get(), 1);
}

#[test]
fn what_kafka_gave_no_verdict_on_is_sent_again_in_order() {
    let mut bench = Bench::new();
    bench.store(0..1_200);
    bench.step();
    bench.kafka.deliver(600);
    bench.kafka.deliver_untold();
    bench.run();
    // The first 500 had settled; of the rest it is not known what Kafka has.
    assert_eq!(bench.delivered(), (0..601).chain(500..1_200).collect::<Vec<_>>());
    assert_eq!((bench.series.records.get(), bench.series.repeated.get()), (1_200, 700));
}

#[test]
fn a_kafka_that_is_full_is_given_the_rest_when_it_has_room() {
    let mut bench = Bench::new();
    bench.kafka.set_room(7);
    bench.store(0..100);
    bench.run();
    assert_eq!(bench.delivered(), all(100));
}

#[test]
fn a_kafka_that_is_away_is_given_no_more_than_so_many_batches() {
    let mut bench = Bench::new();
    bench.kafka.set_up(false);
    for first in (0..40_000).step_by(1_000) {
        bench.store(first..first + 1_000);
    }
    while bench.step() {}
    assert_eq!(bench.kafka.waiting(), BATCHES * BATCH_RECORDS);
    bench.kafka.set_up(true);
    bench.run();
    assert_eq!(bench.delivered(), all(40_000));
}

#[test]
fn a_full_log_has_room_again_once_kafka_has_what_it_held() {
    let mut bench = Bench::new();
    let large = records(["x".repeat(1 << 20)]);
    let full = |bench: &Bench| bench.log.submit(&large, 0, &ticket(1).0) == 0;
    until(|| full(&bench) && bench.log.durable() == bench.log.next() && full(&bench));
    let held = bench.log.next() - 1;
    bench.kafka.set_room(4);
    bench.run();
    bench.forwarder.persist(bench.now);
    until(|| !full(&bench));
    bench.run();
    assert!(bench.kafka.delivered().len() as u64 > held);
    assert_eq!(bench.series.repeated.get(), 0);
}
