//! The switch, a step at a time, and against a model.

mod model;

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

use tempfile::TempDir;

use super::*;
use crate::deliver::testing::{Kafka, LONG, end, now, of_topic, open_log, store, until};
use crate::outcome::Outcome;
use crate::record::testing::structured as records;
use crate::ticket::Settlement;
use crate::ticket::testing::ticket;

/// One gateway over a log and a Kafka that outlive it.
struct Bench {
    shared: Arc<Shared>,
    switch: Switch,
    forwarder: Forwarder,
    kafka: Arc<Kafka>,
    series: ForwardSeries,
    now: Instant,
}

impl Bench {
    fn new(home: &TempDir, kafka: &Arc<Kafka>, away: Away) -> Self {
        let log = Arc::new(open_log(home.path()));
        let series = ForwardSeries::default();
        let forwarder = Forwarder::new(Arc::clone(&log), kafka.clone(), series.clone()).unwrap();
        let (shared, switch) = parts(&log, kafka.clone(), forwarder.standing(), away, series.clone());
        Self { shared, switch, forwarder, kafka: Arc::clone(kafka), series, now: now() }
    }

    /// Ends it without writing down how far it is, as a kill does.
    fn kill(self) {
        self.kafka.lose();
        end(&self.shared.log);
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(20);
        self.forwarder.step(self.now);
        self.switch.step(&mut self.forwarder, self.now);
    }

    /// Until new events go there.
    #[track_caller]
    fn goes(&mut self, route: Route) {
        until(|| {
            self.step();
            self.shared.route() == route
        });
    }

    /// Until new events go to Kafka, which delivers what it is given.
    #[track_caller]
    fn comes_back(&mut self) {
        until(|| {
            self.kafka.deliver(1);
            self.step();
            self.shared.route() == Route::Kafka
        });
    }

    #[track_caller]
    fn submit(&self, value: &str) -> Receiver<Settlement> {
        let (ticket, told) = ticket(1);
        assert_eq!(self.shared.submit(&records([value]), 0, &ticket), 1, "{value} is taken");
        told
    }
}

fn stored(told: &Receiver<Settlement>) -> bool {
    told.recv_timeout(LONG).unwrap().stored == 1
}

#[test]
fn while_kafka_is_away_the_log_acknowledges_what_kafka_has_not_and_nothing_arrives_twice() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    bench.goes(Route::Kafka);
    let told = bench.submit("1");
    kafka.deliver(1);
    assert_eq!(told.try_recv().unwrap().committed, 1);

    let waiting = [bench.submit("2"), bench.submit("3")];
    kafka.set_up(false);
    bench.goes(Route::Log);
    assert!(waiting.iter().all(stored), "the log has what Kafka does not acknowledge");
    assert!(stored(&bench.submit("4")));
    assert_eq!((bench.series.failovers.get(), bench.series.failed_over.get()), (1, 1));
    for _ in 0..100 {
        bench.step();
    }
    assert_eq!(kafka.waiting(), 2, "it may yet have them, so nothing is forwarded before that is known");

    kafka.set_up(true);
    bench.comes_back();
    assert_eq!(kafka.delivered(), ["1", "2", "3", "4"]);
    assert_eq!(bench.series.failed_over.get(), 0);
    let told = bench.submit("5");
    kafka.deliver(1);
    assert_eq!(told.try_recv().unwrap().committed, 1);
}

#[test]
fn what_kafka_loses_after_the_log_had_it_is_forwarded() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    bench.goes(Route::Kafka);
    let told = bench.submit("1");
    kafka.set_up(false);
    bench.goes(Route::Log);
    assert!(stored(&told) && stored(&bench.submit("2")));
    kafka.lose();
    kafka.set_up(true);
    bench.comes_back();
    assert_eq!(kafka.delivered(), ["1", "2"]);
}

#[test]
fn the_log_of_another_mode_goes_to_kafka_before_anything_new() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(false));
    let log = open_log(home.path());
    store(&log, &records(["1", "2"]));
    end(&log);
    drop(log);

    let mut bench = Bench::new(&home, &kafka, Away::Wait);
    bench.step();
    let (ticket, _told) = ticket(1);
    assert_eq!(bench.shared.submit(&records(["3"]), 0, &ticket), 0);
    bench.step();
    let Health::Away { reason, detail } = bench.shared.health() else {
        panic!("ready before it is forwarded")
    };
    assert_eq!(reason, Reason::Broker);
    assert!(detail.contains("2 records are left; Kafka is away"), "{detail}");
    kafka.set_up(true);
    bench.comes_back();
    assert_eq!(bench.shared.health(), Health::Ready);
    // From then on it is Kafka alone.
    let told = bench.submit("3");
    kafka.set_up(false);
    bench.step();
    assert!(matches!(bench.shared.health(), Health::Away { .. }));
    assert_eq!(bench.shared.route(), Route::Kafka);
    kafka.set_up(true);
    kafka.deliver(1);
    assert_eq!((told.try_recv().unwrap().committed, kafka.delivered().len()), (1, 3));
}

#[test]
fn what_takes_too_long_to_come_back_goes_on_in_the_log() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    assert!(stored(&bench.submit("1")));
    // Ready, and delivers nothing.
    bench.goes(Route::Nowhere);
    bench.goes(Route::Log);
    assert!(stored(&bench.submit("2")));
    bench.comes_back();
    assert_eq!(kafka.delivered(), ["1", "2"]);
}

