use super::data::{decode_base64, is_base64};
use super::{Attributes, Data, Event};
use crate::aliases::Aliases;
use crate::attribute::{Attribute, Value};
use crate::body::HttpEvent;
use crate::json::{self, Kind, Member, Token};
use crate::limits::Limits;
use crate::record::{Raw, Record, present};
use crate::refusal::{Reject, quoted};

impl<'a> Event<'a> {
    /// Judges one event as it came in.
    pub fn parse(raw: &Raw<'a>, aliases: &'a Aliases, limits: &Limits) -> Result<Self, Reject> {
        let mut event = Self::default();
        event.fill(raw, aliases, limits)?;
        Ok(event)
    }

    /// Judges one event as it came in, and fills `self`, which must be new. Sizes are judged before contents; on the
    /// ordinary path nothing is allocated. What is left of a refused event means nothing.
    pub fn fill(&mut self, raw: &Raw<'a>, aliases: &'a Aliases, limits: &Limits) -> Result<(), Reject> {
        self.fill_unchecked(raw, aliases, limits, false)?;
        self.check(limits)
    }

    /// As [`Event::fill`], but a payload that stands alone may be left as [`Data::Unchecked`], for whoever looks through it
    /// anyway; and where `leaves_data`, so may the data at the end of a whole event.
    pub fn fill_unchecked(
        &mut self,
        raw: &Raw<'a>,
        aliases: &'a Aliases,
        limits: &Limits,
        leaves_data: bool,
    ) -> Result<(), Reject> {
        let payload_bytes = raw.payload_len();
        if payload_bytes > limits.max_event_bytes as usize {
            return Err(Reject::too_large(format!(
                "the event has {payload_bytes} bytes, at most {} are allowed",
                limits.max_event_bytes
            )));
        }
        let attributes = &mut self.attributes;
        match raw {
            Raw::Structured(json) => {
                self.fill_whole(json::utf8(json).map_err(not_json)?, leaves_data, limits)?;
            }
            Raw::Record(record) => self.data = from_record(record, attributes, aliases, limits)?,
            Raw::Http(request) => self.data = from_http(request, attributes, limits)?,
        }
        if let (Data::Unchecked(payload), None) = (&self.data, self.text) {
            self.text = std::str::from_utf8(payload).ok();
        }
        if self.get(Attribute::Type).is_none() {
            return Err(Reject::malformed("`type` is missing"));
        }
        Ok(())
    }

    /// Checks a payload that is left unchecked.
    #[inline]
    pub fn check(&mut self, limits: &Limits) -> Result<(), Reject> {
        let Data::Unchecked(payload) = self.data else { return Ok(()) };
        let checked = match self.json() {
            Some(text) => json::check_text(text, limits.max_json_depth),
            None => json::check(payload, limits.max_json_depth),
        };
        match (checked, self.whole) {
            (Ok(_), _) => {
                self.data = Data::Json(payload);
                Ok(())
            }
            (Err(_), Some(whole)) => self.read_again(whole, limits),
            (Err(error), None) => Err(payload_not_json(error)),
        }
    }

    /// What is wrong with an event whose data is not what stands at its end: said as of any event.
    #[cold]
    fn read_again(&mut self, whole: &'a str, limits: &Limits) -> Result<(), Reject> {
        let mut again = Self::default();
        again.fill_whole(whole, false, limits)?;
        *self = again;
        Ok(())
    }

    /// Reads a whole event; data at its end may be left unchecked where `leaves_data`.
    fn fill_whole(&mut self, event: &'a str, leaves_data: bool, limits: &Limits) -> Result<(), Reject> {
        let attributes = &mut self.attributes;
        let (mut data, mut data_base64) = (None, None);
        let mut members = json::members(event, limits.max_json_depth).map_err(not_an_object)?;
        while let Some(name) = members.name().map_err(not_json)? {
            let plain = name.plain();
            // The short way for most members, which the rest could go too.
            if let Some(attribute) = plain.and_then(Attribute::from_name) {
                let value = members.value().map_err(not_json)?;
                attributes.add_known(attribute, &Member { name, value }, limits)?;
                continue;
            }
            if leaves_data
                && plain == Some("data")
                && data.or(data_base64).is_none()
                && attributes.get(Attribute::Type).is_some()
                && let Some(last) = members.at_the_end()
            {
                attributes.finish()?;
                self.data = Data::Unchecked(last.as_bytes());
                (self.text, self.whole) = (Some(last), Some(event));
                return Ok(());
            }
            let member = Member { name, value: members.value().map_err(not_json)? };
            let Some(name) = name.string() else { return Err(no_name()) };
            let slot = match &*name {
                "data" => &mut data,
                "data_base64" => &mut data_base64,
                _ => {
                    attributes.add(name, &member, limits)?;
                    continue;
                }
            };
            if slot.replace(member.value).is_some() {
                return Err(Reject::malformed(format!("`{name}` is there twice")));
            }
        }
        attributes.finish()?;
        self.data = match (data, data_base64.filter(|token| token.kind != Kind::Null)) {
            (Some(_), Some(_)) => {
                let message = "`data` and `data_base64` are both there, an event has one of them";
                return Err(Reject::malformed(message));
            }
            (Some(token), None) => member_data(&token, attributes)?,
            (None, Some(token)) => base64_data(&token, attributes, limits)?,
            (None, None) => Data::None,
        };
        Ok(())
    }
}

