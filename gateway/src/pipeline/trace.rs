//! What the rules did with one event, for whoever wants to know; nothing of it where nobody does.

use tidegate_cel::Fault;

/// Is told what each rule said.
pub trait Trace {
    /// The condition of the route at this position was asked.
    fn condition(&mut self, route: usize, said: Result<bool, Fault>);
    /// The filter at this position of the route that was taken was asked; whether the event goes on.
    fn filter(&mut self, filter: usize, said: Result<bool, Fault>, goes_on: bool);
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Untold;

impl Trace for Untold {
    #[inline]
    fn condition(&mut self, _: usize, _: Result<bool, Fault>) {}
    #[inline]
    fn filter(&mut self, _: usize, _: Result<bool, Fault>, _: bool) {}
}

/// What a route's rules cost and look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Its name.
    pub name: String,
    /// What its condition costs; without one it takes everything.
    pub condition: Option<Cost>,
    /// What its filters cost.
    pub filters: Vec<Cost>,
    /// The fields of the payload that are looked for once it is taken. With conditions that look into the payload it is all
    /// fields of all routes, looked for before.
    pub fields: Vec<String>,
}

/// What an expression costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cost {
    /// The most operations for one event.
    pub steps: u32,
    /// Whether it looks into the payload.
    pub looks_at_payload: bool,
}
