//! What happens to an event between its frame and its destination: pure, so every rule is a table test.
//!
//! The reader learns the order from [`Pipeline::run`]: fill (is it an event), admit (has it not expired), complete
//! (what the client left out), route (with the route's operators), encode. No clock, no I/O, no metrics: time and names come in the [`Stamp`].

mod aggregate;
mod edited;
mod encode;
mod look;
mod onward;
mod operators;
mod route;
mod seen;
mod stamp;
mod tally;
mod topic;
mod trace;

use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
pub use tidegate_cel::Fault;
use tidegate_cel::Findings;
use tidegate_wire::{Aliases, Code, Event, Limits, Raw, Reject};

pub use self::aggregate::{Closed, Group, Windows};
use self::edited::Edited;
pub use self::operators::{Fate, Origin};
pub use self::stamp::{Ids, Stamp};
pub use self::tally::{Counts, Did, Operator, Tally, Verdict};
pub use self::trace::{Cost, Outline, Step, Trace, Untold};
use crate::access::Grant;
use crate::config::Route;
use crate::record::{Aggregation, Encoding, Records, TopicId};
use crate::schema::Subjects;
use operators::{Destined, Frame, Mark};
use route::{Compiled, Judged, Refused, Table, Target, unless_malformed};

thread_local! {
    /// One a worker thread, so that nothing is allocated for an event.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What is written down about one event while it is judged.
#[derive(Debug, Default)]
struct Scratch {
    /// What rules find in the payload.
    findings: Findings,
    /// What edits make of the payload.
    edited: Edited,
    /// The record's key, where an expression says it.
    key: String,
    /// The topic, where a template gives it.
    topic: String,
    /// The record's value, where it names its schema.
    frame: Frame,
}

/// The rules, compiled from the configuration, which may be replaced while events pass.
#[derive(Debug)]
pub struct Pipeline {
    limits: Limits,
    topics: Vec<String>,
    routes: ArcSwap<Table>,
    encodes: Encodes,
    subjects: Arc<Subjects>,
}

/// The rules as they are now: one frame's events are all judged by these.
#[derive(Debug)]
pub struct Rules<'a> {
    limits: &'a Limits,
    routes: Guard<Arc<Table>>,
    encodes: Encodes,
}

/// Which encodings the destination takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encodes {
    /// What the route says.
    ByRoute,
    /// Whole events, whatever the route says: the destination keeps them for later.
    Structured,
}

impl Encodes {
    fn encoding(self, of_route: Encoding) -> Encoding {
        match self {
            Self::ByRoute => of_route,
            Self::Structured => Encoding::Structured,
        }
    }
}

/// Who sends: what they may, and what their aliases stand for.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Topics it may reach.
    pub grant: &'a Grant,
    /// Its DEFINEs.
    pub aliases: &'a Aliases,
}

impl Pipeline {
    /// Compiles `routes`, which the configuration has checked; with none, everything goes to the first of `topics`.
    pub fn new(
        limits: Limits,
        routes: &[Route],
        topics: &[String],
        encodes: Encodes,
    ) -> Result<Self, tidegate_cel::Problem> {
        Self::with_schemas(limits, routes, topics, encodes, Arc::default())
    }

    /// The same with what schema registries say of `subjects`. Of `topics`, those after the routes' own are for dead letters.
    pub fn with_schemas(
        limits: Limits,
        routes: &[Route],
        topics: &[String],
        encodes: Encodes,
        subjects: Arc<Subjects>,
    ) -> Result<Self, tidegate_cel::Problem> {
        let table = ArcSwap::from_pointee(Table::new(routes, topics, &subjects)?);
        Ok(Self { limits, topics: topics.to_vec(), routes: table, encodes, subjects })
    }

    /// Whether a schema is missing without which nothing may be taken.
    #[inline]
    pub fn is_awaiting(&self) -> bool {
        self.routes.load().is_awaiting()
    }

