//! Records whose topic cannot be written to: they were acknowledged, so they wait.

use super::*;
use crate::deliver::testing::of_topic;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.store([0]);
    store(&bench.log, &of_topic(1, &["1", "2"]));
    bench.store([3]);
    bench
}

fn work(bench: &mut Bench) {
    for _ in 0..500 {
        bench.step();
        bench.kafka.deliver(usize::MAX);
    }
}

#[test]
fn records_of_a_topic_that_is_missing_wait_for_it_and_an_operator_sees_it() {
    let mut bench = bench();
    bench.kafka.set_elsewhere(false);
    work(&mut bench);
    assert_eq!(bench.delivered(), [0], "the log keeps its order");
    assert_eq!(bench.series.refused.get(), 0);
    assert!(bench.series.stalled_seconds.get() >= 5);
    let note = bench.forwarder.standing().note(&*bench.kafka).unwrap();
    assert!(note.contains("not forwarded") && note.contains("no topic `elsewhere`"), "{note}");

    let mut bench = bench.restarted();
    work(&mut bench);
    bench.kafka.set_elsewhere(true);
    bench.run();
    assert_eq!(bench.delivered()[bench.delivered().len() - 3..], [1, 2, 3]);
    assert_eq!((bench.series.lag.get(), bench.series.stalled_seconds.get()), (0, 0));
    assert_eq!(bench.forwarder.standing().note(&*bench.kafka), None);
}

#[test]
fn records_of_a_topic_that_kafkas_side_cannot_name_wait_too() {
    let mut bench = bench();
    work(&mut bench);
    assert_eq!((bench.delivered(), bench.series.refused.get()), (vec![0], 0));
    let note = bench.forwarder.standing().note(&*bench.kafka).unwrap();
    assert!(note.contains("topic `elsewhere`"), "{note}");
    bench.kafka.set_elsewhere(true);
    bench.run();
    assert_eq!(bench.delivered(), all(4));
    assert_eq!(bench.series.records.get(), 4);
}
