//! Who continues where, who takes over from whom, and who is forgotten.

use tidegate_wire::Code;

use super::*;
use crate::session::credit::Amount;
use crate::session::numbering::SettledFrame;

struct Fixture {
    registry: Registry,
    start: Instant,
}

impl Fixture {
    fn keeping(most: usize) -> Self {
        let first = Amount { events: 10, bytes: 1_000 };
        let budget = Budget::new(1 << 20, &crate::metrics::Metrics::register().0);
        let credit = (Windows { first, most: first }, budget);
        let registry = Registry::new(Duration::from_secs(600), most, credit, Gauge::default());
        #[expect(clippy::disallowed_methods, reason = "a test's only reading of the clock")]
        let start = Instant::now();
        Self { registry, start }
    }

    fn at(&self, seconds: u64) -> (Instant, u64) {
        (self.start + Duration::from_secs(seconds), 1_000_000 + seconds * 1_000)
    }

    fn attach(
        &self,
        client: &str,
        epoch: Option<u64>,
        next: u64,
        seconds: u64,
    ) -> (Attached, Arc<Connection>) {
        let connection = Arc::default();
        let attached =
            self.registry.attach(&key(client), epoch, next, Mode::Session, &connection, self.at(seconds));
        (attached.unwrap(), connection)
    }
}

fn key(client: &str) -> Key {
    Key { tenant: "default".into(), client: client.into() }
}

#[test]
fn the_same_epoch_resumes_and_the_older_connection_learns_of_it() {
    let fixture = Fixture::keeping(10);
    let (first, old) = fixture.attach("a", Some(7), 1, 0);
    first.numbering.admit(&old, 1, 3, 10).unwrap();
    let (second, _new) = fixture.attach("a", Some(7), 1, 1);
    assert!(second.resumed && old.taken_over.is_cancelled());
    assert_eq!(second.numbering.in_flight(), 3);
}

#[test]
fn an_older_epoch_is_stale_a_newer_one_starts_again() {
    let fixture = Fixture::keeping(10);
    let (_, old) = fixture.attach("a", Some(7), 1, 0);
    let stale = fixture.registry.attach(&key("a"), Some(6), 1, Mode::Session, &Arc::default(), fixture.at(0));
    assert_eq!(stale.unwrap_err(), Conflict::StaleEpoch { known: 7 });
    let (newer, _) = fixture.attach("a", Some(8), 5, 0);
    assert!(!newer.resumed && old.taken_over.is_cancelled());
    assert_eq!(newer.numbering.upto(), 4);
}

#[test]
fn another_epoch_is_no_other_share_of_the_memory() {
    let fixture = Fixture::keeping(10);
    let (first, _) = fixture.attach("a", Some(7), 1, 0);
    let (newer, _) = fixture.attach("a", Some(8), 1, 0);
    assert!(Arc::ptr_eq(&first.numbering.account, &newer.numbering.account));
    let (other, _) = fixture.attach("b", Some(7), 1, 0);
    assert!(!Arc::ptr_eq(&first.numbering.account, &other.numbering.account));
}

#[test]
fn without_an_epoch_a_higher_one_is_given_each_time() {
    let fixture = Fixture::keeping(10);
    let (first, _) = fixture.attach("a", None, 1, 0);
    let (second, _) = fixture.attach("a", None, 1, 0);
    assert_eq!((first.numbering.epoch, second.numbering.epoch), (1_000_000, 1_000_001));
}

#[test]
fn a_request_does_not_take_over_from_a_request() {
    let fixture = Fixture::keeping(10);
    let request = Arc::default();
    let registry = &fixture.registry;
    let first = registry.attach(&key("a"), Some(1), 1, Mode::Request, &request, fixture.at(0)).unwrap();
    let again = registry.attach(&key("a"), Some(1), 1, Mode::Request, &Arc::default(), fixture.at(0));
    assert_eq!(again.unwrap_err(), Conflict::Busy);
    registry.detach(&key("a"), &first.numbering, &request, fixture.at(0).0);
    assert!(registry.attach(&key("a"), Some(1), 1, Mode::Request, &Arc::default(), fixture.at(0)).is_ok());
}

#[test]
fn who_is_away_too_long_is_forgotten() {
    let fixture = Fixture::keeping(10);
    let (first, connection) = fixture.attach("a", Some(1), 1, 0);
    fixture.registry.detach(&key("a"), &first.numbering, &connection, fixture.at(0).0);
    assert!(fixture.attach("a", Some(1), 1, 599).0.resumed);
    // Its connection has not ended since, so it stays however long.
    assert!(fixture.attach("a", Some(1), 1, 10_000).0.resumed);
    let (last, connection) = fixture.attach("a", Some(1), 1, 10_000);
    fixture.registry.detach(&key("a"), &last.numbering, &connection, fixture.at(10_000).0);
    assert!(!fixture.attach("a", Some(1), 1, 10_600).0.resumed);
}

#[test]
fn the_longest_away_goes_first_when_there_are_too_many() {
    let fixture = Fixture::keeping(2);
    for (seconds, client) in ["a", "b", "c"].into_iter().enumerate() {
        let at = seconds as u64;
        let (attached, connection) = fixture.attach(client, Some(1), 1, at);
        fixture.registry.detach(&key(client), &attached.numbering, &connection, fixture.at(at).0);
    }
    assert_eq!(fixture.registry.kept.get(), 2);
    assert!(!fixture.attach("a", Some(1), 1, 3).0.resumed);
    assert!(fixture.attach("c", Some(1), 1, 3).0.resumed);
}