    /// Judges events by `routes` from now on, which the configuration has checked and which lead to no other topics than
    /// those before. Rules that stay as they were go on counting.
    pub fn replace(&self, routes: &[Route]) -> Result<(), tidegate_cel::Problem> {
        let mut table = Table::new(routes, &self.topics, &self.subjects)?;
        table.succeed(&self.routes.load());
        self.routes.store(Arc::new(table));
        Ok(())
    }

    /// The protocol's limits as configured.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The rules as they are now.
    #[inline]
    pub fn rules(&self) -> Rules<'_> {
        Rules { limits: &self.limits, routes: self.routes.load(), encodes: self.encodes }
    }
}

impl Rules<'_> {
    /// The rules of all routes, each with the name of its route, and what they have done.
    pub fn tallies(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.routes.tallies()
    }

    /// What the rules of each route cost and look at, in their order.
    pub fn outlines(&self) -> Vec<Outline> {
        self.routes.outlines()
    }

    /// Those that make one record of many events.
    pub fn aggregations(&self) -> impl Iterator<Item = &Arc<Aggregation>> {
        self.routes.aggregations()
    }

    /// Whether `rule` is one of them.
    pub fn has(&self, rule: &Arc<Aggregation>) -> bool {
        self.aggregations().any(|other| Arc::ptr_eq(other, rule))
    }

    /// How the records of `rule` are written.
    pub fn encoding(&self, rule: &Aggregation) -> Encoding {
        self.encodes.encoding(rule.encoding)
    }

    /// Takes one event at `index` of its frame: adds its record, or what it gives to an aggregate, or says why it is refused.
    /// Where what is refused goes to a dead-letter topic, a record for that is added all the same. `trace` is told what each
    /// rule said.
    #[inline]
    pub fn run(
        &self,
        raw: &Raw<'_>,
        index: u32,
        sender: Sender<'_>,
        stamp: &mut Stamp<'_>,
        records: &mut Records,
        trace: &mut impl Trace,
    ) -> Result<(), Reject> {
        if let Some(target) = self.routes.only() {
            return self.run_straight(target, raw, index, sender, stamp, records);
        }
        SCRATCH.with_borrow_mut(|Scratch { findings, edited, key: own_key, topic: topic_name, frame }| {
            let mut event = Event::default();
            event.fill_unchecked(raw, sender.aliases, self.limits, self.routes.looks_at_payload)?;
            let admitted = admit(&event, stamp.now_ms());
            admitted.map_err(|reject| unless_malformed(reject, &mut event, self.limits))?;
            let (stamp, key) = stamp.complete(&mut event, index);
            let judged = Judged { limits: self.limits, stamp, tenant: &sender.grant.tenant };
            let permits = |target: &Target| permit(sender.grant, target);
            let taken = self.routes.take(&mut event, findings, judged, permits, frame, trace);
            let (route, passed) = match taken {
                Ok(taken) => taken,
                Err(Refused { reject, by }) => {
                    if let Some(letters) = by.and_then(|route| self.dead_letters(route, &reject)) {
                        // What a route keeps back of its events it keeps back of these too.
                        if letters.route.redact(&mut event, edited, judged) {
                            edited.put_into(&mut event);
                        }
                        letters.add(&event, index, stamp, key.as_deref(), &reject, records);
                    }
                    return Err(reject);
                }
            };
            if route.edit(&mut event, edited, judged, trace)? {
                edited.put_into(&mut event);
            }
            let (has_key, mark) =
                self.routes.complete(route, &mut event, findings, judged, own_key, trace)?;
            let target = &route.target;
            let topic = target.leads.topic(&event, sender.grant, &target.name, topic_name)?;
            if let Some(aggregate) = route.aggregate() {
                let mut sight = self.routes.sight(route, &event, findings, judged);
                let to = Destined { index, topic };
                aggregate.contribute(&mut sight, to, own_key, records, trace)?;
                passed.goes_on();
                mark.into_iter().for_each(Mark::stay);
                return Ok(());
            }
            let own_key = has_key.then_some(own_key.as_str());
            let framed = match route.validate().map(|validate| validate.frame(&event, self.limits, frame)) {
                None => None,
                Some(Ok(framed)) => framed,
                Some(Err(reject)) => {
                    if let Some(letters) = self.dead_letters(route, &reject) {
                        letters.add(&event, index, stamp, key.as_deref(), &reject, records);
                    }
                    return Err(reject);
                }
            };
            let encoding = self.encodes.encoding(target.encoding);
            let timestamp_ms = stamp.timestamp_ms(event.time_ms(), target.tolerance_ms);
            let draft = records.draft(index, topic, encoding, timestamp_ms);
            encode::encode(draft, encoding, &event, framed, own_key.or(key.as_deref()));
            passed.goes_on();
            mark.into_iter().for_each(Mark::stay);
            Ok(())
        })
    }

    /// As [`Rules::run`], where everything goes to `target` as it came.
    #[inline]
    fn run_straight(
        &self,
        (target, topic): (&Target, TopicId),
        raw: &Raw<'_>,
        index: u32,
        sender: Sender<'_>,
        stamp: &mut Stamp<'_>,
        records: &mut Records,
    ) -> Result<(), Reject> {
        let mut event = Event::default();
        event.fill_unchecked(raw, sender.aliases, self.limits, false)?;
        event.check(self.limits)?;
        admit(&event, stamp.now_ms())?;
        permit(sender.grant, target)?;
        let (stamp, key) = stamp.complete(&mut event, index);
        let encoding = self.encodes.encoding(target.encoding);
        let timestamp_ms = stamp.timestamp_ms(event.time_ms(), target.tolerance_ms);
        let draft = records.draft(index, topic, encoding, timestamp_ms);
        encode::encode(draft, encoding, &event, None, key.as_deref());
        Ok(())
    }

    /// Where an event goes that does not fit the schema of `route`, if there is such a place.
    fn dead_letters<'r>(&self, route: &'r Compiled, reject: &Reject) -> Option<DeadLetters<'r>> {
        let is_for_them = reject.code == Code::Schema && self.encodes == Encodes::ByRoute;
        let topic = route.target.dead_letter.filter(|_| is_for_them)?;
        Some(DeadLetters { route, topic })
    }
}

