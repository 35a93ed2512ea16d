//! One member or element that gets another name or value.

use std::ops::Range;

use tidegate_wire::json::{self, Kind, Scanner, Token};

use super::path::{Path, Step};
use super::splice::Splice;
use super::{Buffers, EditError};
use crate::fault::Fault;
use crate::problem::Problem;
use crate::scan::Malformed;
use crate::value::{Text, Value};

/// Where one value stands, or would stand.
#[derive(Clone, Debug)]
pub struct Field {
    above: Vec<Step>,
    last: Step,
}

/// What has become of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Edited {
    /// What is in the buffer.
    Changed,
    /// Nothing: what was to be changed is not there.
    Unchanged,
    /// Nothing: it is not of the shape that this is for.
    Fault(Fault),
}

/// Where a step leads.
enum Spot {
    There {
        /// The name of a member with its quotes; empty for an element.
        name: Range<usize>,
        value: Range<usize>,
        /// Whether the object has the other name too.
        is_taken: bool,
    },
    /// The object has no member of that name: one would begin here.
    Open { at: usize, is_first: bool },
    /// The array ends before.
    Beyond,
}

impl Field {
    /// Of a path that leads to one value at most.
    pub fn new(path: &Path) -> Result<Self, Problem> {
        let help = "write out every step: data.user.name or data.items[0].name";
        match path.steps.split_last() {
            Some((last, above)) if path.is_exact() => Ok(Self { above: above.to_vec(), last: last.clone() }),
            _ => Err(Problem::new(0..0, "this may be in several places", help)),
        }
    }

    /// Gives the member the name `to`. If its object has one of that name too, that is a fault. `payload` was checked, and what
    /// becomes of it has at most `bytes_max` bytes.
    pub fn rename(
        &self,
        to: &str,
        payload: &str,
        bytes_max: usize,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<Edited, EditError> {
        let name = match self.find(payload, Some(to), &mut buffers.name)? {
            Ok(Spot::There { is_taken: true, .. }) => return Ok(Edited::Fault(Fault::Duplicate)),
            Ok(Spot::There { name, .. }) if !name.is_empty() => name,
            Ok(_) | Err(Fault::Absent) => return Ok(Edited::Unchanged),
            Err(fault) => return Ok(Edited::Fault(fault)),
        };
        let mut splice = Splice::new(payload, out);
        json::write_string(to, splice.cut(name.start, name.end));
        finish(splice, bytes_max)
    }

    /// Gives the member or element this value; a member that is not there becomes the last of its object. `payload` was
    /// checked, and what becomes of it has at most `bytes_max` bytes.
    pub fn set(
        &self,
        value: Value<'_>,
        payload: &str,
        bytes_max: usize,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<Edited, EditError> {
        let spot = match self.find(payload, None, &mut buffers.name)? {
            Ok(spot) => spot,
            Err(fault) => return Ok(Edited::Fault(fault)),
        };
        let mut splice = Splice::new(payload, out);
        let into = match (spot, &self.last) {
            (Spot::There { value, .. }, _) => splice.cut(value.start, value.end),
            (Spot::Open { at, is_first }, Step::Name(name)) => {
                let into = splice.cut(at, at);
                if !is_first {
                    into.push(b',');
                }
                json::write_string(name, into);
                into.push(b':');
                into
            }
            _ => return Ok(Edited::Fault(Fault::Absent)),
        };
        match value.write_json(into) {
            Ok(()) => finish(splice, bytes_max),
            Err(fault) => Ok(Edited::Fault(fault)),
        }
    }

    /// Where it is; an object that names twice what is looked for, `other` included, is malformed.
    fn find(
        &self,
        payload: &str,
        other: Option<&str>,
        buffer: &mut String,
    ) -> Result<Result<Spot, Fault>, Malformed> {
        let mut scanner = Scanner::new(payload);
        for step in &self.above {
            match look(scanner, step, None, buffer)? {
                Ok(Spot::There { value, .. }) => scanner = Scanner::at(payload, value.start),
                Ok(_) => return Ok(Err(Fault::Absent)),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        look(scanner, &self.last, other, buffer)
    }
}

fn finish(splice: Splice<'_, '_>, bytes_max: usize) -> Result<Edited, EditError> {
    if splice.finish() > bytes_max { Err(EditError::TooLong) } else { Ok(Edited::Changed) }
}

/// Where `step` leads from the value that is next.
fn look(
    mut scanner: Scanner<'_>,
    step: &Step,
    other: Option<&str>,
    buffer: &mut String,
) -> Result<Result<Spot, Fault>, Malformed> {
    match (step, scanner.ahead()) {
        (Step::Name(name), Some(b'{')) => member(scanner, name, other, buffer).map(Ok),
        (Step::Index(index), Some(b'[')) => element(scanner, *index).map(Ok),
        (_, Some(b'n')) => Ok(Err(Fault::Absent)),
        _ => Ok(Err(Fault::Type)),
    }
}

fn member(
    mut scanner: Scanner<'_>,
    wanted: &str,
    other: Option<&str>,
    buffer: &mut String,
) -> Result<Spot, Malformed> {
    scanner.open(b'{', "expected an object")?;
    let (mut there, mut is_taken, mut at, mut is_first) = (None, false, scanner.position(), true);
    while scanner.another(b'}', is_first, "expected `,` or `}`")? {
        is_first = false;
        scanner.ahead();
        let start = scanner.position();
        let name = scanner.name()?;
        let text = text(name, buffer);
        let is_wanted = text == Some(wanted);
        let is_other = text.is_some() && text == other;
        if is_wanted && there.is_some() || is_other && is_taken {
            return Err(Malformed::Duplicate(scanner.position()));
        }
        is_taken |= is_other;
        let value = scanner.value(u32::MAX)?;
        at = scanner.position();
        if is_wanted {
            there = Some((start..start + name.raw.len(), at - value.raw.len()..at));
        }
    }
    Ok(match there {
        Some((name, value)) => Spot::There { name, value, is_taken },
        None => Spot::Open { at, is_first },
    })
}

fn element(mut scanner: Scanner<'_>, wanted: u32) -> Result<Spot, Malformed> {
    scanner.open(b'[', "expected an array")?;
    let mut index = 0;
    while scanner.another(b']', index == 0, "expected `,` or `]`")? {
        let value = scanner.value(u32::MAX)?;
        if index == wanted {
            let end = scanner.position();
            let value = end - value.raw.len()..end;
            return Ok(Spot::There { name: value.start..value.start, value, is_taken: false });
        }
        index = index.saturating_add(1);
    }
    Ok(Spot::Beyond)
}

/// What a name says; one with half a surrogate pair says nothing.
fn text<'b>(name: Token<'b>, buffer: &'b mut String) -> Option<&'b str> {
    let is_escaped = name.kind == (Kind::String { escaped: true });
    Text::json(name.inner(), is_escaped).read(buffer).ok()
}
