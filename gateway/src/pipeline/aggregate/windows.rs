//! Which events are together in a window: pure, with the time as an argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::stats::Stats;
use crate::record::{Aggregation, Contribution, GROUP_VALUE_BYTES, TopicId, group_bytes};

/// How many events a group has at most: they settle together, on a thread of the destination's.
const MEMBERS_MAX: usize = 8_192;

const _: () = assert!(size_of::<Stats>() <= GROUP_VALUE_BYTES, "a group holds what is counted for it");

/// Why a group was closed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Closed {
    /// Its window had ended.
    Window,
    /// It had as many events as a group may have.
    Members,
    /// Its window had as many groups as it may have.
    Groups,
    /// A sum would have become infinite.
    Overflow,
    /// What waited in windows came to too much memory.
    Memory,
    /// A client could not go on, or was about to leave, or waited for its answer.
    Client,
    /// The rules are others now.
    Rules,
    /// The gateway is going away.
    Shutdown,
}

impl Closed {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Window,
        Self::Members,
        Self::Groups,
        Self::Overflow,
        Self::Memory,
        Self::Client,
        Self::Rules,
        Self::Shutdown,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Members => "members",
            Self::Groups => "groups",
            Self::Overflow => "overflow",
            Self::Memory => "memory",
            Self::Client => "client",
            Self::Rules => "rules",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Events of one window with the same key, each standing in as an `M`.
#[derive(Debug)]
pub struct Group<M> {
    /// Of which rule.
    pub rule: Arc<Aggregation>,
    /// Where it goes.
    pub(super) topic: TopicId,
    /// What its events have in common; `None` is the group of those without a key.
    pub(super) key: Option<Box<str>>,
    /// When its window begins, Unix ms.
    pub(super) from_ms: u64,
    /// When its window ends, whether the group was closed before or not.
    pub(super) to_ms: u64,
    /// Of each of the rule's values.
    pub(super) stats: Vec<Stats>,
    /// Its events, as they came.
    pub members: Vec<M>,
    /// What its events hold elsewhere, until it is durable.
    held_bytes: u64,
}

/// All groups: those that take events, and those that are closed and wait to be taken.
#[derive(Debug)]
pub struct Windows<M> {
    open: Vec<Open<M>>,
    closed: VecDeque<(Closed, Group<M>)>,
    open_events: usize,
    held_bytes: u64,
    groups_bytes: u64,
    /// For keys of [`Open::groups`].
    name: Vec<u8>,
}

/// The window of a rule that takes events.
#[derive(Debug)]
struct Open<M> {
    rule: Arc<Aggregation>,
    from_ms: u64,
    /// By topic and key.
    groups: HashMap<Box<[u8]>, Group<M>>,
}

impl<M> Default for Windows<M> {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            closed: VecDeque::new(),
            open_events: 0,
            held_bytes: 0,
            groups_bytes: 0,
            name: Vec::new(),
        }
    }
}

impl<M> Windows<M> {
    /// Takes an event. `held_bytes` is what it holds elsewhere until its group is durable.
    ///
    /// The window is that of `now_ms`; but who comes a little late, from another thread, comes into the one that is open.
    pub fn add(&mut self, contribution: &Contribution<'_>, now_ms: u64, member: M, held_bytes: u64) {
        let at = self.window_at(contribution.to, now_ms);
        let mut name = std::mem::take(&mut self.name);
        write_name(contribution, &mut name);
        let mut early = None;
        if let Some(open) = self.open.get(at) {
            early = match open.groups.get(name.as_slice()) {
                None if open.groups.len() >= open.rule.groups_max => Some(Closed::Groups),
                Some(group) if !group.takes(contribution) => Some(Closed::Overflow),
                _ => None,
            };
        }
        match early {
            Some(Closed::Groups) => self.close_at(at, Closed::Groups, |_| true),
            Some(why) => self.close_one(at, &name, why),
            None => {}
        }
        let Some(open) = self.open.get_mut(at) else { return };
        if !open.groups.contains_key(name.as_slice()) {
            let group = Group::new(contribution, open.from_ms);
            self.groups_bytes += group.size_bytes();
            open.groups.insert(name.as_slice().into(), group);
        }
        if let Some(group) = open.groups.get_mut(name.as_slice()) {
            group.add(contribution, member, held_bytes);
            self.open_events += 1;
            self.held_bytes += held_bytes;
            if group.members.len() >= MEMBERS_MAX {
                self.close_one(at, &name, Closed::Members);
            }
        }
        self.name = name;
    }