/// Where what does not fit the schema of a route goes.
struct DeadLetters<'r> {
    route: &'r Compiled,
    topic: TopicId,
}

impl DeadLetters<'_> {
    /// Adds the record of an event.
    fn add(
        self,
        event: &Event<'_>,
        index: u32,
        stamp: &Stamp<'_>,
        key: Option<&str>,
        reject: &Reject,
        records: &mut Records,
    ) {
        let target = &self.route.target;
        let timestamp_ms = stamp.timestamp_ms(event.time_ms(), target.tolerance_ms);
        let draft = records.draft(index, self.topic, Encoding::Binary, timestamp_ms);
        // The whole message says names of members, which may be what is kept back.
        let message = if self.route.redacts() { "`data` does not fit its schema" } else { &reject.message };
        let reason = [("reason", reject.code.name()), ("topic", &target.name), ("message", message)];
        encode::letter(draft, target.encoding, event, key, &reason);
    }
}

fn permit(grant: &Grant, target: &Target) -> Result<(), Reject> {
    if target.leads.is_open_to(grant) { Ok(()) } else { Err(topic::forbidden(&target.name)) }
}

fn admit(event: &Event<'_>, now_ms: u64) -> Result<(), Reject> {
    if event.expiry_ms().is_some_and(|expiry_ms| i64::try_from(now_ms).is_ok_and(|now| expiry_ms < now)) {
        return Err(Reject { code: Code::Expired, message: "its `expirytime` has passed".into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