fn member_data<'a>(token: &Token<'a>, attributes: &Attributes<'a>) -> Result<Data<'a>, Reject> {
    let is_text = matches!(token.kind, Kind::String { .. }) && !attributes.is_json();
    if !is_text {
        return Ok(Data::Json(token.raw.as_bytes()));
    }
    if token.string().is_none() {
        return Err(Reject::malformed(
            "`data` is text by its content type, but has an escaped surrogate that stands alone",
        ));
    }
    Ok(Data::Text(token.raw))
}

fn base64_data<'a>(
    token: &Token<'a>,
    attributes: &Attributes<'a>,
    limits: &Limits,
) -> Result<Data<'a>, Reject> {
    let Some(text) = token.string().filter(|text| is_base64(text)) else {
        return Err(Reject::malformed("`data_base64` is a string of base64 with padding (RFC 4648)"));
    };
    if text.is_empty() {
        return Ok(Data::None);
    }
    if attributes.is_json() {
        let decoded = decode_base64(&text).unwrap_or_default();
        json::check(&decoded, limits.max_json_depth).map_err(|error| {
            Reject::malformed(format!(
                "`data_base64` is not JSON, which `datacontenttype` (by default application/json) promises: {error}"
            ))
        })?;
    }
    Ok(Data::Base64(text))
}

fn from_record<'a>(
    record: &Record<'a>,
    attributes: &mut Attributes<'a>,
    aliases: &'a Aliases,
    limits: &Limits,
) -> Result<Data<'a>, Reject> {
    let attributes_bytes = record.attributes.map_or(0, <[u8]>::len);
    if attributes_bytes > limits.max_attributes_bytes as usize {
        return Err(Reject::too_large(format!(
            "attributes have {attributes_bytes} bytes, at most {} are allowed",
            limits.max_attributes_bytes
        )));
    }
    if record.present & !present::ALL != 0 {
        return Err(Reject::malformed(format!(
            "`present` is {:#04x}, only its bits 0-3 mean something",
            record.present
        )));
    }
    let Some(defined) = aliases.get(record.alias) else {
        return Err(undefined(record));
    };
    attributes.inherit(defined);
    if let Some(json) = record.attributes {
        let text = json::utf8(json).map_err(bad_attributes)?;
        for member in json::members(text, limits.max_json_depth).map_err(bad_attributes)? {
            let member = member.map_err(bad_attributes)?;
            let Some(name) = member.name.string() else { return Err(no_name()) };
            attributes.add(name, &member, limits)?;
        }
        attributes.finish()?;
    }
    if let Some(key) = record.key {
        attributes.overrule(Attribute::Partitionkey, text("key", key)?, key.len(), limits)?;
    }
    if let Some(time_ms) = record.time_ms {
        attributes.overrule(Attribute::Time, Value::Millis(time_ms), 0, limits)?;
    }
    if let Some(id) = record.id {
        attributes.overrule(Attribute::Id, text("id", id)?, id.len(), limits)?;
    }
    Ok(payload_data(record.payload, attributes))
}

fn from_http<'a>(
    event: &'a HttpEvent<'a>,
    attributes: &mut Attributes<'a>,
    limits: &Limits,
) -> Result<Data<'a>, Reject> {
    for (name, value) in &event.attributes {
        let Some(text) = value else {
            return Err(Reject::malformed(format!(
                "the header of {} is not UTF-8 in percent-encoding",
                quoted(name)
            )));
        };
        attributes.add_text(name, text, limits)?;
    }
    attributes.finish()?;
    Ok(payload_data(event.body, attributes))
}

#[inline]
fn payload_data<'a>(payload: &'a [u8], attributes: &Attributes<'a>) -> Data<'a> {
    match attributes.is_json() {
        _ if payload.is_empty() => Data::None,
        true => Data::Unchecked(payload),
        false => Data::Bytes(payload),
    }
}

fn text<'a>(field: &str, bytes: &'a [u8]) -> Result<Value<'a>, Reject> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Value::Text(text)),
        Err(_) => Err(Reject::malformed(format!("the record's {field} is not UTF-8"))),
    }
}

#[cold]
fn payload_not_json(error: json::Error) -> Reject {
    Reject::malformed(format!(
        "the payload is not JSON, which `datacontenttype` (by default application/json) promises: {error}"
    ))
}

#[cold]
fn no_name() -> Reject {
    Reject::malformed("the name of an attribute has an escaped surrogate that stands alone")
}

#[cold]
fn undefined(record: &Record<'_>) -> Reject {
    Reject::malformed(match record.alias {
        0 => "a record with alias 0 is a whole event and has no other fields: `present` must be 0".into(),
        1..=255 => format!("alias {} was not defined on this connection", record.alias),
        alias => format!("alias {alias} cannot be, aliases are 1 to 255"),
    })
}

#[cold]
fn not_json(error: json::Error) -> Reject {
    Reject::malformed(format!("the event is not JSON: {error}"))
}

#[cold]
fn not_an_object(error: json::Error) -> Reject {
    Reject::malformed(format!("an event is a JSON object: {error}"))
}

#[cold]
fn bad_attributes(error: json::Error) -> Reject {
    Reject::malformed(format!("the record's attributes are not a JSON object: {error}"))
}

#[cfg(test)]
mod tests;
