//! The numberings of named clients, over their connections: resume, take-over, and forgetting in time.

#[cfg(test)]
mod tests;

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
                let least = known.as_ref().map_or(0, |(before, _)| before.epoch + 1);
                let epoch = epoch.unwrap_or_else(|| now_ms.max(least).min(NUMBER_MAX));
                // What the client holds it holds under whatever epoch.
                let account = known.map(|(before, _)| Arc::clone(&before.account));
                self.start(key, epoch, next, account.unwrap_or_default())
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

    fn start(&self, key: &Key, epoch: u64, next: u64, account: Arc<Account>) -> Attached {
        let kept_refusals = Arc::clone(&self.kept_refusals);
        let mut numbering =
            Numbering::new(epoch, next, names(key, epoch), self.credit.clone(), kept_refusals);
        numbering.account = account;
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
