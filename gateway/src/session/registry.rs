//! The numberings of named clients, over their connections: resume, take-over, and forgetting in time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

use super::budget::{Account, Budget};
use super::credit::Windows;
use super::hold::Connection;
use super::numbering::{Names, Numbering, Resumed};
use super::snapshot::{Kept, Refused, Snapshot};
use super::window::{Refusal, Window};

/// Numbers and epochs are JSON integers of any language.
pub(super) const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Entries of clients that have come back which may lie about before they are cleared away.
const STALE_MOST: usize = 1_024;

/// Which client's numbering.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) tenant: Arc<str>,
    pub(super) client: Arc<str>,
}

/// What a client is attached to.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) numbering: Arc<Numbering>,
    pub(super) resumed: bool,
    /// Everything up to here is settled.
    pub(super) upto: u64,
    pub(super) abandoned: u64,
    pub(super) refusals: Vec<Refusal>,
    pub(super) forgotten: bool,
}

impl Attached {
    /// To a numbering of which nothing is known.
    pub(super) fn fresh(numbering: Arc<Numbering>) -> Self {
        let upto = numbering.upto();
        Self { numbering, resumed: false, upto, abandoned: 0, refusals: Vec::new(), forgotten: false }
    }
}

/// Why a client is not attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Conflict {
    /// A later epoch is known.
    StaleEpoch {
        /// That one.
        known: u64,
    },
    /// A request of the same client is under way.
    Busy,
    /// Events of this numbering were lost, and the request would leave them behind.
    Lost,
}

/// How a client attaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// A session: takes over from whoever has the numbering.
    Session,
    /// One request with session headers: takes over from a session, but not from another request.
    Request,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Registry {
    keep: Duration,
    keep_most: usize,
    credit: (Windows, Budget),
    kept: Gauge,
    kept_refusals: Arc<AtomicUsize>,
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    by_key: HashMap<Key, Entry>,
    /// Who went away when, oldest first. An entry is stale once its client has come back.
    away: VecDeque<(Instant, Key, u64)>,
    /// Absences so far: what tells a client's last one from those before.
    absences: u64,
    /// Clients that are away now.
    absent: usize,
}

#[derive(Debug)]
struct Entry {
    numbering: Arc<Numbering>,
    mode: Mode,
    /// `None` while connected.
    absence: Option<u64>,
    /// Another gateway has served since this was known: the client may be further.
    may_lag: bool,
}

impl Registry {
    pub(super) fn new(keep: Duration, keep_most: usize, credit: (Windows, Budget), kept: Gauge) -> Self {
        Self { keep, keep_most, credit, kept, kept_refusals: Arc::default(), clients: Mutex::default() }
    }

    /// A numbering of no client's: it is gone with its connection.
    pub(super) fn anonymous(&self, names: Names) -> Numbering {
        Numbering::new(0, 1, names, self.credit.clone(), Arc::clone(&self.kept_refusals))
    }

    /// Starts or resumes the numbering of `key`, which belongs to `connection` from here on. Without `epoch`
    /// a new one starts, above any known. `next` is the lowest number not seen acknowledged.
    pub(super) fn attach(
        &self,
        key: &Key,
        epoch: Option<u64>,
        next: u64,
        mode: Mode,
        connection: &Arc<Connection>,
        at: (Instant, u64),
    ) -> Result<Attached, Conflict> {
        let (now, now_ms) = at;
        let mut clients = self.lock();
        self.forget_old(&mut clients, now);
        let known = clients.by_key.get(key).map(|entry| (Arc::clone(&entry.numbering), entry.is_request()));
        // What lies between was settled by a gateway in between: the client gives nothing up.
        let is_behind =
            clients.by_key.get(key).is_some_and(|entry| entry.may_lag && next > entry.numbering.upto() + 1);
        let attached = match known {
            Some((_, true)) if mode == Mode::Request => return Err(Conflict::Busy),
            Some((numbering, _)) if epoch.is_some_and(|epoch| epoch < numbering.epoch) => {
                return Err(Conflict::StaleEpoch { known: numbering.epoch });
            }
            // Starting anew at the request's number would call settled what was lost before it.
            Some((numbering, _))
                if mode == Mode::Request
                    && epoch == Some(numbering.epoch)
                    && numbering.is_broken()
                    && next > numbering.upto() + 1 =>
            {
                return Err(Conflict::Lost);
            }
            Some((numbering, _))
                if epoch == Some(numbering.epoch) && !numbering.is_broken() && !is_behind =>
            {
                // A request may only ask, so it gives nothing up before it has sent something.
                let seen = if mode == Mode::Request { 1 } else { next };
                let Resumed { upto, abandoned, refusals, forgotten } = numbering.resume(seen);
                Attached { numbering, resumed: true, upto, abandoned, refusals, forgotten }
            }
            known => {
                if let Some((before, _)) = &known {
                    before.take_over();
                }
                let least = known.map_or(0, |(before, _)| before.epoch + 1);
                let epoch = epoch.unwrap_or_else(|| now_ms.max(least).min(NUMBER_MAX));
                self.start(key, epoch, next)
            }
        };
        attached.numbering.attach(connection);
        let entry = Entry { numbering: Arc::clone(&attached.numbering), mode, absence: None, may_lag: false };
        let before = clients.by_key.insert(key.clone(), entry);
        clients.absent -= usize::from(before.is_some_and(|before| before.absence.is_some()));
        self.count(&clients);
        Ok(attached)
    }

