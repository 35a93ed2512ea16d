//! Events that wait for the end of their window, and the records that are made of them.
//!
//! An event settles as the record of its group does. So its client keeps it until then, and a kill loses nothing that was
//! acknowledged. That nobody stands still for it, groups are closed early: see [`Aggregates::look`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use super::budget::{Account, Budget, Held};
use super::core::Core;
use crate::pipeline::{Closed, Group, Windows};
use crate::record::Records;
use crate::ticket::{Settled, Settlement, Ticket};

/// How often it is looked at what has to be closed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long who waits for an answer waits for windows: a request, and a client that takes its leave. It leaves a request
/// twice as long for the destination.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Events in windows may hold this part of the budget.
const BUDGET_DIVISOR: u64 = 2;

/// All windows of all rules.
pub(super) struct Aggregates {
    state: Mutex<State>,
    /// Wakes whoever closes windows when there is something again.
    opened: Notify,
}

struct State {
    windows: Windows<Member>,
    /// What the groups hold, beside what their events hold.
    groups: Held,
    /// Whose groups must be closed, by the address of the account, and when.
    released: HashMap<usize, Instant>,
}

/// An event in a group.
struct Member {
    ticket: Ticket,
    index: u32,
    /// `None` once the group is closed.
    whose: Option<Arc<Account>>,
}

impl Aggregates {
    pub(super) fn new(budget: &Budget) -> Self {
        let groups = budget.nothing(&Arc::default());
        let state = State { windows: Windows::default(), groups, released: HashMap::new() };
        Self { state: Mutex::new(state), opened: Notify::new() }
    }

    /// Takes what events of a frame give to aggregates. They settle through `ticket`. `room` is for the groups that they
    /// begin: what those do not need of it is given back.
    pub(super) fn add(&self, core: &Core, records: &Records, ticket: &Ticket, room: Held) {
        let whose = room.account();
        let contributions = records.contributions();
        let Some(part_bytes) = records.cost_bytes().checked_div(contributions.len() as u64) else { return };
        let now_ms = super::wall_ms();
        let mut state = self.lock();
        for contribution in contributions {
            whose.enters_window();
            let member =
                Member { ticket: ticket.clone(), index: contribution.index, whose: Some(Arc::clone(whose)) };
            state.windows.add(&contribution, now_ms, member, part_bytes);
        }
        let bytes = state.windows.groups_bytes();
        state.groups.resize(bytes);
        state.tell(core);
        drop(state);
        drop(room);
        self.opened.notify_one();
    }

    /// Closes the groups that hold up `whose` events, `after` this time at the latest: it cannot go on without them, or
    /// waits for an answer.
    pub(super) fn release(&self, whose: &Arc<Account>, after: Duration) {
        if !whose.is_in_window() {
            return;
        }
        let at = super::now() + after;
        let mut state = self.lock();
        let due = state.released.entry(Arc::as_ptr(whose).addr()).or_insert(at);
        *due = at.min(*due);
    }

    /// Closes what has to be closed now: windows that have ended, and what cannot stay open.
    fn look(&self, core: &Core) {
        let rules = core.pipeline.rules();
        let (now, now_ms) = (super::now(), super::wall_ms());
        let mut state = self.lock();
        let State { windows, released, .. } = &mut *state;
        windows.end(now_ms);
        windows.keep_rules(|rule| rules.has(rule));
        if core.draining.is_cancelled() {
            windows.close(Closed::Shutdown, |_| true);
        }
        if windows.held_bytes() > core.budget.total() / BUDGET_DIVISOR {
            windows.close(Closed::Memory, |_| true);
        }
        let due: HashSet<usize> = released.extract_if(|_, at| *at <= now).map(|(whose, _)| whose).collect();
        if !due.is_empty() {
            let is_due = |member: &Member| {
                member.whose.as_ref().is_some_and(|whose| due.contains(&Arc::as_ptr(whose).addr()))
            };
            windows.close(Closed::Client, |group| group.members.iter().any(is_due));
        }
        state.tell(core);
    }

    /// Resolves when it is time to look again. Cancel safe.
    async fn due(&self) {
        let is_empty = self.lock().windows.is_empty();
        if is_empty {
            self.opened.notified().await;
        } else {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn take_closed(&self, core: &Core) -> Option<Group<Member>> {
        let mut state = self.lock();
        let (why, mut group) = state.windows.take_closed()?;
        let bytes = state.windows.groups_bytes();
        state.groups.resize(bytes);
        state.tell(core);
        drop(state);
        core.metrics.aggregates.closed(&group.rule.route, why.label());
        group.members.iter_mut().for_each(Member::leave);
        Some(group)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Says how much is open, whether or not anybody can look: who hands over a record may wait for room.
    fn tell(&self, core: &Core) {
        core.metrics.aggregates.open(self.windows.open_groups(), self.windows.open_events());
    }
}

/// Closes windows and hands over their records, until sessions are closed. What is left then is lost, which its clients
/// are not told is safe.
pub(super) async fn run(core: &Core) {
    for rule in core.pipeline.rules().aggregations() {
        core.metrics.aggregates.begin(&rule.route, Closed::ALL.map(Closed::label));
    }
    let work = async {
        loop {
            core.aggregates.due().await;
            core.aggregates.look(core);
            while let Some(group) = core.aggregates.take_closed(core) {
                hand_over(core, group).await;
            }
        }
    };
    tokio::select! {
        biased;
        () = work => {}
        () = core.closing.cancelled() => {}
    }
    core.aggregates.lock().windows.close(Closed::Shutdown, |_| true);
    while core.aggregates.take_closed(core).is_some() {}
}

/// Hands over the record of a group, when there is room.
///
/// Not cancel safe: its events are lost.
async fn hand_over(core: &Core, group: Group<Member>) {
    let mut records = Records::default();
    let encoding = core.pipeline.rules().encoding(&group.rule);
    // Made once: a record that is offered again, or copied elsewhere, keeps its name.
    let id = Uuid::now_v7().hyphenated().to_string();
    group.write(&id, super::wall_ms(), encoding, &mut records);
    let mut held = core.budget.nothing(&Arc::default());
    held.resize(records.cost_bytes());
    let ticket = Ticket::new(1, Box::new(Members { members: group.members, _held: held }));
    while core.sink.submit(&records, 0, &ticket) == 0 {
        core.sink.room().await;
    }
}

impl Member {
    /// Waits no longer for a window to end.
    fn leave(&mut self) {
        if let Some(whose) = self.whose.take() {
            whose.leaves_window();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The events of a group whose record is on its way.
struct Members {
    members: Vec<Member>,
    /// What the record holds of the budget.
    _held: Held,
}

impl Settled for Members {
    /// As the record has ended, so have all its events.
    fn settled(self: Box<Self>, record: Settlement) {
        for Member { ticket, index, .. } in &self.members {
            match record {
                Settlement { committed: 1.., .. } => ticket.committed(1),
                Settlement { stored: 1.., .. } => ticket.stored(1),
                Settlement { dropped: 1.., .. } => ticket.dropped(1),
                Settlement { ref refused, .. } => match refused.first() {
                    Some(why) => ticket.refused(*index, why.outcome, why.message.clone()),
                    None => ticket.lost(1),
                },
            }
        }
    }
}
