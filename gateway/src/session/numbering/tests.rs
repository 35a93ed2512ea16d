//! Credit and acknowledgements of one numbering over its connections.

use super::*;

fn numbering() -> (Numbering, Arc<Connection>) {
    let names = Names { id_prefix: "a-1-".into(), source: "/default/a".into(), key: "a".into() };
    let first = Amount { events: 4, bytes: 100 };
    let budget = Budget::new(1 << 20, &crate::metrics::Metrics::register().0);
    let windows = Windows { first, most: first };
    let numbering = Numbering::new(1, 1, names, (windows, budget), Arc::default());
    let connection = Arc::default();
    numbering.attach(&connection);
    (numbering, connection)
}

fn settled(frame: FrameId, bytes: u64) -> SettledFrame {
    SettledFrame { frame, bytes, cost_bytes: bytes, has_waited: false, level: None, refusals: vec![] }
}

#[test]
fn credit_in_events_comes_back_in_order_and_in_bytes_at_once() {
    let (numbering, connection) = numbering();
    let first = numbering.admit(&connection, 1, 2, 60).unwrap().frame.unwrap();
    let second = numbering.admit(&connection, 3, 3, 60).unwrap().frame.unwrap();
    assert!(numbering.credit_used().over);
    numbering.settle(&connection, settled(second, 60));
    assert_eq!(numbering.limit(), Limit { seq: 4, bytes: 160 });
    numbering.settle(&connection, settled(first, 60));
    assert_eq!(numbering.limit(), Limit { seq: 9, bytes: 220 });
    assert!(!numbering.credit_used().over);
}

#[test]
fn with_nothing_unsettled_any_single_event_may_come() {
    let (numbering, connection) = numbering();
    let huge = numbering.admit(&connection, 1, 1, 1_000).unwrap().frame.unwrap();
    assert!(numbering.credit_used().over);
    numbering.settle(&connection, settled(huge, 1_000));
    assert!(!numbering.credit_used().over);
}

#[test]
fn the_newest_connection_has_the_numbering_and_bytes_start_again() {
    let (numbering, old) = numbering();
    let frame = numbering.admit(&old, 1, 1, 50).unwrap().frame.unwrap();
    let new = Arc::new(Connection::default());
    numbering.attach(&new);
    assert!(old.taken_over.is_cancelled());
    assert!(numbering.admit(&old, 2, 1, 1).is_none());
    assert_eq!(numbering.admit(&new, 1, 1, 50).unwrap().repeated, 1);
    numbering.settle(&old, settled(frame, 50));
    assert_eq!(numbering.limit(), Limit { seq: 5, bytes: 150 });
}

#[test]
fn a_broken_numbering_takes_nothing_more() {
    let (numbering, connection) = numbering();
    numbering.break_off();
    assert!(connection.broken.is_cancelled());
    assert!(numbering.admit(&connection, 1, 1, 1).is_none());
}
