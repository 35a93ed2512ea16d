//! Names, fields and indexes: `type`, `event.type`, `data.a[0]["b c"]`.

use tidegate_wire::is_name;

use super::{Bound, Builder, Typed};
use crate::ast::{Expr, Kind, Literal};
use crate::plan::{Place, Segment, check_length};
use crate::problem::Problem;
use crate::program::{Op, Span};
use crate::types::Type;

/// What a path leads to.
pub(super) enum Target {
    /// A field of the payload and the value it is in; for the payload itself the same twice.
    Field(Place, Place),
    Attribute(u16, Type),
    Literal(Literal),
}

impl Builder<'_> {
    pub(super) fn path(&mut self, expr: &Expr) -> Result<Typed, Problem> {
        let at = &expr.at;
        match self.target(expr)? {
            Target::Field(place, _) => {
                self.looks_at_payload = true;
                self.emit(Op::Field(place), Type::Any, at)
            }
            Target::Attribute(position, Type::Moment) => {
                let text = self.emit(Op::Attribute(position), Type::Text, at)?;
                self.emit(Op::Moment(text.at), Type::Moment, at)
            }
            Target::Attribute(position, kind) => self.emit(Op::Attribute(position), kind, at),
            Target::Literal(literal) => self.literal(&literal, at),
        }
    }

    pub(super) fn target(&mut self, expr: &Expr) -> Result<Target, Problem> {
        let mut segments = Vec::new();
        let mut root = expr;
        loop {
            root = match &root.kind {
                Kind::Field(of, name) => {
                    segments.push(Segment::Key(name.clone()));
                    of
                }
                Kind::Index(of, index) => {
                    segments.push(segment(index)?);
                    of
                }
                _ => break,
            }
        }
        segments.reverse();
        check_length(segments.len(), &expr.at)?;
        let Kind::Name(name) = &root.kind else {
            let help = "fields are taken of `data`, of `event` and of what `exists` and `all` name";
            return Err(Problem::new(root.at.clone(), "this has no fields", help));
        };
        let place = match self.bound.iter().rev().find(|(bound, _)| bound == name) {
            Some((_, Bound::Element(place))) => Some(*place),
            Some((_, Bound::Literal(literal))) if segments.is_empty() => {
                return Ok(Target::Literal(literal.clone()));
            }
            Some((_, Bound::Literal(_))) => {
                return Err(Problem::new(
                    root.at.clone(),
                    format!("`{name}` is a literal and has no fields"),
                    "use it whole",
                ));
            }
            None => (name == "data").then_some(Place::ROOT),
        };
        match place {
            Some(place) => self.below(place, &segments, &expr.at),
            None => self.attribute(name, &segments, root, &expr.at),
        }
    }

    fn below(&mut self, root: Place, segments: &[Segment], at: &Span) -> Result<Target, Problem> {
        let (mut place, mut parent) = (root, root);
        for segment in segments {
            (place, parent) = (self.compiler.plan.below(place, segment, at)?, place);
        }
        Ok(Target::Field(place, parent))
    }

    fn attribute(
        &mut self,
        name: &str,
        segments: &[Segment],
        root: &Expr,
        at: &Span,
    ) -> Result<Target, Problem> {
        let name = match (name, segments) {
            ("event", [Segment::Key(name)]) => name,
            ("event", _) => {
                let help = "name an attribute, as in event.type; the payload is `data`";
                return Err(Problem::new(at.clone(), "the event itself is no value", help));
            }
            (name, []) => name,
            (name, _) => {
                let help = "fields of the payload begin with `data`";
                return Err(Problem::new(
                    at.clone(),
                    format!("`{name}` is an attribute and has no fields"),
                    help,
                ));
            }
        };
        if !is_name(name) {
            let help = "attributes are lower-case letters and digits, as in `type`; fields of the payload begin with `data`";
            return Err(Problem::new(root.at.clone(), format!("there is no attribute `{name}`"), help));
        }
        let attributes = &mut self.compiler.attributes;
        let known = attributes.iter().position(|other| other == name);
        let position = known.unwrap_or_else(|| {
            attributes.push(name.to_owned());
            attributes.len() - 1
        });
        let position = u16::try_from(position).map_err(|_| {
            Problem::new(at.clone(), "rules ask for more than 65,536 attributes", "ask for fewer")
        })?;
        Ok(Target::Attribute(position, attribute_type(name)))
    }
}

fn attribute_type(name: &str) -> Type {
    match name {
        "time" | "expirytime" | "recordedtime" => Type::Moment,
        "specversion" | "id" | "source" | "type" | "datacontenttype" | "dataschema" | "subject"
        | "partitionkey" | "topic" | "traceparent" | "tracestate" => Type::Text,
        _ => Type::Any,
    }
}

fn segment(index: &Expr) -> Result<Segment, Problem> {
    match &index.kind {
        Kind::Literal(Literal::Text(name)) => Ok(Segment::Key(name.clone())),
        Kind::Literal(Literal::Int(index)) if u32::try_from(*index).is_ok() => {
            Ok(Segment::Index(u32::try_from(*index).unwrap_or_default()))
        }
        _ => {
            let help = "write a number from 0 or a text in quotes; for any element write list.exists(x, ...)";
            Err(Problem::new(index.at.clone(), "an index that is not written out", help))
        }
    }
}
