//! What the rules did with one event, for whoever wants to know; nothing of it where nobody does.

use tidegate_cel::Fault;

use super::tally::{Did, Operator, Tally};

/// Is told what each rule said.
pub trait Trace {
    /// The condition of the route at this position was asked.
    fn condition(&mut self, route: usize, said: Result<bool, Fault>);
    /// The rules of the route that was taken meet the event from now on.
    fn begins(&mut self) {}
    /// A rule of the route that was taken has met the event.
    fn rule(&mut self, rule: &Tally, did: Did);
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Untold;

impl Trace for Untold {
    #[inline]
    fn condition(&mut self, _: usize, _: Result<bool, Fault>) {}
    #[inline]
    fn rule(&mut self, _: &Tally, _: Did) {}
}

/// What a route's rules cost and look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Its name.
    pub name: String,
    /// What its condition costs; without one it takes everything.
    pub condition: Option<Cost>,
    /// Its rules in the order in which they meet an event.
    pub rules: Vec<Step>,
    /// The fields of the payload that are looked for once it is taken. With conditions that look into the payload it is all
    /// fields of all routes, looked for before.
    pub fields: Vec<String>,
}

/// A rule, and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its kind.
    pub operator: Operator,
    /// Its name.
    pub name: String,
    /// It only counts.
    pub is_shadow: bool,
    /// What its expressions cost together.
    pub cost: Cost,
    /// In words: what it does, and what becomes of events for which it has no answer.
    pub does: String,
}

/// What an expression costs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// The most operations for one event.
    pub steps: u32,
    /// Whether it looks into the payload.
    pub looks_at_payload: bool,
}

impl Cost {
    /// Of all of these together.
    pub(super) fn of<'p>(programs: impl IntoIterator<Item = &'p tidegate_cel::Program>) -> Self {
        programs.into_iter().fold(Self::default(), |sum, program| Self {
            steps: sum.steps.saturating_add(program.cost()),
            looks_at_payload: sum.looks_at_payload | program.looks_at_payload(),
        })
    }
}
