//! Which topic an event goes to, and whether it goes: the first route whose condition holds, and its filters.

use std::cell::RefCell;

use tidegate_cel::{Compiler, Fault, Findings, Malformed, Plan, Problem, Program};
use tidegate_wire::{Attribute, Code, Data, Event, Limits, Reject};

use super::filter::{Filter, Rule};
use super::seen::{Asked, Seen};
use super::trace::{Cost, Outline, Trace};
use crate::config::Route;
use crate::record::{Encoding, TopicId};

thread_local! {
    /// What rules find in a payload: one a worker thread, so that nothing is allocated for an event.
    static FINDINGS: RefCell<Findings> = RefCell::default();
}

/// The routes in their order.
#[derive(Debug)]
pub(super) struct Table {
    routes: Vec<Compiled>,
    /// What conditions look at; and filters too where a condition looks into the payload, so that it is read once.
    conditions: Look,
    /// Whether any rule looks into the payload.
    pub(super) looks_at_payload: bool,
}

/// Where a route leads.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) topic: TopicId,
    pub(super) name: String,
    pub(super) encoding: Encoding,
    pub(super) tolerance_ms: u64,
}

#[derive(Debug)]
struct Compiled {
    name: String,
    when: Option<Program>,
    filters: Vec<Filter>,
    /// What the filters look at, where it is not in [`Table::conditions`].
    look: Option<Look>,
    target: Target,
}

/// What some expressions look at.
#[derive(Debug)]
struct Look {
    plan: Plan,
    attributes: Vec<Asked>,
    is_into_payload: bool,
}

impl Look {
    fn new(compiler: &Compiler) -> Self {
        Self {
            plan: compiler.plan().clone(),
            attributes: compiler.attributes().iter().map(|name| Asked::new(name)).collect(),
            is_into_payload: compiler.looks_at_payload(),
        }
    }

    /// Finds what is looked at.
    fn read(&self, event: &mut Event<'_>, limits: &Limits, findings: &mut Findings) -> Result<(), Reject> {
        if !self.is_into_payload {
            return Ok(());
        }
        let text = event.json();
        if text.is_none() {
            // It has no fields, or is not even text.
            event.check(limits)?;
        }
        match self.plan.read(text, limits.max_json_depth, findings) {
            Ok(()) => {
                if let Data::Unchecked(json) = event.data {
                    event.data = Data::Json(json);
                }
                Ok(())
            }
            Err(Malformed::Duplicate(at)) => {
                // What is no JSON at all is told that first.
                event.check(limits)?;
                Err(twice(at))
            }
            // Says what every payload that is not JSON is told.
            Err(Malformed::Json(_)) => event.check(limits),
        }
    }

    #[inline]
    fn holds(&self, program: &Program, event: &Event<'_>, findings: &mut Findings) -> Result<bool, Fault> {
        let payload = if program.looks_at_payload() { event.json() } else { None };
        program.holds(&self.plan, payload, &Seen(event, &self.attributes), findings)
    }
}

fn twice(at: usize) -> Reject {
    let message = format!("`data` names a member twice in one object, at byte {at}: rules look at it");
    Reject { code: Code::Malformed, message: message.into() }
}

impl Table {
    pub(super) fn new(routes: &[Route], topics: &[String]) -> Result<Self, Problem> {
        let to_first = [Route { topic: topics.first().cloned().unwrap_or_default(), ..Route::to_events() }];
        let routes = if routes.is_empty() { &to_first } else { routes };
        let mut compiler = Compiler::default();
        let conditions = routes.iter().map(|route| route.when.as_ref());
        let whens: Vec<_> = conditions
            .map(|when| when.map(|when| compiler.condition(when.text())).transpose())
            .collect::<Result<_, _>>()?;
        let is_read_first = compiler.looks_at_payload();
        let ready = routes.iter().zip(whens).enumerate().map(|(index, (route, when))| {
            let mut own = Compiler::default();
            let compiler = if is_read_first { &mut compiler } else { &mut own };
            let filters = route.filters.iter().enumerate();
            let filters = filters
                .map(|(index, filter)| Filter::new(filter, index, compiler))
                .collect::<Result<_, _>>()?;
            let position = topics.iter().position(|topic| *topic == route.topic).unwrap_or(0);
            Ok(Compiled {
                name: route.name.clone().unwrap_or_else(|| (index + 1).to_string()),
                when,
                filters,
                look: (!is_read_first).then(|| Look::new(&own)),
                target: Target {
                    topic: TopicId(u16::try_from(position).unwrap_or(0)),
                    name: route.topic.clone(),
                    encoding: route.encoding,
                    tolerance_ms: route.tolerance_ms,
                },
            })
        });
        let routes: Vec<Compiled> = ready.collect::<Result<_, _>>()?;
        let mut own = routes.iter().filter_map(|route| route.look.as_ref());
        let looks_at_payload = is_read_first || own.any(|look| look.is_into_payload);
        Ok(Self { routes, conditions: Look::new(&compiler), looks_at_payload })
    }

