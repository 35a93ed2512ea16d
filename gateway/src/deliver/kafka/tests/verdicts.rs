//! What becomes of events that Kafka refuses.

use super::*;

#[test]
fn an_event_that_kafka_refuses_is_refused_alone() {
    let bench = Setup::default().ready();
    // Of a batch it is not known which event is to blame: each is tried alone.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD; 2]);
    let frame = bench.settles(b"{}");
    assert_eq!((frame.committed, frame.lost), (0, 0));
    assert_eq!((frame.refused[0].index, frame.refused[0].outcome), (0, Outcome::BrokerRejected));
    assert_eq!(bench.settles(b"{}").committed, 1);
    assert_eq!(bench.series.failures.get(), 1, "the batch; a refusal is not a failure");
}

#[test]
fn neighbours_of_an_event_that_kafka_refuses_are_not_refused() {
    let setup = Setup::default();
    let patience = Patience { apart: Duration::from_millis(100), ..setup.patience };
    let bench = Setup { patience, ..setup }.ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    let (ticket, settled) = ticket(3);
    assert_eq!(bench.sink.submit(&records([&b"1"[..], b"2", b"3"]), 0, &ticket), 3);
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost, frame.refused.len()), (3, 0, 0));
    assert_eq!(bench.written("events"), [1, 2, 3]);
    let deadline = watch::now() + LONG;
    while bench.sink.shared.in_flight.generation() < 2 {
        assert!(watch::now() < deadline, "records travel alone for ever");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bench.settles(b"4").committed, 1);
}

#[test]
fn an_event_too_large_for_the_producer_is_refused_and_its_neighbours_are_not() {
    let setup = Setup::default();
    let properties = [setup.properties.clone(), vec![("message.max.bytes", "2000")]].concat();
    let bench = Setup { properties, ..setup }.ready();
    let (ticket, settled) = ticket(3);
    let large = vec![b'x'; 3000];
    assert_eq!(bench.sink.submit(&records([&b"{}"[..], &large, b"{}"]), 0, &ticket), 3);
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost), (2, 0));
    assert_eq!(frame.refused[0].index, 1);
    assert!(frame.refused[0].message.contains("message.max.bytes"), "{:?}", frame.refused);
}

#[test]
fn a_batch_too_large_is_taken_apart_until_the_event_to_blame_is_alone() {
    let bench = Setup::default().ready();
    let value = vec![b'x'; 300_000];
    // The first producer meets the error with a batch that others might be in, and hands over; the second knows that the
    // event was alone.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2]);
    let frame = bench.settles(&value);
    assert_eq!((frame.refused.len(), frame.lost), (1, 0));
    assert!(frame.refused[0].message.contains("larger than its topic allows"), "{:?}", frame.refused);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn errors_that_pass_are_retried_without_anybody_noticing() {
    let bench = Setup::default().ready();
    bench.produce_errors(&[
        MockError::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        MockError::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        MockError::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    ]);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn an_event_refused_for_good_goes_to_the_dead_letters_of_its_topic() {
    let bench = Setup { dead_letter: Some("events.dead"), ..Setup::default() }.ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD; 2]);
    let frame = bench.settles(b"{}");
    assert_eq!((frame.committed, frame.lost), (0, 0));
    assert_eq!(frame.refused[0].outcome, Outcome::DeadLettered);
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD; 2]);
    let frame = bench.settles(b"{}");
    assert_eq!(frame.refused[0].outcome, Outcome::BrokerRejected);
    assert!(
        frame.refused[0].message.contains("dead-letter topic `events.dead` did not take it"),
        "{frame:?}"
    );
}
