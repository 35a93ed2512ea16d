//! Which of a route's events are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_cel::{Compiler, Fault, Problem, Program};

use crate::config::{Condition, Filter as Written, OnError};

/// A filter, ready to be asked.
#[derive(Debug)]
pub(super) struct Filter {
    program: Program,
    /// What the condition says of events that are dropped.
    drops: bool,
    on_error: OnError,
    is_shadow: bool,
    name: String,
    /// Of the same filter before, too, where rules were replaced.
    counts: Arc<Counts>,
    text: String,
}

/// What a filter has done since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events that went on.
    pub kept: AtomicU64,
    /// Events that did not; of a shadow filter, those that would not have.
    pub dropped: AtomicU64,
    /// Events for which it had no answer; they are among the others too.
    pub faults: AtomicU64,
}

/// A filter of a route and what it has done.
#[derive(Debug)]
pub struct Rule<'a> {
    /// The name of the route.
    pub route: &'a str,
    /// The name of the filter.
    pub name: &'a str,
    /// Whether it only counts.
    pub is_shadow: bool,
    /// What it has done.
    pub counts: &'a Counts,
}

impl Filter {
    pub(super) fn new(written: &Written, index: usize, compiler: &mut Compiler) -> Result<Self, Problem> {
        // Without either, which the configuration refuses, all are kept.
        let (condition, drops) = match (&written.keep, &written.drop) {
            (Some(keep), _) => (keep.text(), false),
            (None, drop) => (drop.as_ref().map_or("false", Condition::text), true),
        };
        Ok(Self {
            program: compiler.condition(condition)?,
            drops,
            on_error: written.on_error,
            is_shadow: written.shadow,
            name: written.name.clone().unwrap_or_else(|| (index + 1).to_string()),
            counts: Arc::default(),
            text: condition.to_owned(),
        })
    }

    /// Goes on counting where `before` is, if that is the same filter.
    pub(super) fn succeed(&mut self, before: &Self) {
        let what = |filter: &Self| (filter.drops, filter.on_error, filter.is_shadow);
        if self.name == before.name && self.text == before.text && what(self) == what(before) {
            self.counts = Arc::clone(&before.counts);
        }
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    pub(super) fn rule<'a>(&'a self, route: &'a str) -> Rule<'a> {
        Rule { route, name: &self.name, is_shadow: self.is_shadow, counts: &self.counts }
    }

    /// Whether an event goes on for which the condition says this.
    pub(super) fn keeps(&self, said: Result<bool, Fault>) -> bool {
        let is_dropped = match said {
            Ok(holds) => holds == self.drops,
            Err(_) => {
                self.counts.faults.fetch_add(1, Ordering::Relaxed);
                self.on_error == OnError::Drop
            }
        };
        let count = if is_dropped { &self.counts.dropped } else { &self.counts.kept };
        count.fetch_add(1, Ordering::Relaxed);
        !is_dropped || self.is_shadow
    }
}