    /// Closes what has ended. A window that lies ahead by more than its length is one of a clock that was set back.
    pub fn end(&mut self, now_ms: u64) {
        for at in 0..self.open.len() {
            if self.open.get(at).is_some_and(|open| !open.takes(now_ms)) {
                self.close_at(at, Closed::Window, |_| true);
            }
        }
        self.forget_empty();
    }

    /// Closes the groups of rules that are not kept.
    pub fn keep_rules(&mut self, is_kept: impl Fn(&Arc<Aggregation>) -> bool) {
        for at in 0..self.open.len() {
            if self.open.get(at).is_some_and(|open| !is_kept(&open.rule)) {
                self.close_at(at, Closed::Rules, |_| true);
            }
        }
        self.forget_empty();
    }

    /// Closes the groups that `which` says.
    pub fn close(&mut self, why: Closed, mut which: impl FnMut(&Group<M>) -> bool) {
        for at in 0..self.open.len() {
            self.close_at(at, why, &mut which);
        }
        self.forget_empty();
    }

    /// The next group that is closed, in the order in which they were.
    pub fn take_closed(&mut self) -> Option<(Closed, Group<M>)> {
        let (why, group) = self.closed.pop_front()?;
        self.groups_bytes -= group.size_bytes();
        Some((why, group))
    }

    /// Whether there is nothing, open or closed.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    /// What the events of open groups hold elsewhere.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// What the groups themselves hold, open and closed.
    pub fn groups_bytes(&self) -> u64 {
        self.groups_bytes
    }

    /// How many events are in open groups.
    pub fn open_events(&self) -> usize {
        self.open_events
    }

    /// How many groups are open.
    pub fn open_groups(&self) -> usize {
        self.open.iter().map(|open| open.groups.len()).sum()
    }

    /// Where the window of `rule` stands that takes events now.
    fn window_at(&mut self, rule: &Arc<Aggregation>, now_ms: u64) -> usize {
        let from_ms = now_ms - now_ms % rule.window_ms.max(1);
        if let Some(at) = self.open.iter().position(|open| Arc::ptr_eq(&open.rule, rule)) {
            if self.open.get(at).is_some_and(|open| !open.takes(now_ms)) {
                self.close_at(at, Closed::Window, |_| true);
                if let Some(open) = self.open.get_mut(at) {
                    open.from_ms = from_ms;
                }
            }
            return at;
        }
        self.open.push(Open { rule: Arc::clone(rule), from_ms, groups: HashMap::new() });
        self.open.len() - 1
    }

    fn close_at(&mut self, at: usize, why: Closed, mut which: impl FnMut(&Group<M>) -> bool) {
        let Some(open) = self.open.get_mut(at) else { return };
        for (_, group) in open.groups.extract_if(|_, group| which(group)) {
            self.open_events -= group.members.len();
            self.held_bytes -= group.held_bytes;
            self.closed.push_back((why, group));
        }
    }

    fn close_one(&mut self, at: usize, name: &[u8], why: Closed) {
        let group = self.open.get_mut(at).and_then(|open| open.groups.remove(name));
        if let Some(group) = group {
            self.open_events -= group.members.len();
            self.held_bytes -= group.held_bytes;
            self.closed.push_back((why, group));
        }
    }

    fn forget_empty(&mut self) {
        self.open.retain(|open| !open.groups.is_empty());
    }
}