#[test]
fn who_goes_away_leaves_to_the_log_what_kafka_has_not_acknowledged() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    bench.goes(Route::Kafka);
    let told = [bench.submit("1"), bench.submit("2")];
    bench.shared.is_leaving.store(true, Ordering::SeqCst);
    bench.goes(Route::Log);
    assert!(told.iter().all(stored), "they are safe, and their clients are told");
    for _ in 0..100 {
        bench.step();
    }
    assert_eq!(bench.shared.route(), Route::Log, "and it stays so");
    bench.kill();
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    bench.comes_back();
    assert_eq!(kafka.delivered(), ["1", "2"]);
}

#[test]
fn what_does_not_fit_into_a_full_log_waits_and_is_not_lost() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    bench.goes(Route::Kafka);
    // More than the log may hold, although some of it is large.
    let large = "x".repeat(1 << 20);
    let told: Vec<_> = (0..20).map(|_| bench.submit(&large)).collect();
    kafka.set_up(false);
    until(|| {
        bench.step();
        matches!(bench.shared.health(), Health::Away { reason: Reason::Full, .. })
    });
    assert_eq!(bench.shared.route(), Route::Nowhere);
    let mut copied = 0;
    until(|| {
        copied += told.iter().filter(|told| told.try_recv().is_ok_and(|frame| frame.stored == 1)).count();
        copied >= 10
    });
    assert!(copied < 16, "{copied}");
    kafka.set_up(true);
    bench.comes_back();
    assert_eq!(kafka.delivered().len(), 20, "each once");
}

#[test]
fn what_kafka_refuses_of_the_copies_is_judged_again_and_what_it_has_is_not_sent_again() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    bench.goes(Route::Kafka);
    let (ticket, told) = ticket(4);
    assert_eq!(bench.shared.submit(&records(["1", "2", "3", "4"]), 0, &ticket), 4);
    drop(ticket);
    assert!(!kafka.is_owed(), "their client is still to be told");
    kafka.set_up(false);
    bench.goes(Route::Log);
    assert!(kafka.is_owed());
    assert_eq!(told.recv_timeout(LONG).unwrap().stored, 4);
    kafka.set_up(true);
    kafka.deliver(1);
    // For its topic, perhaps, which is mended meanwhile.
    kafka.refuse(Outcome::BrokerRejected);
    kafka.refuse(Outcome::DeadLettered);
    bench.comes_back();
    assert_eq!(kafka.delivered(), ["1", "4", "2"]);
    let series = &bench.series;
    assert_eq!((series.records.get(), series.dead_lettered.get(), series.refused.get()), (3, 1, 0));
}

#[test]
fn a_backlog_that_was_taken_away_does_not_keep_the_gateway_closed() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let log = open_log(home.path());
    store(&log, &records(["1", "2"]));
    end(&log);
    drop(log);
    let mut bench = Bench::new(&home, &kafka, Away::Wait);
    for entry in std::fs::read_dir(home.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "segment") {
            std::fs::remove_file(path).unwrap();
        }
    }
    bench.comes_back();
    assert_eq!((bench.shared.health(), bench.series.missing.get()), (Health::Ready, 2));
}

#[test]
fn behind_the_log_kafkas_trouble_is_told_although_the_gateway_is_ready() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    bench.goes(Route::Kafka);
    assert_eq!((bench.shared.health(), bench.shared.note()), (Health::Ready, None));
    kafka.set_up(false);
    let told = |bench: &Bench| bench.shared.note().is_some_and(|note| note.contains("Kafka is away"));
    assert!(bench.shared.health() == Health::Ready && told(&bench), "at once");
    bench.goes(Route::Log);
    assert!(bench.shared.health() == Health::Ready && told(&bench));
}

#[test]
fn while_a_topic_holds_the_log_up_new_events_are_not_held_back_for_it() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    kafka.set_elsewhere(false);
    let mut bench = Bench::new(&home, &kafka, Away::Log);
    store(&bench.shared.log, &of_topic(1, &["1"]));
    let mut held_back = 0;
    for _ in 0..3_000 {
        bench.step();
        held_back += u32::from(bench.shared.route() == Route::Nowhere);
    }
    assert!(held_back <= 101, "for 2 s in a minute at most, and not once more: {held_back} steps of 20 ms");
    kafka.set_elsewhere(true);
    bench.comes_back();
    assert_eq!(kafka.delivered(), ["1"]);
}

#[tokio::test]
async fn what_is_handed_over_is_durable_and_its_clients_are_told_when_that_is_done() {
    let (home, kafka) = (TempDir::new().unwrap(), Kafka::up(true));
    let log = open_log(home.path());
    let failover = Failover::new(log, kafka.clone(), Away::Log, ForwardSeries::default()).unwrap();
    until(|| failover.level() == Level::Committed);
    let told: Vec<_> = (0..50)
        .map(|n| {
            let (ticket, told) = ticket(1);
            assert_eq!(failover.submit(&records([n.to_string()]), 0, &ticket), 1);
            told
        })
        .collect();
    failover.hand_over(LONG).await;
    assert!(
        told.iter().all(|told| told.try_recv().is_ok_and(|frame| frame.stored == 1)),
        "all of them, by now"
    );
    failover.drain(Duration::ZERO).await;
}
