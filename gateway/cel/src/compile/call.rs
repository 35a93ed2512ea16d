//! Functions and macros.

use regex::{Regex, RegexBuilder};

use super::path::Target;
use super::{BOOL, Bound, Builder, Typed};
use crate::ast::{Call, Expr, Kind, Literal};
use crate::moment::{self, Moment};
use crate::plan::Place;
use crate::problem::Problem;
use crate::program::{At, Constant, Op, Span};
use crate::run::ELEMENTS_MAX;
use crate::types::Type;

/// What a regular expression may become, in bytes, and how deep it may be nested.
const REGEX_BYTES_MAX: usize = 256 << 10;
const REGEX_DEPTH_MAX: u32 = 32;
/// What the search of a text counts.
const TEXT_COST: u64 = 8;
/// How deep `exists` and `all` may be nested.
const BOUND_MAX: usize = 8;

const FUNCTIONS: &str = "there are has(), size(), startsWith(), endsWith(), contains(), matches(), exists(), all(), \
                         timestamp() and duration()";

impl Builder<'_> {
    pub(super) fn call(&mut self, call: &Call, at: &Span) -> Result<Typed, Problem> {
        let Call { target, name, arguments, .. } = call;
        match (name.as_str(), target.as_deref(), arguments.as_slice()) {
            ("has", None, [of]) => self.has(of, at),
            ("size", None, [of]) | ("size", Some(of), []) => {
                let of = self.operand(of, "size()", &[Type::Text])?;
                self.weighed(Op::Size(of.at), Type::Int, TEXT_COST, at)
            }
            ("startsWith", Some(of), [part]) => self.texts(of, part, name, Op::StartsWith, at),
            ("endsWith", Some(of), [part]) => self.texts(of, part, name, Op::EndsWith, at),
            ("contains", Some(of), [part]) => self.texts(of, part, name, Op::Contains, at),
            ("matches", Some(of), [pattern]) | ("matches", None, [of, pattern]) => {
                self.matches(of, pattern, at)
            }
            ("timestamp", None, [of]) => self.moment(of, at),
            ("duration", None, [of]) => self.duration(of, at),
            ("exists" | "all", Some(of), [variable, condition]) => {
                self.each(of, variable, condition, name == "exists", at)
            }
            _ => Err(unknown(call)),
        }
    }

    fn has(&mut self, of: &Expr, at: &Span) -> Result<Typed, Problem> {
        if !matches!(of.kind, Kind::Field(..)) {
            let help = "write has(data.a.b), or has(event.subject) for an attribute";
            return Err(Problem::new(of.at.clone(), "has() is for a field", help));
        }
        let op = match self.target(of)? {
            Target::Field(place, parent) => {
                self.looks_at_payload = true;
                Op::HasField(place, parent)
            }
            Target::Attribute(position, _) => Op::HasAttribute(position),
            Target::Literal(_) => {
                return Err(Problem::new(of.at.clone(), "has() is for a field", "write has(data.a.b)"));
            }
        };
        self.emit(op, Type::Bool, at)
    }

    fn texts(
        &mut self,
        of: &Expr,
        part: &Expr,
        name: &str,
        op: impl Fn(At, At) -> Op,
        at: &Span,
    ) -> Result<Typed, Problem> {
        let name = format!("{name}()");
        let (of, part) = (self.operand(of, &name, &[Type::Text])?, self.operand(part, &name, &[Type::Text])?);
        self.weighed(op(of.at, part.at), Type::Bool, TEXT_COST, at)
    }

    fn matches(&mut self, of: &Expr, pattern: &Expr, at: &Span) -> Result<Typed, Problem> {
        let of = self.operand(of, "matches()", &[Type::Text])?;
        let Kind::Literal(Literal::Text(text)) = &pattern.kind else {
            let help = "write it out: it is compiled when the rules are loaded";
            return Err(Problem::new(pattern.at.clone(), "the regular expression is not a literal", help));
        };
        let regex = regex(text).map_err(|(message, help)| Problem::new(pattern.at.clone(), message, help))?;
        self.weighed(Op::Matches(of.at, Box::new(regex)), Type::Bool, 2 * TEXT_COST, at)
    }

    fn moment(&mut self, of: &Expr, at: &Span) -> Result<Typed, Problem> {
        if let Kind::Literal(Literal::Text(text)) = &of.kind {
            let moment = Moment::parse(text).ok_or_else(|| {
                let help = "write an RFC 3339 time, as in timestamp(\"2026-01-31T12:00:00Z\")";
                Problem::new(of.at.clone(), format!("`{text}` is no time"), help)
            })?;
            return self.emit(Op::Constant(Constant::Moment(moment)), Type::Moment, at);
        }
        let of = self.operand(of, "timestamp()", &[Type::Text, Type::Moment])?;
        self.emit(Op::Moment(of.at), Type::Moment, at)
    }

    fn duration(&mut self, of: &Expr, at: &Span) -> Result<Typed, Problem> {
        if let Kind::Literal(Literal::Text(text)) = &of.kind {
            let nanos = moment::parse_duration(text).ok_or_else(|| {
                let help = "write numbers with h, m, s, ms, us or ns, as in duration(\"1h30m\")";
                Problem::new(of.at.clone(), format!("`{text}` is no duration"), help)
            })?;
            return self.emit(Op::Constant(Constant::Duration(nanos)), Type::Duration, at);
        }
        let of = self.operand(of, "duration()", &[Type::Text, Type::Duration])?;
        self.emit(Op::Duration(of.at), Type::Duration, at)
    }

    /// `of.exists(variable, condition)`, or `all`.
    fn each(
        &mut self,
        of: &Expr,
        variable: &Expr,
        condition: &Expr,
        is_any: bool,
        at: &Span,
    ) -> Result<Typed, Problem> {
        let Kind::Name(name) = &variable.kind else {
            let help = "write a name, as in data.list.exists(x, x > 1)";
            return Err(Problem::new(variable.at.clone(), "this cannot name the element", help));
        };
        if self.bound.len() == BOUND_MAX {
            let message = format!("`exists` and `all` nested more than {BOUND_MAX} deep");
            return Err(Problem::new(at.clone(), message, "split the rule"));
        }
        if let Kind::List(items) = &of.kind {
            return self.each_literal(items, name, condition, is_any, at);
        }
        let Target::Field(list, _) = self.target(of)? else {
            return Err(Problem::new(
                of.at.clone(),
                "this is no list",
                "take a list of the payload, or write [a, b]",
            ));
        };
        self.looks_at_payload = true;
        let element = self.compiler.plan.apart(at)?;
        let before = self.cost;
        let condition = self.with(name, Bound::Element(element), condition)?;
        let each = self.cost - before + 1;
        let op: fn(Place, Place, At) -> Op = if is_any { Op::Any } else { Op::All };
        self.weighed(op(list, element, condition.at), Type::Bool, each * (ELEMENTS_MAX as u64 - 1), at)
    }

    fn each_literal(
        &mut self,
        items: &[Expr],
        name: &str,
        condition: &Expr,
        is_any: bool,
        at: &Span,
    ) -> Result<Typed, Problem> {
        let mut result = self.literal(&Literal::Bool(!is_any), at)?;
        for item in items {
            let Kind::Literal(literal) = &item.kind else {
                return Err(Problem::new(item.at.clone(), "this is not a literal", "write its elements out"));
            };
            let holds = self.with(name, Bound::Literal(literal.clone()), condition)?;
            let op = if is_any { Op::Or(result.at, holds.at) } else { Op::And(result.at, holds.at) };
            result = self.emit(op, Type::Bool, at)?;
        }
        Ok(result)
    }

    fn with(&mut self, name: &str, bound: Bound, condition: &Expr) -> Result<Typed, Problem> {
        self.bound.push((name.to_owned(), bound));
        let condition = self.operand(condition, "what is asked of each element", BOOL);
        self.bound.pop();
        condition
    }
}