impl<M> Open<M> {
    /// Whether what comes at `now_ms` belongs here.
    fn takes(&self, now_ms: u64) -> bool {
        let window_ms = self.rule.window_ms;
        (self.from_ms.saturating_sub(window_ms)..self.from_ms.saturating_add(window_ms)).contains(&now_ms)
    }
}

impl<M> Group<M> {
    fn new(contribution: &Contribution<'_>, from_ms: u64) -> Self {
        let rule = Arc::clone(contribution.to);
        Self {
            topic: contribution.topic,
            key: contribution.key.map(Into::into),
            from_ms,
            to_ms: from_ms.saturating_add(rule.window_ms),
            stats: vec![Stats::default(); rule.values.len()],
            members: Vec::new(),
            held_bytes: 0,
            rule,
        }
    }

    fn takes(&self, contribution: &Contribution<'_>) -> bool {
        let mut numbers = self.stats.iter().zip(contribution.numbers);
        numbers.all(|(stats, number)| number.is_none_or(|number| stats.takes(number)))
    }

    fn add(&mut self, contribution: &Contribution<'_>, member: M, held_bytes: u64) {
        for (stats, number) in self.stats.iter_mut().zip(contribution.numbers) {
            if let Some(number) = number {
                stats.add(*number);
            }
        }
        self.members.push(member);
        self.held_bytes += held_bytes;
    }

    fn size_bytes(&self) -> u64 {
        group_bytes(self.key.as_ref().map_or(0, |key| key.len()), self.stats.len())
    }
}

