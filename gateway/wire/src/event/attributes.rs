use std::borrow::Cow;

use crate::aliases::Defined;
use crate::attribute::{Attribute, Value, is_json_content_type, is_name};
use crate::json::{Kind, Member, Token};
use crate::limits::{Limits, TIME_MS_MAX};
use crate::refusal::{Reject, quoted};
use crate::time;

/// Up to here extensions are looked for one by one; more are kept sorted.
const FEW: usize = 16;

/// The attributes of one event while it is read, and after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes<'a> {
    known: [Option<Value<'a>>; Attribute::ALL.len()],
    own: Vec<(Cow<'a, str>, Value<'a>)>,
    inherited: Option<&'a Defined>,
    /// Extensions that are not to be inherited.
    hidden: Vec<&'a str>,
    pub(crate) time_ms: Option<i64>,
    pub(crate) expiry_ms: Option<i64>,
    /// Bits of the known attributes that were sent with this event, `null` or not.
    sent: u32,
    /// Bits of those that are not to be inherited.
    gone: u32,
    bytes: usize,
    has_null: bool,
}

impl<'a> Attributes<'a> {
    /// Begins with what DEFINE said.
    #[inline]
    pub(crate) fn inherit(&mut self, defined: &'a Defined) {
        self.inherited = Some(defined);
        self.time_ms = defined.time_ms;
        self.expiry_ms = defined.expiry_ms;
        self.bytes = defined.len();
    }

