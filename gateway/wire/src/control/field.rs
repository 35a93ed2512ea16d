use std::borrow::Cow;

use crate::json::{self, Kind, Member, Members};
use crate::limits::NUMBER_MAX;
use crate::refusal::Violation;

/// Control frames nest two deep; members that are not known may nest as JSON elsewhere may.
const DEPTH: u32 = 64;

/// The members of a control frame. What is no object, or no JSON, is `bad_frame`.
pub(crate) fn fields<'a>(frame: &'static str, text: &'a str) -> Result<Fields<'a>, Violation> {
    let members = json::members(text, DEPTH).map_err(|error| not_json(frame, error))?;
    Ok(Fields { frame, members })
}

pub(crate) struct Fields<'a> {
    frame: &'static str,
    members: Members<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.members.next()?;
        let frame = self.frame;
        Some(match member {
            Ok(member) => Ok(Field { frame, name: member.name.string().unwrap_or_default(), member }),
            Err(error) => Err(not_json(frame, error)),
        })
    }
}

/// One member, whose type is yet to be checked. `null` is as good as absent.
pub(crate) struct Field<'a> {
    frame: &'static str,
    name: Cow<'a, str>,
    member: Member<'a>,
}

impl<'a> Field<'a> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_null(&self) -> bool {
        self.member.value.kind == Kind::Null
    }

    pub(crate) fn string(&self) -> Result<Option<String>, Violation> {
        if self.is_null() {
            return Ok(None);
        }
        match self.member.value.string() {
            Some(text) => Ok(Some(text.into_owned())),
            None => Err(self.wrong("a string")),
        }
    }

    pub(crate) fn integer(&self, min: u64, max: u64) -> Result<Option<u64>, Violation> {
        if self.is_null() {
            return Ok(None);
        }
        match self.member.value.integer().filter(|value| (min..=max).contains(value)) {
            Some(value) => Ok(Some(value)),
            None if max == NUMBER_MAX => Err(self.wrong(&format!("an integer from {min} to 2^53-1"))),
            None => Err(self.wrong(&format!("an integer from {min} to {max}"))),
        }
    }

    pub(crate) fn boolean(&self) -> Result<Option<bool>, Violation> {
        match (self.member.value.kind, self.member.value.raw) {
            (Kind::Null, _) => Ok(None),
            (Kind::Boolean, raw) => Ok(Some(raw == "true")),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// The text of an object.
    pub(crate) fn object(&self) -> Result<Option<&'a str>, Violation> {
        match self.member.value.kind {
            Kind::Null => Ok(None),
            Kind::Object => Ok(Some(self.member.value.raw)),
            _ => Err(self.wrong("an object")),
        }
    }

    pub(crate) fn value(&self) -> json::Token<'a> {
        self.member.value
    }

    pub(crate) fn wrong(&self, right: &str) -> Violation {
        Violation::bad_frame(format!("{}: `{}` is {right}", self.frame, self.name))
    }
}

fn not_json(frame: &str, error: json::Error) -> Violation {
    Violation::bad_frame(format!("{frame} is not a JSON object: {error}"))
}