/// What a gateway that starts at `seconds` makes of what `before` knew at its end.
fn after_restart(before: &Fixture, ended: u64, seconds: u64) -> Fixture {
    taken_up(before.registry.snapshot(before.at(ended)), true, before, seconds)
}

fn taken_up(clients: Vec<Kept>, is_last_word: bool, before: &Fixture, seconds: u64) -> Fixture {
    let after = Fixture { start: before.start, ..Fixture::keeping(before.registry.keep_most) };
    after.registry.restore(Snapshot { clients, is_last_word }, after.at(seconds));
    after
}

#[test]
fn who_is_further_than_an_older_word_says_gives_nothing_up_and_who_is_not_continues() {
    let before = Fixture::keeping(10);
    for client in ["further", "same"] {
        let (attached, connection) = before.attach(client, Some(1), 21, 0);
        before.registry.detach(&key(client), &attached.numbering, &connection, before.at(0).0);
    }
    let clients = before.registry.snapshot(before.at(1));
    for (is_last_word, expected) in [(true, (true, 30, 10)), (false, (false, 30, 0))] {
        let after = taken_up(clients.clone(), is_last_word, &before, 2);
        let (further, _) = after.attach("further", Some(1), 31, 2);
        assert_eq!((further.resumed, further.upto, further.abandoned), expected);
        let (same, _) = after.attach("same", Some(1), 11, 2);
        assert_eq!((same.resumed, same.upto), (true, 20));
    }
}

#[test]
fn after_a_restart_clients_continue_where_they_were() {
    let before = Fixture::keeping(10);
    let (here, connection) = before.attach("here", Some(1), 1, 0);
    let frame = here.numbering.admit(&connection, 1, 7, 70).unwrap().frame.unwrap();
    let refusal = |seq| Refusal { seq, code: Code::Unrouted, message: "no route".into() };
    let settled = SettledFrame {
        frame,
        bytes: 70,
        cost_bytes: 70,
        has_waited: false,
        level: None,
        refusals: vec![refusal(5)],
    };
    here.numbering.settle(&connection, settled);
    here.numbering.admit(&connection, 8, 3, 30).unwrap();
    let (away, connection) = before.attach("away", Some(4), 21, 0);
    before.registry.detach(&key("away"), &away.numbering, &connection, before.at(0).0);

    let after = after_restart(&before, 100, 110);
    assert_eq!(after.registry.kept.get(), 2);
    // What was in flight at the end is not known to have settled.
    let (here, _) = after.attach("here", Some(1), 3, 110);
    assert_eq!((here.resumed, here.upto, here.abandoned), (true, 7, 0));
    assert_eq!((here.refusals, here.forgotten), (vec![refusal(5)], false));
    let (away, _) = after.attach("away", Some(4), 21, 110);
    assert_eq!((away.resumed, away.upto), (true, 20));
    // Who starts anew does so above the epoch that it had.
    let (anew, _) = after.attach("away", None, 1, 110);
    assert!(!anew.resumed && anew.numbering.epoch > 4);
    let stale =
        after.registry.attach(&key("here"), Some(0), 1, Mode::Session, &Arc::default(), after.at(110));
    assert_eq!(stale.unwrap_err(), Conflict::StaleEpoch { known: 1 });
}

#[test]
fn a_restart_makes_nobody_be_kept_longer_or_more_of_them() {
    let before = Fixture::keeping(2);
    for (seconds, client) in [(0, "a"), (1, "b"), (50, "c")] {
        let (attached, connection) = before.attach(client, Some(1), 1, seconds);
        if client != "c" {
            let at = before.at(seconds).0;
            before.registry.detach(&key(client), &attached.numbering, &connection, at);
        }
    }
    let resumed =
        |after: &Fixture, at| ["a", "b", "c"].map(|client| after.attach(client, Some(1), 1, at).0.resumed);
    assert_eq!(resumed(&after_restart(&before, 50, 60), 60), [false, true, true]);
    // "b" has been away for 600 seconds, "c" since the end of the gateway before.
    assert_eq!(resumed(&after_restart(&before, 50, 601), 601), [false, false, true]);
    assert_eq!(resumed(&after_restart(&before, 50, 650), 650), [false, false, false]);
}

#[test]
fn one_restless_client_pushes_nobody_out_and_piles_nothing_up() {
    let fixture = Fixture::keeping(2);
    let (calm, connection) = fixture.attach("calm", Some(1), 1, 0);
    fixture.registry.detach(&key("calm"), &calm.numbering, &connection, fixture.at(0).0);
    for _ in 0..5_000 {
        let (restless, connection) = fixture.attach("restless", Some(1), 1, 1);
        fixture.registry.detach(&key("restless"), &restless.numbering, &connection, fixture.at(1).0);
    }
    assert!(fixture.registry.lock().away.len() <= STALE_MOST + 5);
    assert!(fixture.attach("calm", Some(1), 1, 2).0.resumed);
    assert_eq!(fixture.registry.kept.get(), 1);
}

#[test]
fn memory_stays_flat_over_many_names() {
    let fixture = Fixture::keeping(100);
    for number in 0..5_000 {
        let client = format!("c{number}");
        let (attached, connection) = fixture.attach(&client, None, 1, 0);
        fixture.registry.detach(&key(&client), &attached.numbering, &connection, fixture.at(0).0);
    }
    let clients = fixture.registry.lock();
    assert_eq!((clients.by_key.len(), clients.away.len()), (100, 100));
}
