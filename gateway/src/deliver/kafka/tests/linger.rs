//! Which records linger, and that neither drains nor the end of a producer wait for it.

use super::*;

/// Beyond all patience, and librdkafka's largest.
const FOR_EVER_MS: &str = "900000";

#[test]
fn a_record_that_comes_alone_is_sent_without_lingering() {
    let bench = Setup { linger_ms: FOR_EVER_MS, ..Setup::default() }.ready();
    for _ in 0..3 {
        assert_eq!(bench.settles(b"{}").committed, 1);
    }
}

#[tokio::test]
async fn records_of_a_dense_flow_linger_for_company() {
    /// Of single records, and too few for a full batch.
    const BURST: u32 = 300;
    let bench = Setup { linger_ms: FOR_EVER_MS, ..Setup::default() }.ready();
    let progress = || bench.sink.shared.live.read().unwrap().as_ref().unwrap().progress();
    let deadline = watch::now() + LONG;
    loop {
        let (ticket, settled) = ticket(BURST);
        for _ in 0..BURST {
            assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
        }
        // What was sent is reported in a fraction of this. A machine so busy that a burst is no dense flow
        // gets another one.
        let before = progress();
        thread::sleep(Duration::from_millis(100));
        if before.frames > 0 && progress() == before {
            bench.sink.drain(LONG).await;
            assert_eq!(told(&settled).committed, BURST);
            return;
        }
        assert!(watch::now() < deadline, "records did not linger: {:?}", progress());
    }
}

#[test]
fn a_new_producer_sends_without_lingering_too() {
    Setup { linger_ms: FOR_EVER_MS, ..Setup::default() }.ready().replaces_its_producer();
}

#[test]
fn a_record_that_waited_for_its_broker_does_not_linger_after_that() {
    let bench = Setup { linger_ms: FOR_EVER_MS, ..Setup::default() }.ready();
    bench.brokers(false);
    bench.becomes_away("is unreachable");
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    bench.brokers(true);
    assert_eq!(told(&settled).committed, 1);
}

#[tokio::test]
async fn a_drain_ends_the_linger_that_an_operator_set() {
    let setup = Setup::default();
    let properties = [setup.properties.clone(), vec![("linger.ms", FOR_EVER_MS)]].concat();
    let bench = Setup { properties, ..setup }.ready();
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    bench.sink.drain(LONG).await;
    assert_eq!(told(&settled).committed, 1);
}

#[test]
fn a_producer_that_is_dropped_leaves_nothing_behind_that_holds_it() {
    let bench = Setup { linger_ms: FOR_EVER_MS, ..Setup::default() }.ready();
    bench.brokers(false);
    // While its records are being flushed in vain, as well.
    let (ticket, _settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    let producer = bench.sink.shared.live.write().unwrap().take().unwrap();
    let client = producer.held();
    drop(producer);
    assert!(client.upgrade().is_none());
}
