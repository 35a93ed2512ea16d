//! Topics that are not there, or may not be written to.

use super::*;

#[test]
fn an_event_that_may_not_be_written_is_refused_and_readiness_says_so() {
    let bench = Setup::default().ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let frame = bench.settles(b"{}");
    assert_eq!((frame.committed, frame.lost, frame.refused.len()), (0, 0, 1));
    assert!(frame.refused[0].message.contains("may not write"), "{:?}", frame.refused);
    bench.becomes_away("may not write");
    bench.becomes("ready again", |health| *health == Health::Ready);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn events_of_a_topic_that_does_not_exist_are_refused_until_it_does() {
    let bench = Setup { create_topic: false, ..Setup::default() }.start();
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    bench.becomes_away("topic `events` does not exist");
    let refused = || {
        let (ticket, settled) = ticket(1);
        (bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket) == 1).then(|| told(&settled).refused.len())
    };
    let deadline = watch::now() + LONG;
    while refused() != Some(1) {
        assert!(watch::now() < deadline, "not refused");
        thread::sleep(Duration::from_millis(10));
    }
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    bench.becomes("ready", |health| *health == Health::Ready);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn a_record_that_cannot_be_sent_now_is_waited_for_without_asking_all_the_time() {
    let bench = Setup { create_topic: false, missing: config::Missing::Wait, ..Setup::default() }.start();
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let (ticket, _settled) = ticket(u32::MAX);
    let deadline = watch::now() + LONG;
    // Records are taken until it is certain that the topic does not exist.
    while bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket) != 0 {
        assert!(watch::now() < deadline, "records of a topic that does not exist are taken");
        thread::sleep(Duration::from_millis(10));
    }
    let offers = (0..1_000).filter(|_| {
        let refused = bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket) == 0;
        refused && !bench.sink.shared.room.is_stalled()
    });
    assert_eq!(offers.count(), 0, "a refused record left the room open");
}

#[test]
fn what_is_owed_waits_for_a_topic_that_may_not_be_written_and_is_never_refused() {
    let bench = Setup { dead_letter: Some("events.dead"), ..Setup::default() }.ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 2]);
    let (ticket, settled) = owed(2);
    assert_eq!(bench.sink.submit(&records([&b"1"[..], b"2"]), 0, &ticket), 2);
    bench.becomes_impaired("topic `events`: the gateway may not write");
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost, frame.refused.len()), (2, 0, 0));
    assert_eq!(bench.written("events"), [1, 2]);
    bench.becomes("ready again", |health| *health == Health::Ready);
}

#[test]
fn what_is_owed_waits_for_a_topic_that_is_missing_and_others_are_refused() {
    let bench = Setup { create_topic: false, ..Setup::default() }.start();
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let (first, first_told) = owed(1);
    // Taken, as nothing is certain yet.
    bench.takes(&records([b"1"]), &first);
    bench.becomes_impaired("topic `events` does not exist");
    assert_eq!(bench.settles(b"2").refused.len(), 1);
    let (second, second_told) = owed(1);
    assert_eq!(bench.sink.submit(&records([b"3"]), 0, &second), 0);
    let held = || bench.sink.shared.in_flight.held();
    let deadline = watch::now() + LONG;
    while held().is_empty() {
        assert!(watch::now() < deadline, "the first has not come back");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bench.settles(b"4").refused.len(), 1);
    assert_eq!(held(), ["events"]);
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    bench.takes(&records([b"3"]), &second);
    assert_eq!((told(&first_told).committed, told(&second_told).committed), (1, 1));
    assert_eq!(bench.written("events"), [1, 3]);
    bench.becomes("ready", |health| *health == Health::Ready);
}

#[test]
fn a_topic_of_older_records_is_told_of_while_they_wait_for_it() {
    let bench = Setup::default().ready();
    bench.cluster.topic_error("older", MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let older = bench.sink.topic("older").unwrap();
    let mut event = Records::default();
    let mut draft = event.draft(0, older, crate::record::Encoding::Structured, 7);
    draft.value(|out| out.extend_from_slice(b"1"));
    draft.push();
    let (ticket, settled) = owed(1);
    bench.takes(&event, &ticket);
    bench.becomes_impaired("topic `older` does not exist in Kafka; events for it wait");
    assert_eq!(bench.settles(b"2").committed, 1);
    bench.cluster.topic_error("older", MockError::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    assert_eq!(told(&settled).committed, 1);
    bench.becomes("ready", |health| *health == Health::Ready);
}

#[test]
fn when_a_topic_comes_back_nothing_overtakes_what_waited_for_it() {
    let setup = Setup::default();
    // A look that comes late: until then the topic is there, and what waited for it has not been produced again.
    let patience = Patience { look: Duration::from_secs(1), ..setup.patience };
    let bench = Setup { patience, ..setup }.ready();
    let shared = &bench.sink.shared;
    let ((first, first_told), (second, second_told)) = (ticket(1), ticket(1));
    let slot = shared.in_flight.enter(&first, 1, 10).unwrap();
    let event = records([b"1"]);
    let topic = shared.topics.by_name("events").unwrap();
    let record =
        draft::Draft::new(&topic, &event.iter_from(0).next().unwrap(), &draft::structured()).detach();
    let place = place::Place { slot, index: 0 };
    shared.in_flight.gave_back(shared.in_flight.generation(), place, record, Some(&topic));
    bench.takes(&records([b"2"]), &second);
    assert_eq!((told(&first_told).committed, told(&second_told).committed), (1, 1));
    assert_eq!(bench.written("events"), [1, 2]);
}

#[test]
fn while_a_topic_is_being_made_the_watch_goes_on() {
    let maker: admin::Maker = |_, _| {
        thread::sleep(LONG);
        Vec::new()
    };
    let missing = config::Missing::Create;
    let bench = Setup { create_topic: false, missing, maker, ..Setup::default() }.start();
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    bench.becomes_impaired("topic `events` does not exist in Kafka; it will be created");
    bench.brokers(false);
    bench.becomes_away("is unreachable");
}
