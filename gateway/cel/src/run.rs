//! A program and an event to a value.

use tidegate_wire::json::{self, Member, Token};

use crate::arithmetic::{add, divide, multiply, negative, remainder, subtract};
use crate::compare::{Buffers, Relation, relate};
use crate::fault::Fault;
use crate::moment::{self, Moment};
use crate::plan::{Place, Plan};
use crate::program::{At, Op, Program, Set};
use crate::scan::{self, Found, Malformed};
use crate::value::{Text, Value};

/// The most elements of an array of the payload that a rule looks at.
pub(crate) const ELEMENTS_MAX: usize = 256;

/// The attributes of an event.
pub trait Attributes<'a> {
    /// The one at this position of [`crate::Compiler::attributes`].
    fn get(&self, position: u16) -> Option<Value<'a>>;
}

/// What one pass over a payload has found; to be used again for the next event, so that nothing is allocated for each.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Found>,
    buffers: Buffers,
}

impl Plan {
    /// Checks that `payload` is JSON, nested at most `max_depth` deep, and finds all fields in it; with none, all are absent.
    pub fn read(
        &self,
        payload: Option<&str>,
        max_depth: u32,
        findings: &mut Findings,
    ) -> Result<(), Malformed> {
        findings.found.clear();
        findings.found.resize(self.len(), Found::default());
        let Some(payload) = payload else { return Ok(()) };
        let Findings { found, buffers: [buffer, _] } = findings;
        scan::scan(self, payload, max_depth, found, buffer)
    }
}

impl Program {
    /// The value for an event whose fields [`Plan::read`] found in `payload`.
    #[inline]
    pub fn value<'a>(
        &'a self,
        plan: &'a Plan,
        payload: Option<&'a str>,
        attributes: &impl Attributes<'a>,
        findings: &mut Findings,
    ) -> Result<Value<'a>, Fault> {
        Run { program: self, plan, payload: payload.unwrap_or_default(), attributes, findings }
            .value(self.last)
    }

    /// As [`Program::value`], of a condition. A value that is no boolean is [`Fault::Type`].
    #[inline]
    pub fn holds<'a>(
        &'a self,
        plan: &'a Plan,
        payload: Option<&'a str>,
        attributes: &impl Attributes<'a>,
        findings: &mut Findings,
    ) -> Result<bool, Fault> {
        Run { program: self, plan, payload: payload.unwrap_or_default(), attributes, findings }
            .holds(self.last)
    }
}

struct Run<'a, 'r, A> {
    program: &'a Program,
    plan: &'a Plan,
    payload: &'a str,
    attributes: &'r A,
    findings: &'r mut Findings,
}

