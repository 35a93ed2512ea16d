//! Drains.

use super::*;

#[tokio::test]
async fn a_drain_waits_for_what_is_on_its_way() {
    let bench = Setup::default().ready();
    for broker in 1..=3 {
        bench.cluster.broker_round_trip_time(broker, Duration::from_millis(200)).unwrap();
    }
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    bench.sink.drain(LONG).await;
    assert_eq!(told(&settled).committed, 1);
    let (after, _) = crate::ticket::testing::ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &after), 0, "drained sinks take nothing");
}

#[tokio::test]
async fn a_drain_with_dead_brokers_ends_and_nothing_is_acknowledged() {
    let bench = Setup::default().ready();
    bench.brokers(false);
    let (ticket, settled) = ticket(2);
    assert_eq!(bench.sink.submit(&records([&b"1"[..], b"2"]), 0, &ticket), 2);
    bench.sink.drain(Duration::from_millis(100)).await;
    let frame = settled.try_recv().expect("settled when the drain ends");
    assert_eq!((frame.committed, frame.lost), (0, 2));
    assert_eq!(bench.series.failures.get(), 2);
}

#[tokio::test]
async fn a_drain_ends_in_time_whatever_the_watch_waits_for() {
    let setup = Setup::default();
    let patience = Patience { answer: 2 * LONG, ..setup.patience };
    let bench = Setup { patience, ..setup }.ready();
    for broker in 1..=3 {
        bench.cluster.broker_round_trip_time(broker, 4 * LONG).unwrap();
    }
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    // Longer than the watch is content without a report: it asks, and is not answered.
    tokio::time::sleep(2 * patience.quiet).await;
    let drained = tokio::time::timeout(LONG, bench.sink.drain(Duration::from_millis(100))).await;
    assert!(drained.is_ok(), "it waits for the watch");
    let frame = settled.try_recv().expect("settled when the drain ends");
    assert_eq!((frame.committed, frame.lost), (0, 1));
    assert_eq!(bench.series.failures.get(), 1);
}