/// Compiled within the limits, or what is wrong and what would be right.
pub(crate) fn regex(text: &str) -> Result<Regex, (String, String)> {
    let regex = RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).nest_limit(REGEX_DEPTH_MAX).build();
    regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            (format!("the regular expression becomes larger than {limit} bytes"), "repeat less".to_owned())
        }
        error => {
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            (
                format!("not a regular expression: {last}"),
                "write one as RE2 takes it, best as r\"...\"".to_owned(),
            )
        }
    })
}

fn unknown(call: &Call) -> Problem {
    let Call { target, name, name_at, arguments } = call;
    let nearest = match (name.as_str(), target) {
        ("exists_one" | "filter" | "map", _) => Some("write list.exists(x, ...) or list.all(x, ...)"),
        ("startsWith" | "endsWith" | "contains" | "matches", None) => {
            Some("write text.startsWith(part), or as it is called")
        }
        ("has", _) => Some("write has(data.a)"),
        ("timestamp" | "duration", _) => {
            Some("write timestamp(\"2026-01-31T12:00:00Z\") and duration(\"1h\")")
        }
        ("exists" | "all", _) => Some("write list.exists(x, condition)"),
        ("int" | "uint" | "double" | "string", _) => {
            Some("numbers compare whatever their type; leave it out")
        }
        ("type", _) => Some("a value of another type than expected meets on_error"),
        ("lowerAscii" | "upperAscii", _) => Some("write text.matches(r\"(?i)^...$\")"),
        _ => None,
    };
    let message = match nearest {
        Some(_) => format!("`{name}` cannot be called so, with {} arguments", arguments.len()),
        None => format!("there is no function `{name}`"),
    };
    Problem::new(name_at.clone(), message, nearest.unwrap_or(FUNCTIONS))
}
