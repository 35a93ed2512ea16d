//! Producers that fail, and what they held.

use super::super::replace::Retire;
use super::*;

#[test]
fn a_producer_that_fails_for_good_is_replaced() {
    Setup::default().ready().replaces_its_producer();
}

#[test]
fn what_a_failed_producer_held_is_handed_over_in_order_and_nothing_is_lost() {
    const FRAMES: usize = 300;
    let bench = Setup::default().ready();
    assert_eq!(bench.settles(b"0").committed, 1);
    for broker in 1..=3 {
        bench.cluster.broker_round_trip_time(broker, Duration::from_millis(50)).unwrap();
    }
    // As many requests as may be on their way: what comes after a gap is refused by Kafka, which the mock does not do.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 5]);
    let (ticket, settled) = ticket(u32::try_from(FRAMES).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for n in 1..=FRAMES {
        let value = n.to_string();
        while bench.sink.submit(&records([value.as_bytes()]), 0, &ticket) == 0 {
            runtime.block_on(bench.sink.room());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost), (u32::try_from(FRAMES).unwrap(), 0));
    assert!(bench.sink.shared.in_flight.generation() > 0, "the producer was to fail");
    let mut written = bench.written("events");
    // What the failed producer had on its way may have been written and is then written again.
    written.dedup();
    let mut once = written.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, (0..=FRAMES).collect::<Vec<_>>());
    let last_of = |n: &usize| written.iter().rposition(|other| other == n);
    assert!(once.is_sorted_by_key(last_of), "out of order: {written:?}");
}

/// Waits until there is a second producer.
#[track_caller]
fn until_replaced(bench: &Bench) {
    let deadline = watch::now() + LONG;
    while bench.sink.shared.in_flight.generation() == 0 {
        assert!(watch::now() < deadline, "not replaced: {:?}", bench.sink.health());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_wedged_producer_is_replaced_and_its_events_are_handed_over() {
    let short = Duration::from_millis(200);
    let patience = Patience { report: short, still: short, wedged: short * 2, ..Setup::default().patience };
    let bench = Setup { patience, ..Setup::default() }.ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 50]);
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    until_replaced(&bench);
    bench.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    assert_eq!(told(&settled).committed, 1);
    bench.becomes("ready again", |health| *health == Health::Ready);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn a_producer_that_gets_no_id_is_replaced_and_its_events_are_handed_over() {
    let patience = Patience { nameless: Duration::from_millis(100), ..Setup::default().patience };
    let bench = Setup { patience, refused_ids: 10_000, ..Setup::default() }.start();
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    until_replaced(&bench);
    bench.cluster.clear_request_errors(RDKafkaApiKey::InitProducerId);
    assert_eq!(told(&settled).committed, 1);
    bench.becomes("ready", |health| *health == Health::Ready);
}

#[test]
fn a_producer_has_its_full_time_for_records_that_travel_alone() {
    let kafka = config::Kafka::at("127.0.0.1:9");
    let topics = vec![config::Topic::new("events", &kafka.topics)];
    let plan = Plan::new(&kafka, topics, KafkaSeries::default(), BUDGET).unwrap();
    let patience = Patience { apart: LONG, ..Patience::default() };
    let shared = Arc::new(Shared::new(&plan));
    let mut watch = Watch::new(plan, patience, shared);
    watch.plan.apart = true;
    let before = watch::now();
    watch.hand_over(Retire::gently("suspect", "a batch was refused".into()));
    assert!(!watch.apart_is_over(before + LONG), "it counts from the new producer");
}
