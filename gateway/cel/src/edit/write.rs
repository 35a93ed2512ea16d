//! Values as JSON.

use std::io::Write as _;

use tidegate_wire::limits::TIME_MS_MAX;
use tidegate_wire::{json, time};

use crate::fault::Fault;
use crate::moment::Moment;
use crate::value::Value;

impl Value<'_> {
    /// Appends it as JSON; a moment as text (RFC 3339, in milliseconds, from 1970 on). Durations, lists and maps,
    /// and numbers that are none, are faults. After a fault something may be left in `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        // A vector takes whatever is written.
        let written = match self {
            Self::Null => out.write_all(b"null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Int(value) => write!(out, "{value}"),
            Self::Uint(value) => write!(out, "{value}"),
            Self::Double(value) if value.is_finite() => write!(out, "{value:?}"),
            Self::Double(_) => return Err(Fault::Range),
            Self::Text(text) => match text.escaped() {
                Ok(inner) => write!(out, "\"{inner}\""),
                Err(plain) => {
                    json::write_string(plain, out);
                    Ok(())
                }
            },
            Self::Moment(moment) => return write_moment(*moment, out),
            // Objects and arrays would make payloads deeper than they may be.
            Self::Duration(_) | Self::List(_) | Self::Map(_) => return Err(Fault::Type),
        };
        written.map_err(|_| Fault::Range)
    }
}

fn write_moment(moment: Moment, out: &mut Vec<u8>) -> Result<(), Fault> {
    let unix_ms = moment.millis().and_then(|unix_ms| u64::try_from(unix_ms).ok());
    let unix_ms = unix_ms.filter(|unix_ms| *unix_ms <= TIME_MS_MAX).ok_or(Fault::Range)?;
    out.push(b'"');
    time::write(unix_ms, out);
    out.push(b'"');
    Ok(())
}
