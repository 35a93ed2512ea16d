//! Which topic an event goes to, and whether it goes: the first route whose condition holds, and its operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_cel::{Compiler, Findings, Problem, Program};
use tidegate_wire::{Attribute, Code, Data, Event, Limits, Reject, Value};

use super::edited::Edited;
use super::look::{Look, Sight};
use super::onward::Onward;
use super::operators::deadband::Last;
use super::operators::{Aggregate, Frame, Mark, Operators, Passed, Validate};
use super::stamp::Stamp;
use super::tally::Tally;
use super::topic::Leads;
use super::trace::{Cost, Outline, Trace};
use crate::config::Route;
use crate::record::{Aggregation, Encoding, TopicId};
use crate::schema::Subjects;

/// The routes in their order.
#[derive(Debug)]
pub(super) struct Table {
    routes: Vec<Compiled>,
    /// What conditions look at; and operators too where a condition looks into the payload, so that it is read once.
    conditions: Look,
    /// Whether any rule looks into the payload.
    pub(super) looks_at_payload: bool,
    /// Whether a schema may be missing without which nothing may be taken. Once none is, none ever is: what was seen stays.
    may_await: AtomicBool,
}

/// Where a route leads.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) leads: Leads,
    /// Where what does not fit its schema goes.
    pub(super) dead_letter: Option<TopicId>,
    /// The topic's name, or the template.
    pub(super) name: String,
    pub(super) encoding: Encoding,
    pub(super) tolerance_ms: u64,
}

/// A route, ready to be asked.
#[derive(Debug)]
pub(super) struct Compiled {
    name: String,
    is_named: bool,
    when: Option<Program>,
    /// How `when` is written.
    condition: Option<String>,
    operators: Operators,
    onward: Option<Onward>,
    /// What the operators look at, where it is not in [`Table::conditions`].
    look: Option<Look>,
    /// What [`Compiled::onward`] looks at, where the payload is edited before.
    after: Option<Look>,
    pub(super) target: Target,
}

impl Table {
    pub(super) fn new(routes: &[Route], topics: &[String], subjects: &Subjects) -> Result<Self, Problem> {
        let to_first = [Route { topic: topics.first().cloned().unwrap_or_default(), ..Route::to_events() }];
        let routes = if routes.is_empty() { &to_first } else { routes };
        let ids =
            topics.iter().enumerate().rev().map(|(position, name)| (name.as_str(), id(position))).collect();
        let mut compiler = Compiler::default();
        let conditions = routes.iter().map(|route| route.when.as_ref());
        let whens: Vec<_> = conditions
            .map(|when| when.map(|when| compiler.condition(when.text())).transpose())
            .collect::<Result<_, _>>()?;
        let is_read_first = compiler.looks_at_payload();
        let ready = routes.iter().zip(whens).enumerate().map(|(index, (route, when))| {
            let mut own = Compiler::default();
            let compiler = if is_read_first { &mut compiler } else { &mut own };
            let operators = Operators::new(route, subjects, compiler)?;
            let mut after = operators.has_edits().then(Compiler::default);
            let onward = Onward::new(route, index, after.as_mut().unwrap_or(compiler))?;
            Ok(Compiled {
                name: route.name.clone().unwrap_or_else(|| (index + 1).to_string()),
                is_named: route.name.is_some(),
                when,
                condition: route.when.as_ref().map(|when| when.text().to_owned()),
                operators,
                onward,
                look: (!is_read_first).then(|| Look::new(&own)),
                after: after.as_ref().map(Look::new),
                target: Target {
                    leads: Leads::new(route, &ids),
                    dead_letter: route.dead_letter.as_ref().and_then(|name| ids.get(name.as_str()).copied()),
                    name: route.topic.clone(),
                    encoding: route.encoding,
                    tolerance_ms: route.tolerance_ms,
                },
            })
        });
        let routes: Vec<Compiled> = ready.collect::<Result<_, _>>()?;
        let mut own = routes.iter().filter_map(|route| route.look.as_ref());
        let looks_at_payload = is_read_first
            || own.any(Look::is_into_payload)
            || routes.iter().any(|route| route.operators.checks_payload());
        let conditions = Look::new(&compiler);
        Ok(Self { routes, conditions, looks_at_payload, may_await: AtomicBool::new(true) })
    }