    #[inline]
    pub(crate) fn get(&self, attribute: Attribute) -> Option<Value<'a>> {
        let own = self.known.get(attribute as usize).copied().flatten();
        own.or_else(|| self.inherited.filter(|_| self.gone & attribute.bit() == 0)?.known(attribute))
    }

    #[inline]
    pub(crate) fn put(&mut self, attribute: Attribute, value: Value<'a>) {
        if let Some(slot) = self.known.get_mut(attribute as usize) {
            *slot = Some(value);
        }
    }

    pub(crate) fn take_away(&mut self, attribute: Attribute) {
        if let Some(slot) = self.known.get_mut(attribute as usize) {
            *slot = None;
        }
        self.gone |= attribute.bit();
    }

    pub(crate) fn put_extension(&mut self, name: &'a str, value: Value<'a>) {
        match self.place(name) {
            Ok(at) => {
                if let Some((_, own)) = self.own.get_mut(at) {
                    *own = value;
                }
            }
            Err(at) => {
                self.own.insert(at, (Cow::Borrowed(name), value));
                if self.own.len() == FEW + 1 {
                    self.own.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
                }
            }
        }
    }

    /// Whether it was there.
    pub(crate) fn take_extension_away(&mut self, name: &'a str) -> bool {
        let was_there = self.extensions().any(|(other, _)| other == name);
        if let Ok(at) = self.place(name) {
            self.own.remove(at);
        }
        let is_inherited = self.inherited.is_some_and(|d| d.extensions().any(|(other, _)| other == name));
        if is_inherited && !self.hidden.contains(&name) {
            self.hidden.push(name);
        }
        was_there
    }

    /// Extensions, the event's own first.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = (&str, Value<'a>)> + use<'_, 'a> {
        let own = self.own.iter().map(|(name, value)| (&**name, *value));
        let inherited = self
            .inherited
            .into_iter()
            .flat_map(|d| d.extensions().map(|(n, v)| -> (&str, Value<'a>) { (n, v) }))
            .filter(|(name, _)| !self.has(name) && !self.hidden.contains(name));
        own.chain(inherited)
    }

    /// Whether the data is JSON. Without a content type it is.
    #[inline]
    pub(crate) fn is_json(&self) -> bool {
        self.get(Attribute::Datacontenttype).is_none_or(|value| is_json_content_type(&value.text()))
    }

    /// Takes a member of a JSON object.
    #[inline]
    pub(crate) fn add(
        &mut self,
        name: Cow<'a, str>,
        member: &Member<'a>,
        limits: &Limits,
    ) -> Result<(), Reject> {
        if let Some(attribute) = Attribute::from_name(&name) {
            return self.add_known(attribute, member, limits);
        }
        self.weigh(member.name.raw.len() + member.value.raw.len(), limits)?;
        fits(&name, &member.value)?;
        self.has_null |= member.value.kind == Kind::Null;
        self.insert(name, Value::Json(member.value.raw))
    }

    /// Takes a member of a JSON object whose name is known.
    #[inline]
    pub(crate) fn add_known(
        &mut self,
        attribute: Attribute,
        member: &Member<'a>,
        limits: &Limits,
    ) -> Result<(), Reject> {
        self.weigh(member.name.raw.len() + member.value.raw.len(), limits)?;
        fits(attribute.name(), &member.value)?;
        if member.value.kind == Kind::Null {
            return self.mark(attribute);
        }
        self.insert_known(attribute, Value::Json(member.value.raw))
    }

    /// Takes a header or a query parameter.
    pub(crate) fn add_text(&mut self, name: &'a str, text: &'a str, limits: &Limits) -> Result<(), Reject> {
        self.weigh(name.len() + text.len(), limits)?;
        match Attribute::from_name(name) {
            Some(attribute) => self.insert_known(attribute, Value::Text(text)),
            None => self.insert(Cow::Borrowed(name), Value::Text(text)),
        }
    }

    /// Takes a field of a record, which stands above whatever else said so.
    pub(crate) fn overrule(
        &mut self,
        attribute: Attribute,
        value: Value<'a>,
        bytes: usize,
        limits: &Limits,
    ) -> Result<(), Reject> {
        self.weigh(bytes, limits)?;
        self.judge(attribute, &value)?;
        self.put(attribute, value);
        Ok(())
    }

    /// Called when all have been taken.
    #[inline]
    pub(crate) fn finish(&mut self) -> Result<(), Reject> {
        if self.own.len() > FEW {
            self.own.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            let twice = self.own.windows(2).find_map(|pair| match pair {
                [(left, _), (right, _)] if left == right => Some(left),
                _ => None,
            });
            if let Some(name) = twice {
                return Err(refused(name, "is there twice"));
            }
        }
        if self.has_null {
            self.own.retain(|(_, value)| *value != Value::Json("null"));
        }
        Ok(())
    }

    #[inline]
    fn insert_known(&mut self, attribute: Attribute, value: Value<'a>) -> Result<(), Reject> {
        self.mark(attribute)?;
        if attribute != Attribute::Recordedtime {
            self.judge(attribute, &value)?;
            self.put(attribute, value);
        }
        Ok(())
    }

    fn insert(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), Reject> {
        if !is_name(&name) {
            return Err(Reject::malformed(format!(
                "{} cannot be the name of an attribute: it consists of a-z and 0-9, and is not `data`",
                quoted(&name)
            )));
        }
        if self.own.len() <= FEW && self.own.iter().any(|(other, _)| *other == name) {
            return Err(refused(&name, "is there twice"));
        }
        self.own.push((name, value));
        Ok(())
    }

    #[inline]
    fn mark(&mut self, attribute: Attribute) -> Result<(), Reject> {
        if self.sent & attribute.bit() != 0 {
            return Err(refused(attribute.name(), "is there twice"));
        }
        self.sent |= attribute.bit();
        Ok(())
    }

    #[inline]
    fn judge(&mut self, attribute: Attribute, value: &Value<'a>) -> Result<(), Reject> {
        let name = attribute.name();
        if attribute == Attribute::Sampledrate {
            return Ok(());
        }
        if !value.is_string() {
            return Err(refused(name, "is a string"));
        }
        if matches!(value, Value::Json("\"\"") | Value::Text("")) && attribute != Attribute::Tracestate {
            return Err(refused(name, "must not be empty"));
        }
        match attribute {
            Attribute::Specversion if value.text() != "1.0" => {
                Err(refused(name, "is `1.0`, no other version is spoken here"))
            }
            Attribute::Time => {
                self.time_ms = Some(moment(name, value)?);
                Ok(())
            }
            Attribute::Expirytime => {
                self.expiry_ms = Some(moment(name, value)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn weigh(&mut self, bytes: usize, limits: &Limits) -> Result<(), Reject> {
        self.bytes += bytes;
        if self.bytes > limits.max_attributes_bytes as usize {
            return Err(Reject::too_large(format!(
                "attributes have more than {} bytes",
                limits.max_attributes_bytes
            )));
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Where the event's own extension of this name is, or would be put.
    fn place(&self, name: &str) -> Result<usize, usize> {
        if self.own.len() > FEW {
            self.own.binary_search_by(|(own, _)| (**own).cmp(name))
        } else {
            self.own.iter().position(|(own, _)| own == name).ok_or(self.own.len())
        }
    }
}

/// Refuses a value that no attribute can have.
#[inline]
fn fits(name: &str, value: &Token<'_>) -> Result<(), Reject> {
    match value.kind {
        Kind::Object | Kind::Array => {
            Err(refused(name, "is a string, a number or a boolean, not an object or an array"))
        }
        Kind::String { escaped: true } if value.string().is_none() => {
            Err(refused(name, "has an escaped surrogate that stands alone"))
        }
        Kind::String { .. } | Kind::Number | Kind::Boolean | Kind::Null => Ok(()),
    }
}

fn moment(name: &str, value: &Value<'_>) -> Result<i64, Reject> {
    if let Value::Millis(unix_ms) = *value {
        return i64::try_from(unix_ms)
            .ok()
            .filter(|_| unix_ms <= TIME_MS_MAX)
            .ok_or_else(|| refused(name, "is beyond the year 9999"));
    }
    // As sent first: a moment has no escapes, unless somebody means to be funny.
    let as_sent = match value {
        Value::Json(raw) => raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')),
        _ => None,
    };
    as_sent
        .and_then(time::parse)
        .or_else(|| time::parse(&value.text()))
        .ok_or_else(|| refused(name, "is a date and time of RFC 3339, like 2026-01-31T09:30:00.000Z"))
}

#[cold]
fn refused(name: &str, what: &str) -> Reject {
    Reject::malformed(format!("{} {what}", quoted(name)))
}
