//! What expressions compute with.

use std::fmt::Write as _;

use tidegate_wire::json;

use crate::fault::Fault;
use crate::moment::Moment;

/// A value, at most borrowing from the event or the program.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer, also a number of the payload that is written as one.
    Int(i64),
    /// An integer that was written so, or a number of the payload beyond 2^63.
    Uint(u64),
    /// Any other number.
    Double(f64),
    /// Text.
    Text(Text<'a>),
    /// A point in time.
    Moment(Moment),
    /// A length of time, in nanoseconds.
    Duration(i64),
    /// An array of the payload, checked JSON.
    List(&'a str),
    /// An object of the payload, checked JSON.
    Map(&'a str),
}

impl Value<'_> {
    /// Of a JSON number, checked: an integer where it is written as one and fits, otherwise a double.
    pub fn number(raw: &str) -> Self {
        let digits = raw.as_bytes().strip_prefix(b"-").unwrap_or(raw.as_bytes());
        let is_integer = digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit) && raw != "-0";
        if is_integer {
            // Nineteen digits always fit 64 bits.
            if digits.len() < 19 {
                let value = digits.iter().fold(0, |value: i64, digit| value * 10 + i64::from(digit & 0xf));
                return Self::Int(if digits.len() < raw.len() { -value } else { value });
            }
            if let Some(value) = raw.parse().ok().map(Self::Int).or_else(|| raw.parse().ok().map(Self::Uint))
            {
                return value;
            }
        }
        Self::Double(decimal(raw).unwrap_or_else(|| raw.parse().unwrap_or(f64::NAN)))
    }

    /// Appends it as text, which is what keys go by: numbers as they are computed with, times to the millisecond. `null`, lists and
    /// maps are [`Fault::Type`]. Strings with escapes go through `buffer`.
    pub fn write_text(&self, out: &mut String, buffer: &mut String) -> Result<(), Fault> {
        match self {
            Self::Text(text) => out.push_str(text.read(buffer)?),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            // Writing into a string cannot fail.
            Self::Int(value) => _ = write!(out, "{value}"),
            Self::Uint(value) => _ = write!(out, "{value}"),
            Self::Double(value) => _ = write!(out, "{value}"),
            Self::Duration(nanos) => _ = write!(out, "{nanos}ns"),
            Self::Moment(moment) => moment.write(out).ok_or(Fault::Range)?,
            Self::Null | Self::List(_) | Self::Map(_) => return Err(Fault::Type),
        }
        Ok(())
    }

    /// What it is called in messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Moment(_) => "timestamp",
            Self::Duration(_) => "duration",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }
}

/// The value of a number of few digits with a point and without an exponent: exact, as both parts are powers that doubles
/// have.
fn decimal(raw: &str) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let digits = raw.as_bytes().strip_prefix(b"-").unwrap_or(raw.as_bytes());
    if digits.len() > 16 {
        return None;
    }
    let (mut value, mut fraction) = (0u64, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte & 0xf);
                fraction = fraction.map(|digits: usize| digits + 1);
            }
            b'.' => fraction = Some(0),
            _ => return None,
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "fifteen digits fit a double")]
    let value = value as f64 / POWERS.get(fraction?)?;
    Some(if digits.len() < raw.len() { -value } else { value })
}

/// Text, perhaps as it stands in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
    is_escaped: bool,
}

impl<'a> Text<'a> {
    /// Text as it is.
    #[inline]
    pub fn plain(text: &'a str) -> Self {
        Self { raw: text, is_escaped: false }
    }

    /// What stands between the quotes of a JSON string that was checked.
    #[inline]
    pub fn json(inner: &'a str, is_escaped: bool) -> Self {
        Self { raw: inner, is_escaped }
    }

    /// What stands between the quotes of a JSON string with escapes, or else the text as it is.
    pub(crate) fn escaped(&self) -> Result<&'a str, &'a str> {
        if self.is_escaped { Ok(self.raw) } else { Err(self.raw) }
    }

    /// The text; one with escapes is written into `buffer`. A surrogate that stands alone is a fault.
    #[inline]
    pub fn read<'b>(&self, buffer: &'b mut String) -> Result<&'b str, Fault>
    where
        'a: 'b,
    {
        if !self.is_escaped {
            return Ok(self.raw);
        }
        buffer.clear();
        match json::unescape_into(self.raw, buffer) {
            true => Ok(buffer),
            false => Err(Fault::Surrogate),
        }
    }
}
