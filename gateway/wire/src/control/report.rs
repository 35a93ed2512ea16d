use serde::Serialize;

use super::fields;
use crate::json::{self, Kind, Token};
use crate::limits::{NUMBER_MAX, REPORT_BUCKETS};
use crate::refusal::Violation;

/// What a client has seen since its last REPORT. Whatever is left out is 0.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Events it dropped, by reason.
    pub dropped: Dropped,
    /// How often it changed the carrier.
    pub switches: u64,
    /// Times from sending to acknowledgement: upper bound in ms (`None`, JSON `null`: none) and count of each bucket.
    pub ack_ms: Vec<(Option<u64>, u64)>,
}

/// Events that a client dropped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Dropped {
    /// Its outbox was full.
    pub overflow: u64,
    /// Past their `expirytime`.
    pub expired: u64,
    /// Beyond the limit of an event.
    pub too_large: u64,
}

impl Report {
    pub(crate) fn decode(text: &str) -> Result<Self, Violation> {
        let mut report = Self::default();
        for field in fields("REPORT", text)? {
            let field = field?;
            match field.name() {
                "dropped" => {
                    if let Some(text) = field.object()? {
                        report.dropped = dropped(text)?;
                    }
                }
                "switches" => report.switches = field.integer(0, NUMBER_MAX)?.unwrap_or(0),
                "ack_ms" if !field.is_null() => {
                    report.ack_ms = buckets(&field.value()).ok_or_else(|| {
                        field.wrong("a list of at most 64 pairs [upper bound in ms or null, count]")
                    })?;
                }
                _ => {}
            }
        }
        Ok(report)
    }
}

fn dropped(text: &str) -> Result<Dropped, Violation> {
    let mut dropped = Dropped::default();
    for field in fields("REPORT `dropped`", text)? {
        let field = field?;
        let slot = match field.name() {
            "overflow" => &mut dropped.overflow,
            "expired" => &mut dropped.expired,
            "too_large" => &mut dropped.too_large,
            _ => continue,
        };
        *slot = field.integer(0, NUMBER_MAX)?.unwrap_or(0);
    }
    Ok(dropped)
}

fn buckets(token: &Token<'_>) -> Option<Vec<(Option<u64>, u64)>> {
    let mut buckets = Vec::new();
    for pair in json::elements(token.raw, 2).ok()? {
        let mut pair = json::elements(pair.ok()?.raw, 1).ok()?;
        let (bound, count, None) = (pair.next()?.ok()?, pair.next()?.ok()?, pair.next()) else {
            return None;
        };
        let bound = if bound.kind == Kind::Null { None } else { Some(number(&bound)?) };
        if buckets.len() == REPORT_BUCKETS {
            return None;
        }
        buckets.push((bound, number(&count)?));
    }
    Some(buckets)
}

fn number(token: &Token<'_>) -> Option<u64> {
    token.integer().filter(|value| *value <= NUMBER_MAX)
}