/// What tells a group from the others of its rule.
fn write_name(contribution: &Contribution<'_>, name: &mut Vec<u8>) {
    name.clear();
    name.extend_from_slice(&contribution.topic.0.to_le_bytes());
    if let Some(key) = contribution.key {
        name.push(b'=');
        name.extend_from_slice(key.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Encoding, Number};

    const MINUTE: u64 = 60_000;

    fn rule(groups_max: usize) -> Arc<Aggregation> {
        Arc::new(Aggregation {
            route: "r".into(),
            kind: "t".into(),
            encoding: Encoding::Structured,
            window_ms: MINUTE,
            groups_max,
            values: vec!["n".into()],
        })
    }

    fn add(windows: &mut Windows<u32>, rule: &Arc<Aggregation>, key: &str, now_ms: u64, member: u32) {
        add_number(windows, rule, key, now_ms, member, Number::Int(1));
    }

    fn add_number(
        windows: &mut Windows<u32>,
        rule: &Arc<Aggregation>,
        key: &str,
        now_ms: u64,
        member: u32,
        number: Number,
    ) {
        let numbers = [Some(number)];
        let key = (!key.is_empty()).then_some(key);
        let contribution = Contribution { index: 0, to: rule, topic: TopicId(0), key, numbers: &numbers };
        windows.add(&contribution, now_ms, member, 100);
    }

    /// What is closed: why, of which window, which key, which events; by their first events.
    fn closed(windows: &mut Windows<u32>) -> Vec<(Closed, u64, String, Vec<u32>)> {
        let mut all = Vec::new();
        while let Some((why, group)) = windows.take_closed() {
            assert_eq!(group.to_ms, group.from_ms + group.rule.window_ms);
            all.push((why, group.from_ms, group.key.map(String::from).unwrap_or_default(), group.members));
        }
        all.sort_by_key(|(.., members)| members.first().copied());
        all
    }

    #[test]
    fn a_window_is_of_the_wall_clock_and_has_a_group_for_each_key() {
        let (mut windows, rule) = (Windows::default(), rule(9));
        for (now_ms, key, member) in [(61_000, "a", 1), (62_000, "b", 2), (119_999, "a", 3), (70_000, "", 4)]
        {
            add(&mut windows, &rule, key, now_ms, member);
        }
        windows.end(119_999);
        assert_eq!(closed(&mut windows), []);
        assert_eq!((windows.open_groups(), windows.open_events(), windows.held_bytes()), (3, 4, 400));
        windows.end(120_000);
        let expected = [
            (Closed::Window, MINUTE, "a".to_owned(), vec![1, 3]),
            (Closed::Window, MINUTE, "b".to_owned(), vec![2]),
            (Closed::Window, MINUTE, String::new(), vec![4]),
        ];
        assert_eq!(closed(&mut windows), expected);
        assert!(windows.is_empty());
        assert_eq!((windows.open_events(), windows.held_bytes(), windows.groups_bytes()), (0, 0, 0));
    }

    #[test]
    fn who_comes_after_the_end_opens_the_next_window_and_who_comes_late_by_a_thread_is_in_the_open_one() {
        let (mut windows, rule) = (Windows::default(), rule(9));
        add(&mut windows, &rule, "a", 119_999, 1);
        add(&mut windows, &rule, "a", 120_001, 2);
        add(&mut windows, &rule, "a", 119_998, 3);
        windows.end(120_002);
        assert_eq!(closed(&mut windows), [(Closed::Window, MINUTE, "a".to_owned(), vec![1])]);
        windows.end(180_000);
        assert_eq!(closed(&mut windows), [(Closed::Window, 2 * MINUTE, "a".to_owned(), vec![2, 3])]);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let (mut windows, rule) = (Windows::default(), rule(9));
        add(&mut windows, &rule, "a", 100 * MINUTE, 1);
        windows.end(40 * MINUTE);
        assert_eq!(closed(&mut windows).len(), 1);
        add(&mut windows, &rule, "a", 100 * MINUTE, 2);
        add(&mut windows, &rule, "a", 40 * MINUTE, 3);
        assert_eq!(closed(&mut windows), [(Closed::Window, 100 * MINUTE, "a".to_owned(), vec![2])]);
    }

    #[test]
    fn one_group_too_many_closes_the_others_and_is_taken() {
        let (mut windows, rule) = (Windows::default(), rule(2));
        for (member, key) in (1..).zip(["a", "b", "a", "c"]) {
            add(&mut windows, &rule, key, 0, member);
        }
        let expected =
            [(Closed::Groups, 0, "a".to_owned(), vec![1, 3]), (Closed::Groups, 0, "b".to_owned(), vec![2])];
        assert_eq!(closed(&mut windows), expected);
        assert_eq!(windows.open_groups(), 1);
    }

    #[test]
    fn a_full_group_is_closed_alone() {
        let (mut windows, rule) = (Windows::default(), rule(2));
        add(&mut windows, &rule, "b", 0, 0);
        (1..=8_192).for_each(|member| add(&mut windows, &rule, "a", 0, member));
        let closed = closed(&mut windows);
        let [(Closed::Members, 0, key, members)] = closed.as_slice() else { panic!("{closed:?}") };
        assert_eq!((key.as_str(), members.len()), ("a", 8_192));
        assert_eq!(windows.open_groups(), 1);
    }

    #[test]
    fn a_sum_that_would_be_infinite_begins_anew() {
        let (mut windows, rule) = (Windows::default(), rule(2));
        for member in 1..=2 {
            add_number(&mut windows, &rule, "a", 0, member, Number::Double(f64::MAX));
        }
        assert_eq!(closed(&mut windows), [(Closed::Overflow, 0, "a".to_owned(), vec![1])]);
        assert_eq!(windows.open_groups(), 1);
    }

    #[test]
    fn groups_are_closed_by_what_is_in_them_and_rules_do_not_mix() {
        let (mut windows, one, other) = (Windows::default(), rule(2), rule(2));
        for (rule, key, member) in [(&one, "a", 1), (&other, "a", 2), (&one, "b", 3)] {
            add(&mut windows, rule, key, 0, member);
        }
        windows.close(Closed::Client, |group| group.members.contains(&3));
        assert_eq!(closed(&mut windows), [(Closed::Client, 0, "b".to_owned(), vec![3])]);
        windows.keep_rules(|rule| Arc::ptr_eq(rule, &one));
        assert_eq!(closed(&mut windows), [(Closed::Rules, 0, "a".to_owned(), vec![2])]);
        assert_eq!((windows.open_groups(), windows.held_bytes()), (1, 100));
    }
}