impl<'a, A: Attributes<'a>> Run<'a, '_, A> {
    fn value(&mut self, at: At) -> Result<Value<'a>, Fault> {
        let op = self.program.op(at).ok_or(Fault::Type)?;
        match op {
            Op::Constant(constant) => Ok(constant.value()),
            Op::Field(place) => self.field(*place),
            Op::Attribute(position) => self.attributes.get(*position).ok_or(Fault::Absent),
            Op::Moment(of) => self.moment(*of).map(Value::Moment),
            Op::Duration(of) => self.duration(*of).map(Value::Duration),
            Op::Choice(when, then, otherwise) => match self.holds(*when)? {
                true => self.value(*then),
                false => self.value(*otherwise),
            },
            Op::Negative(of) => negative(self.value(*of)?),
            Op::Add(left, right) => add(self.value(*left)?, self.value(*right)?),
            Op::Subtract(left, right) => subtract(self.value(*left)?, self.value(*right)?),
            Op::Multiply(left, right) => multiply(self.value(*left)?, self.value(*right)?),
            Op::Divide(left, right) => divide(self.value(*left)?, self.value(*right)?),
            Op::Remainder(left, right) => remainder(self.value(*left)?, self.value(*right)?),
            Op::Size(of) => self.size(*of).map(Value::Int),
            _ => self.holds(at).map(Value::Bool),
        }
    }

    fn holds(&mut self, at: At) -> Result<bool, Fault> {
        let op = self.program.op(at).ok_or(Fault::Type)?;
        match op {
            Op::RelateField(relation, place, constant) => {
                let value = self.field(*place)?;
                relate(*relation, value, constant.value(), &mut self.findings.buffers)
            }
            Op::Relate(relation, left, right) => {
                let (left, right) = (self.value(*left)?, self.value(*right)?);
                relate(*relation, left, right, &mut self.findings.buffers)
            }
            Op::Not(of) => self.holds(*of).map(|value| !value),
            // What decides absorbs the other side's fault.
            Op::And(left, right) => match self.holds(*left) {
                Ok(false) => Ok(false),
                Ok(true) => self.holds(*right),
                Err(fault) => {
                    if self.holds(*right) == Ok(false) {
                        Ok(false)
                    } else {
                        Err(fault)
                    }
                }
            },
            Op::Or(left, right) => match self.holds(*left) {
                Ok(true) => Ok(true),
                Ok(false) => self.holds(*right),
                Err(fault) => {
                    if self.holds(*right) == Ok(true) {
                        Ok(true)
                    } else {
                        Err(fault)
                    }
                }
            },
            Op::HasField(place, parent) => self.has_field(*place, *parent),
            Op::HasAttribute(position) => Ok(self.attributes.get(*position).is_some()),
            Op::Among(of, set) => {
                let value = self.value(*of)?;
                self.among(value, set)
            }
            Op::In(of, container) => {
                let value = self.value(*of)?;
                let container = self.value(*container)?;
                self.contained(value, container)
            }
            Op::StartsWith(of, part) => self.texts(*of, *part, |text, part| text.starts_with(part)),
            Op::EndsWith(of, part) => self.texts(*of, *part, |text, part| text.ends_with(part)),
            Op::Contains(of, part) => self.texts(*of, *part, |text, part| text.contains(part)),
            Op::Matches(of, regex) => {
                let text = self.text(*of)?;
                let [buffer, _] = &mut self.findings.buffers;
                Ok(regex.is_match(text.read(buffer)?))
            }
            Op::Any(list, element, condition) => self.each(*list, *element, *condition, true),
            Op::All(list, element, condition) => {
                self.each(*list, *element, *condition, false).map(|any| !any)
            }
            _ => match self.value(at)? {
                Value::Bool(value) => Ok(value),
                _ => Err(Fault::Type),
            },
        }
    }

    #[inline]
    fn field(&self, place: Place) -> Result<Value<'a>, Fault> {
        self.found(place).value(self.payload).ok_or(Fault::Absent)
    }

    #[inline]
    fn found(&self, place: Place) -> Found {
        self.findings.found.get(place.index()).copied().unwrap_or_default()
    }

    fn has_field(&self, place: Place, parent: Place) -> Result<bool, Fault> {
        let parent = self.found(parent);
        match () {
            () if parent.is_object() => Ok(self.found(place).is_there()),
            () if parent.is_there() => Err(Fault::Type),
            () => Err(Fault::Absent),
        }
    }

    fn text(&mut self, of: At) -> Result<Text<'a>, Fault> {
        match self.value(of)? {
            Value::Text(text) => Ok(text),
            _ => Err(Fault::Type),
        }
    }

    fn texts(&mut self, of: At, part: At, holds: impl Fn(&str, &str) -> bool) -> Result<bool, Fault> {
        let (text, part) = (self.text(of)?, self.text(part)?);
        let [first, second] = &mut self.findings.buffers;
        Ok(holds(text.read(first)?, part.read(second)?))
    }

    fn moment(&mut self, of: At) -> Result<Moment, Fault> {
        match self.value(of)? {
            Value::Moment(moment) => Ok(moment),
            other => self.parsed(other, Moment::parse),
        }
    }

    fn duration(&mut self, of: At) -> Result<i64, Fault> {
        match self.value(of)? {
            Value::Duration(nanos) => Ok(nanos),
            other => self.parsed(other, moment::parse_duration),
        }
    }

    /// A text, parsed.
    fn parsed<T>(&mut self, value: Value<'a>, parse: impl Fn(&str) -> Option<T>) -> Result<T, Fault> {
        let Value::Text(text) = value else { return Err(Fault::Type) };
        let [buffer, _] = &mut self.findings.buffers;
        parse(text.read(buffer)?).ok_or(Fault::NotATime)
    }

    fn size(&mut self, of: At) -> Result<i64, Fault> {
        let count = match self.value(of)? {
            Value::Text(text) => {
                let [buffer, _] = &mut self.findings.buffers;
                text.read(buffer)?.chars().count()
            }
            Value::List(list) => elements(list).count(),
            Value::Map(map) => members(map).count(),
            _ => return Err(Fault::Type),
        };
        i64::try_from(count).map_err(|_| Fault::Range)
    }

    fn among(&mut self, value: Value<'a>, set: &Set) -> Result<bool, Fault> {
        let [buffer, _] = &mut self.findings.buffers;
        if let Value::Text(text) = value {
            return Ok(set.texts.contains(text.read(buffer)?));
        }
        for other in &set.others {
            if relate(Relation::Equal, value, other.value(), &mut self.findings.buffers)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `value` is an element of a list, or a name in a map.
    fn contained(&mut self, value: Value<'a>, container: Value<'a>) -> Result<bool, Fault> {
        match container {
            Value::List(list) => self.any(elements(list), |run, element| run.equal(value, element)),
            Value::Map(map) => {
                self.any(members(map).map(|member| member.name), |run, name| run.equal(value, name))
            }
            _ => Err(Fault::Type),
        }
    }

    fn equal(&mut self, value: Value<'a>, token: Token<'a>) -> Result<bool, Fault> {
        let other = scan::value(token).ok_or(Fault::Type)?;
        relate(Relation::Equal, value, other, &mut self.findings.buffers)
    }

    /// Whether the condition is `wanted` for any element.
    fn each(&mut self, list: Place, element: Place, condition: At, wanted: bool) -> Result<bool, Fault> {
        let Value::List(list) = self.field(list)? else { return Err(Fault::Type) };
        self.any(elements(list), |run, token| {
            let Findings { found, buffers: [buffer, _] } = &mut *run.findings;
            scan::put(run.plan, run.payload, token, element, found, buffer).map_err(|_| Fault::Duplicate)?;
            Ok(run.holds(condition)? == wanted)
        })
    }

    /// Whether the condition holds for any of them; that absorbs the faults of the others.
    fn any(
        &mut self,
        tokens: impl Iterator<Item = Token<'a>>,
        mut condition: impl FnMut(&mut Self, Token<'a>) -> Result<bool, Fault>,
    ) -> Result<bool, Fault> {
        let mut result = Ok(false);
        for (index, token) in tokens.enumerate() {
            if index == ELEMENTS_MAX {
                return Err(Fault::TooManyElements);
            }
            match condition(self, token) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(fault) => result = result.and(Err(fault)),
            }
        }
        result
    }
}

/// The elements of an array that was checked.
fn elements(list: &str) -> impl Iterator<Item = Token<'_>> {
    json::elements(list, u32::MAX).into_iter().flatten().map_while(Result::ok)
}

/// The members of an object that was checked.
fn members(map: &str) -> impl Iterator<Item = Member<'_>> {
    json::members(map, u32::MAX).into_iter().flatten().map_while(Result::ok)
}