    /// Rules that `before` had too, written the same, go on counting, and know what those knew.
    pub(super) fn succeed(&mut self, before: &Self) {
        for route in &mut self.routes {
            let Some(same) = before.routes.iter().find(|other| route.is_same(other)) else { continue };
            route.operators.succeed(&same.operators);
            if let (Some(onward), Some(other)) = (&mut route.onward, &same.onward) {
                onward.succeed(other);
            }
        }
    }

    /// Whether a schema is missing without which nothing may be taken.
    #[inline]
    pub(super) fn is_awaiting(&self) -> bool {
        if !self.may_await.load(Ordering::Relaxed) {
            return false;
        }
        let mut subjects = self.routes.iter().filter_map(|route| route.operators.awaits());
        let is_awaiting = subjects.any(|subject| !subject.is_known());
        self.may_await.store(is_awaiting, Ordering::Relaxed);
        is_awaiting
    }

    /// The rules of all routes, each with the name of its route.
    pub(super) fn tallies(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.routes.iter().flat_map(|route| {
            let onward = route.onward.iter().flat_map(Onward::tallies);
            route.operators.tallies().chain(onward).map(|tally| (route.name.as_str(), tally))
        })
    }

    /// Where many events become one record.
    pub(super) fn aggregations(&self) -> impl Iterator<Item = &Arc<Aggregation>> {
        self.routes.iter().filter_map(Compiled::aggregate).map(Aggregate::rule)
    }

    /// What the rules of each route cost and look at.
    pub(super) fn outlines(&self) -> Vec<Outline> {
        self.routes.iter().map(|route| route.outline(&self.conditions)).collect()
    }

    /// Where everything goes as it came: without rules, which is how most begin.
    #[inline]
    pub(super) fn only(&self) -> Option<(&Target, TopicId)> {
        let [route] = self.routes.as_slice() else { return None };
        match &route.target.leads {
            Leads::To(topic) if route.takes_all_as_it_is() => Some((&route.target, *topic)),
            _ => None,
        }
    }

    /// The route that takes the event, whose operators let it pass; `permits` is asked before they are.
    pub(super) fn take<'a>(
        &'a self,
        event: &mut Event<'_>,
        findings: &mut Findings,
        judged: Judged<'a>,
        permits: impl FnOnce(&Target) -> Result<(), Reject>,
        frame: &mut Frame,
        trace: &mut impl Trace,
    ) -> Result<(&'a Compiled, Passed<'a>), Refused<'a>> {
        let Judged { limits, stamp, .. } = judged;
        self.conditions.read(event, limits, findings)?;
        let taken = self.routes.iter().enumerate().find(|(index, route)| {
            let Some(when) = &route.when else { return true };
            let said = self.conditions.holds(when, event, findings);
            trace.condition(*index, said);
            said == Ok(true)
        });
        let Some((_, route)) = taken else {
            return Err(unless_malformed(unrouted(event), event, limits).into());
        };
        permits(&route.target).map_err(|reject| unless_malformed(reject, event, limits))?;
        if let Some(look) = &route.look {
            look.read(event, limits, findings)?;
        }
        // Where nothing has looked through it, nor will before an operator judges it.
        if !route.operators.checks_payload() {
            event.check(limits)?;
        }
        let look = route.look.as_ref().unwrap_or(&self.conditions);
        trace.begins();
        let mut sight = judged.sight(look, event, findings);
        let passed = route.operators.judge(&mut sight, || stamp.fate(), frame, trace);
        let passed = passed.map_err(|reject| Refused { reject, by: Some(route) })?;
        if let Some(rate) = passed.sampledrate {
            event.set(Attribute::Sampledrate, Value::Integer(rate));
        }
        Ok((route, passed))
    }

    /// Completes what `route` does with an event that it took: what it says of the record's key, and what the event leaves in
    /// memory if it goes on.
    #[inline]
    pub(super) fn complete<'a>(
        &'a self,
        route: &'a Compiled,
        event: &mut Event<'_>,
        findings: &mut Findings,
        judged: Judged<'a>,
        key: &mut String,
        trace: &mut impl Trace,
    ) -> Result<(bool, Option<Mark<'a, Last>>), Reject> {
        let Some(onward) = &route.onward else { return Ok((false, None)) };
        if let Some(after) = &route.after {
            after.read(event, judged.limits, findings)?;
        }
        let mut sight = self.sight(route, event, findings, judged);
        let mark = onward.judge(&mut sight, || judged.stamp.fate(), trace)?;
        Ok((onward.key(&mut sight, key), mark))
    }

    /// What the rules of `route` that come after edits see of an event that it took.
    #[inline]
    pub(super) fn sight<'s, 'e>(
        &'s self,
        route: &'s Compiled,
        event: &'s Event<'e>,
        findings: &'s mut Findings,
        judged: Judged<'s>,
    ) -> Sight<'s, 'e> {
        let look = route.after.as_ref().or(route.look.as_ref()).unwrap_or(&self.conditions);
        judged.sight(look, event, findings)
    }
}

