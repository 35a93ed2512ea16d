//! What Kafka was given before the log had it, and the end.

use super::*;
use crate::ticket::Settlement;

fn settlement(lost: u32) -> Settlement {
    Settlement { committed: 2 - lost, stored: 0, lost, dropped: 0, refused: Vec::new() }
}

#[test]
fn what_kafka_was_given_before_is_waited_for_and_not_sent_twice() {
    for (delivered, expected) in [(true, vec![0, 3]), (false, vec![0, 1, 2, 3])] {
        let mut bench = Bench::new();
        let verdict = Arc::<Verdict>::default();
        bench.forwarder.was_given(2..4, vec![0, 1], Arc::clone(&verdict));
        bench.store(0..4);
        while bench.step() {}
        assert_eq!(bench.kafka.waiting(), 1, "beyond it all have to wait");
        verdict.tell(&settlement(u32::from(!delivered)));
        bench.run();
        assert_eq!(bench.delivered(), expected);
    }
}

#[test]
fn closing_waits_for_what_is_under_way_and_hands_over_nothing_more() {
    let mut bench = Bench::new();
    bench.store(0..10);
    bench.step();
    bench.store(10..20);
    assert!(!bench.forwarder.close());
    bench.step();
    assert_eq!(bench.kafka.waiting(), 10);
    bench.kafka.deliver(10);
    assert!(bench.forwarder.close());
    bench.step();
    bench.forwarder.persist(bench.now);
    let mut bench = bench.restarted();
    bench.run();
    assert_eq!(bench.delivered(), all(20));
}

#[test]
fn closing_waits_for_the_verdict_on_what_kafka_was_given_before_and_passes_over_what_it_has() {
    for (delivered, expected) in [(true, vec![2]), (false, vec![0, 1, 2])] {
        let mut bench = Bench::new();
        let verdict = Arc::<Verdict>::default();
        bench.forwarder.was_given(1..3, vec![0, 1], Arc::clone(&verdict));
        bench.store(0..3);
        bench.step();
        assert!(!bench.forwarder.close(), "Kafka may yet have them");
        verdict.tell(&settlement(u32::from(!delivered)));
        assert!(bench.forwarder.close());
        bench.step();
        bench.forwarder.persist(bench.now);
        assert_eq!(bench.series.records.get(), if delivered { 2 } else { 0 });
        let mut bench = bench.restarted();
        bench.run();
        assert_eq!(bench.delivered(), expected, "what Kafka has is not sent again");
    }
}
