//! Kafka, or a part of it, is away.

use super::*;

#[test]
fn events_wait_while_brokers_are_away_and_flow_when_they_are_back() {
    let bench = Setup::default().ready();
    bench.brokers(false);
    bench.becomes_away("is unreachable");
    let (ticket, settled) = ticket(2);
    assert_eq!(bench.sink.submit(&records([&b"1"[..], b"2"]), 0, &ticket), 2);
    bench.brokers(true);
    assert_eq!(told(&settled).committed, 2);
    bench.becomes("ready again", |health| *health == Health::Ready);
}

#[test]
fn an_unreachable_kafka_is_named_with_the_reason() {
    // A port that was free a moment ago: nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kafka = config::Kafka::at(format!("127.0.0.1:{port}"));
    let topics = vec![config::Topic::new("events", &kafka.topics)];
    let sink = KafkaSink::new(&kafka, topics, KafkaSeries::default(), BUDGET).unwrap();
    let bench = Bench { cluster: MockCluster::new(1).unwrap(), sink, series: KafkaSeries::default() };
    bench.becomes_away(&format!("Kafka at 127.0.0.1:{port} is unreachable"));
    bench.becomes_away("Connection refused");
}

#[test]
fn a_producer_that_reports_nothing_is_not_ready_and_recovers() {
    let short = Duration::from_millis(200);
    let patience = Patience { report: short, still: short, ..Setup::default().patience };
    let bench = Setup { patience, ..Setup::default() }.ready();
    // Metadata still answers: TCP looks healthy, but nothing is acknowledged.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 50]);
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    bench.becomes_away("acknowledged nothing");
    bench.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    assert_eq!(told(&settled).committed, 1);
    bench.becomes("ready again", |health| *health == Health::Ready);
}

/// An event with that key.
fn keyed(key: &str) -> Records {
    let mut event = Records::default();
    let mut draft = event.draft(0, TopicId(0), crate::record::Encoding::Structured, 7);
    draft.key(|out| out.extend_from_slice(key.as_bytes()));
    draft.value(|out| out.extend_from_slice(b"{}"));
    draft.push();
    event
}

#[test]
fn a_partition_whose_leader_is_away_holds_back_its_own_events_alone() {
    let still = Duration::from_secs(3);
    let patience =
        Patience { report: Duration::from_millis(200), still, stuck: still, ..Setup::default().patience };
    let bench = Setup { patience, ..Setup::default() }.ready();
    for partition in 0..4 {
        bench.cluster.partition_leader("events", partition, Some(1)).unwrap();
    }
    let commits = |key: &str| {
        let (ticket, settled) = ticket(1);
        bench.takes(&keyed(key), &ticket);
        told(&settled).committed == 1
    };
    assert!(commits("a"));
    let partition = (0..4).find(|partition| bench.high(*partition) > 0).unwrap();
    let is_elsewhere = |key: &String| {
        let before = bench.high(partition);
        commits(key) && bench.high(partition) == before
    };
    let elsewhere = (0..1_000).map(|n| n.to_string()).find(is_elsewhere).unwrap();

    bench.cluster.partition_leader("events", partition, Some(3)).unwrap();
    assert!(commits("a"), "the other leader is known");
    bench.cluster.broker_down(3).unwrap();
    let (stuck, stuck_told) = ticket(1);
    bench.takes(&keyed("a"), &stuck);
    let saying = format!("topic `events`: partition {partition} has no leader");
    // Ready all the same: another gateway could do no more.
    bench.becomes(&saying, |health| matches!(health, Health::Partly { detail } if detail.contains(&saying)));
    // Longer than Kafka may stand still: nothing else happens meanwhile.
    thread::sleep(still);
    assert!(commits(&elsewhere));
    assert!(stuck_told.try_recv().is_err());
    bench.cluster.broker_up(3).unwrap();
    assert_eq!(told(&stuck_told).committed, 1);
    bench.becomes("ready", |health| *health == Health::Ready);
    assert_eq!(bench.series.breaker_transitions.get_or_create(&[("to", "open")]).get(), 0);
}