    /// Whether the numbering `epoch` of `key` is known.
    pub(super) fn knows(&self, key: &Key, epoch: u64) -> bool {
        self.lock().by_key.get(key).is_some_and(|entry| entry.numbering.epoch == epoch)
    }

    /// What the numbering of `key` holds of the budget, if it is known.
    pub(super) fn account(&self, key: &Key) -> Option<Arc<Account>> {
        self.lock().by_key.get(key).map(|entry| Arc::clone(&entry.numbering.account))
    }

    /// Says that `connection` has ended; its numbering is kept for a while if it still is its own.
    pub(super) fn detach(
        &self,
        key: &Key,
        numbering: &Arc<Numbering>,
        connection: &Arc<Connection>,
        now: Instant,
    ) {
        let mut clients = self.lock();
        let Clients { by_key, away, absences, absent } = &mut *clients;
        let Some(entry) = by_key.get_mut(key) else { return };
        if !Arc::ptr_eq(&entry.numbering, numbering) || !numbering.is_of(connection) {
            return;
        }
        if entry.absence.is_some() {
            return;
        }
        *absences += 1;
        *absent += 1;
        entry.absence = Some(*absences);
        away.push_back((now, key.clone(), *absences));
        self.forget_old(&mut clients, now);
    }

    /// What is known of every client, for a gateway that comes after this one: the longest away first, those connected
    /// last, and of all of them no more than are kept.
    pub(super) fn snapshot(&self, at: (Instant, u64)) -> Vec<Kept> {
        let (now, now_ms) = at;
        let clients = self.lock();
        let away = clients.away.iter().filter(|(_, key, absence)| is_away(&clients.by_key, key, *absence));
        let away = away.map(|(since, key, _)| {
            let ago_ms = u64::try_from(now.duration_since(*since).as_millis()).unwrap_or(u64::MAX);
            (key, now_ms.saturating_sub(ago_ms))
        });
        let here = clients.by_key.iter().filter(|(_, entry)| entry.absence.is_none());
        let all: Vec<_> = away.chain(here.map(|(key, _)| (key, now_ms))).collect();
        let too_many = all.len().saturating_sub(self.keep_most);
        let newest = all.into_iter().skip(too_many);
        newest.filter_map(|(key, since)| Some(clients.by_key.get(key)?.kept(key, since))).collect()
    }