/// An event that does not go on.
pub(super) struct Refused<'a> {
    pub(super) reject: Reject,
    /// The route whose operators said so.
    pub(super) by: Option<&'a Compiled>,
}

impl From<Reject> for Refused<'_> {
    fn from(reject: Reject) -> Self {
        Self { reject, by: None }
    }
}

/// By what events are judged beside the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    pub(super) limits: &'a Limits,
    /// When they came, and what becomes of them.
    pub(super) stamp: &'a Stamp<'a>,
    /// Whose clients send them.
    pub(super) tenant: &'a str,
}

impl<'a> Judged<'a> {
    /// What rules see of an event.
    fn sight<'s, 'e>(self, look: &'s Look, event: &'s Event<'e>, findings: &'s mut Findings) -> Sight<'s, 'e>
    where
        'a: 's,
    {
        let Self { limits, stamp, tenant } = self;
        Sight { look, event, findings, now_ms: stamp.now_ms(), tenant, limits }
    }
}

impl Compiled {
    /// Edits the payload of an event that goes on; whether there is anything that might have.
    #[inline]
    pub(super) fn edit(
        &self,
        event: &mut Event<'_>,
        edited: &mut Edited,
        judged: Judged<'_>,
        trace: &mut impl Trace,
    ) -> Result<bool, Reject> {
        if self.after.is_none() {
            return Ok(false);
        }
        edited.begin();
        self.operators.edit(event, edited, judged, trace)?;
        Ok(true)
    }

    /// What makes one record of many of its events.
    #[inline]
    pub(super) fn aggregate(&self) -> Option<&Aggregate> {
        self.onward.as_ref()?.aggregate.as_ref()
    }

    /// Redacts an event that goes elsewhere than its route says; whether it is edited. One that cannot be is left without data.
    pub(super) fn redact(&self, event: &mut Event<'_>, edited: &mut Edited, judged: Judged<'_>) -> bool {
        if !self.redacts() {
            return false;
        }
        edited.begin();
        let is_redacted = self.operators.redact_uncounted(event, edited, judged).is_ok();
        if !is_redacted {
            event.data = Data::None;
        }
        is_redacted
    }

    /// Whether anything of its events' payloads is kept back.
    pub(super) fn redacts(&self) -> bool {
        self.operators.redacts()
    }

    /// What the data of its events must be like.
    pub(super) fn validate(&self) -> Option<&Validate> {
        self.operators.validate.as_ref()
    }

    /// Whether it goes on where `before` is. The position of a route without a name may be another one's by now, so that what
    /// it takes and where it leads must be the same too.
    fn is_same(&self, before: &Self) -> bool {
        let is_called_so = self.is_named == before.is_named && self.name == before.name;
        is_called_so
            && (self.is_named || self.condition == before.condition && self.target.name == before.target.name)
    }

    fn takes_all_as_it_is(&self) -> bool {
        self.when.is_none() && self.operators.is_empty() && self.onward.is_none()
    }

    fn outline(&self, conditions: &Look) -> Outline {
        Outline {
            name: self.name.clone(),
            condition: self.when.as_ref().map(|when| Cost::of([when])),
            rules: self
                .operators
                .steps()
                .into_iter()
                .chain(self.onward.iter().flat_map(Onward::steps))
                .collect(),
            fields: self.look.as_ref().unwrap_or(conditions).paths(),
        }
    }
}

/// Why an event is refused: whatever else is wrong, one that is none is told that.
#[cold]
pub(super) fn unless_malformed(reject: Reject, event: &mut Event<'_>, limits: &Limits) -> Reject {
    event.check(limits).err().unwrap_or(reject)
}

fn id(position: usize) -> TopicId {
    TopicId(u16::try_from(position).unwrap_or(0))
}

fn unrouted(event: &Event<'_>) -> Reject {
    let kind = event.get(Attribute::Type).map(|value| value.text()).unwrap_or_default();
    Reject { code: Code::Unrouted, message: format!("no route takes type `{}`", shortened(&kind)).into() }
}

/// As much of a client's word as an answer repeats.
pub(super) fn shortened(word: &str) -> String {
    word.chars().take(64).collect()
}