    /// Filters that `before` had too go on counting.
    pub(super) fn succeed(&mut self, before: &Self) {
        for route in &mut self.routes {
            let Some(same) = before.routes.iter().find(|other| other.name == route.name) else { continue };
            for filter in &mut route.filters {
                same.filters.iter().for_each(|other| filter.succeed(other));
            }
        }
    }

    /// The filters of all routes.
    pub(super) fn rules(&self) -> impl Iterator<Item = Rule<'_>> {
        self.routes.iter().flat_map(|route| route.filters.iter().map(|filter| filter.rule(&route.name)))
    }

    /// What the rules of each route cost and look at.
    pub(super) fn outlines(&self) -> Vec<Outline> {
        self.routes.iter().map(|route| route.outline(&self.conditions)).collect()
    }

    /// Where the event goes; `permits` is asked before the filters are.
    pub(super) fn take(
        &self,
        event: &mut Event<'_>,
        limits: &Limits,
        permits: impl FnOnce(&Target) -> Result<(), Reject>,
        trace: &mut impl Trace,
    ) -> Result<&Target, Reject> {
        // Without rules, which is how most begin, this is all there is to do.
        if let [route] = self.routes.as_slice()
            && route.when.is_none()
            && route.filters.is_empty()
        {
            permits(&route.target)?;
            event.check(limits)?;
            return Ok(&route.target);
        }
        FINDINGS.with_borrow_mut(|findings| {
            self.conditions.read(event, limits, findings)?;
            let taken = self.routes.iter().enumerate().find(|(index, route)| {
                let Some(when) = &route.when else { return true };
                let said = self.conditions.holds(when, event, findings);
                trace.condition(*index, said);
                said == Ok(true)
            });
            let (_, route) = taken.ok_or_else(|| unrouted(event))?;
            permits(&route.target)?;
            route.filter(&self.conditions, event, limits, findings, trace)?;
            // Where nothing has looked through it.
            event.check(limits)?;
            Ok(&route.target)
        })
    }
}

impl Compiled {
    /// Asks all filters.
    #[inline]
    fn filter(
        &self,
        conditions: &Look,
        event: &mut Event<'_>,
        limits: &Limits,
        findings: &mut Findings,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        if self.filters.is_empty() {
            return Ok(());
        }
        if let Some(look) = &self.look {
            look.read(event, limits, findings)?;
        }
        let look = self.look.as_ref().unwrap_or(conditions);
        for (index, filter) in self.filters.iter().enumerate() {
            let said = look.holds(filter.program(), event, findings);
            let goes_on = filter.keeps(said);
            trace.filter(index, said, goes_on);
            if !goes_on {
                return Err(Reject { code: Code::Filtered, message: "".into() });
            }
        }
        Ok(())
    }

    fn outline(&self, conditions: &Look) -> Outline {
        let look = self.look.as_ref().unwrap_or(conditions);
        Outline {
            name: self.name.clone(),
            condition: self.when.as_ref().map(cost),
            filters: self.filters.iter().map(|filter| cost(filter.program())).collect(),
            fields: look.plan.paths(),
        }
    }
}

fn cost(program: &Program) -> Cost {
    Cost { steps: program.cost(), looks_at_payload: program.looks_at_payload() }
}

fn unrouted(event: &Event<'_>) -> Reject {
    let kind = event.get(Attribute::Type).map(|value| value.text()).unwrap_or_default();
    Reject { code: Code::Unrouted, message: format!("no route takes type `{}`", shortened(&kind)).into() }
}

/// As much of a client's word as an answer repeats.
fn shortened(word: &str) -> String {
    word.chars().take(64).collect()
}
