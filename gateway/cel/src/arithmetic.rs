//! `+` `-` `*` `/` `%`, between any two values.

use crate::fault::Fault;
use crate::value::Value;

pub(crate) fn negative(value: Value<'_>) -> Result<Value<'_>, Fault> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Fault::Range),
        Value::Double(value) => Ok(Value::Double(-value)),
        _ => Err(Fault::Type),
    }
}

pub(crate) fn add<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Fault> {
    match (left, right) {
        (Value::Moment(moment), Value::Duration(nanos)) | (Value::Duration(nanos), Value::Moment(moment)) => {
            moment.after(nanos).map(Value::Moment).ok_or(Fault::Range)
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_add(right).map(Value::Duration).ok_or(Fault::Range)
        }
        _ => arithmetic(left, right, i128::checked_add, |left, right| left + right),
    }
}

pub(crate) fn subtract<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Fault> {
    match (left, right) {
        (Value::Moment(left), Value::Moment(right)) => {
            left.since(right).map(Value::Duration).ok_or(Fault::Range)
        }
        (Value::Moment(moment), Value::Duration(nanos)) => {
            let earlier = nanos.checked_neg().and_then(|nanos| moment.after(nanos));
            earlier.map(Value::Moment).ok_or(Fault::Range)
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_sub(right).map(Value::Duration).ok_or(Fault::Range)
        }
        _ => arithmetic(left, right, i128::checked_sub, |left, right| left - right),
    }
}

pub(crate) fn multiply<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Fault> {
    arithmetic(left, right, i128::checked_mul, |left, right| left * right)
}

pub(crate) fn divide<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Fault> {
    refuse_zero(left, right)?;
    arithmetic(left, right, i128::checked_div, |left, right| left / right)
}

/// Of integers alone.
pub(crate) fn remainder<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Fault> {
    refuse_zero(left, right)?;
    if matches!(left, Value::Double(_)) || matches!(right, Value::Double(_)) {
        return Err(Fault::Type);
    }
    // As the division would be.
    if matches!((left, right), (Value::Int(i64::MIN), Value::Int(-1))) {
        return Err(Fault::Range);
    }
    arithmetic(left, right, i128::checked_rem, |left, _| left)
}

fn refuse_zero(left: Value<'_>, right: Value<'_>) -> Result<(), Fault> {
    let is_integer = matches!(left, Value::Int(_) | Value::Uint(_));
    match right {
        Value::Int(0) | Value::Uint(0) if is_integer => Err(Fault::DivisionByZero),
        _ => Ok(()),
    }
}

/// Of two numbers. Where one is a double the other becomes one: a number of the payload may be written either way.
fn arithmetic<'a>(
    left: Value<'a>,
    right: Value<'a>,
    integers: impl Fn(i128, i128) -> Option<i128>,
    doubles: impl Fn(f64, f64) -> f64,
) -> Result<Value<'a>, Fault> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            let value = integers(left.into(), right.into()).and_then(|value| i64::try_from(value).ok());
            value.map(Value::Int).ok_or(Fault::Range)
        }
        (Value::Uint(left), Value::Uint(right)) => {
            let value = integers(left.into(), right.into()).and_then(|value| u64::try_from(value).ok());
            value.map(Value::Uint).ok_or(Fault::Range)
        }
        (Value::Int(_) | Value::Uint(_), Value::Int(_) | Value::Uint(_)) => {
            let whole = |value| match value {
                Value::Int(value) => i128::from(value),
                Value::Uint(value) => i128::from(value),
                _ => 0,
            };
            let value = integers(whole(left), whole(right)).ok_or(Fault::Range)?;
            let unsigned = || u64::try_from(value).map(Value::Uint);
            i64::try_from(value).map(Value::Int).or_else(|_| unsigned()).map_err(|_| Fault::Range)
        }
        _ => Ok(Value::Double(doubles(double(left)?, double(right)?))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as arithmetic on doubles is")]
fn double(value: Value<'_>) -> Result<f64, Fault> {
    match value {
        Value::Int(value) => Ok(value as f64),
        Value::Uint(value) => Ok(value as f64),
        Value::Double(value) => Ok(value),
        _ => Err(Fault::Type),
    }
}