    /// Takes up what a gateway before this one knew, before anybody is attached; how many clients that were.
    pub(super) fn restore(&self, snapshot: Snapshot, at: (Instant, u64)) -> usize {
        let (now, now_ms) = at;
        let Snapshot { clients: kept, is_last_word } = snapshot;
        let mut clients = self.lock();
        for client in kept {
            let Kept { tenant, client, epoch, upto, away_since, refused, forgotten_upto } = client;
            let away_for = Duration::from_millis(now_ms.saturating_sub(away_since));
            let key = Key { tenant: tenant.into(), client: client.into() };
            let refusals = refused.into_iter().filter_map(Option::<Refusal>::from).collect();
            let window = Window::restored(upto, refusals, forgotten_upto);
            let kept_refusals = Arc::clone(&self.kept_refusals);
            let numbering =
                Numbering::over(window, epoch, names(&key, epoch), self.credit.clone(), kept_refusals);
            // Longer ago than this machine runs is long enough to be forgotten.
            let Some(since) = now.checked_sub(away_for).filter(|_| away_for < self.keep) else { continue };
            clients.absences += 1;
            let absence = clients.absences;
            let entry = Entry {
                numbering: Arc::new(numbering),
                mode: Mode::Session,
                absence: Some(absence),
                may_lag: !is_last_word,
            };
            if clients.by_key.insert(key.clone(), entry).is_none() {
                clients.absent += 1;
            }
            clients.away.push_back((since, key, absence));
        }
        self.forget_old(&mut clients, now);
        clients.absent
    }

    /// The numbering of a client of tenant `default`.
    #[cfg(test)]
    pub(super) fn of(&self, client: &str) -> Option<Arc<Numbering>> {
        let key = Key { tenant: "default".into(), client: client.into() };
        self.lock().by_key.get(&key).map(|entry| Arc::clone(&entry.numbering))
    }

    fn start(&self, key: &Key, epoch: u64, next: u64) -> Attached {
        let kept_refusals = Arc::clone(&self.kept_refusals);
        let numbering = Numbering::new(epoch, next, names(key, epoch), self.credit.clone(), kept_refusals);
        Attached::fresh(Arc::new(numbering))
    }

    fn forget_old(&self, clients: &mut Clients, now: Instant) {
        // A client that comes and goes leaves stale entries: they must not pile up for as long as numberings are kept.
        if clients.away.len() > 2 * clients.absent + STALE_MOST {
            let Clients { by_key, away, .. } = &mut *clients;
            away.retain(|(_, key, absence)| is_away(by_key, key, *absence));
        }
        while let Some((since, key, absence)) = clients.away.front() {
            if is_away(&clients.by_key, key, *absence) {
                let is_over = now.duration_since(*since) >= self.keep || clients.absent > self.keep_most;
                if !is_over {
                    break;
                }
                clients.by_key.remove(key);
                clients.absent -= 1;
            }
            clients.away.pop_front();
        }
        self.count(clients);
    }

    fn count(&self, clients: &Clients) {
        self.kept.set(i64::try_from(clients.absent).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_away(by_key: &HashMap<Key, Entry>, key: &Key, absence: u64) -> bool {
    by_key.get(key).is_some_and(|entry| entry.absence == Some(absence))
}

fn names(key: &Key, epoch: u64) -> Names {
    Names {
        id_prefix: format!("{}-{epoch}-", key.client),
        source: format!("/{}/{}", key.tenant, key.client),
        key: key.client.to_string(),
    }
}

impl Entry {
    fn kept(&self, key: &Key, away_since: u64) -> Kept {
        let (upto, refusals, forgotten_upto) = self.numbering.settled_so_far();
        Kept {
            tenant: key.tenant.to_string(),
            client: key.client.to_string(),
            epoch: self.numbering.epoch,
            upto,
            away_since,
            refused: refusals.into_iter().map(Refused::from).collect(),
            forgotten_upto,
        }
    }

    fn is_request(&self) -> bool {
        self.mode == Mode::Request && self.absence.is_none()
    }
}

#[cfg(test)]
mod tests {
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
        let stale =
            fixture.registry.attach(&key("a"), Some(6), 1, Mode::Session, &Arc::default(), fixture.at(0));
        assert_eq!(stale.unwrap_err(), Conflict::StaleEpoch { known: 7 });
        let (newer, _) = fixture.attach("a", Some(8), 5, 0);
        assert!(!newer.resumed && old.taken_over.is_cancelled());
        assert_eq!(newer.numbering.upto(), 4);
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
        assert!(
            registry.attach(&key("a"), Some(1), 1, Mode::Request, &Arc::default(), fixture.at(0)).is_ok()
        );
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
        let settled =
            SettledFrame { frame, bytes: 70, cost_bytes: 70, level: None, refusals: vec![refusal(5)] };
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
        let resumed = |after: &Fixture, at| {
            ["a", "b", "c"].map(|client| after.attach(client, Some(1), 1, at).0.resumed)
        };
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
}
