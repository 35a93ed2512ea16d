//! `==`, `<` and the others, between any two values.

use std::cmp::Ordering;

use crate::fault::Fault;
use crate::value::Value;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
}

impl Relation {
    pub(crate) const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::LessOrEqual, Self::Less, Self::GreaterOrEqual, Self::Greater];

    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::LessOrEqual => "<=",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
        }
    }

    /// Whether it asks for equality alone, which any two values may be asked for.
    pub(crate) fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }

    /// With its sides exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Less => Self::Greater,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Greater => Self::Less,
        }
    }

    /// Of values in this order; `None` where one of them is not a number.
    #[inline]
    pub(crate) fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Less => order == Some(Ordering::Less),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
        }
    }
}

/// Texts with escapes are written here to be compared.
pub(crate) type Buffers = [String; 2];

/// Whether `left relation right`. Values of different types are not equal, and are not to be ordered; integers and
/// doubles compare as numbers. Lists and maps are not compared.
#[inline]
pub(crate) fn relate(
    relation: Relation,
    left: Value<'_>,
    right: Value<'_>,
    buffers: &mut Buffers,
) -> Result<bool, Fault> {
    let order = match (left, right) {
        (Value::Int(left), Value::Int(right)) | (Value::Duration(left), Value::Duration(right)) => {
            Some(left.cmp(&right))
        }
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(&right),
        (Value::Text(left), Value::Text(right)) => {
            let [first, second] = buffers;
            let (left, right) = (left.read(first)?, right.read(second)?);
            if relation.is_equality() {
                return Ok((left == right) == (relation == Relation::Equal));
            }
            Some(left.cmp(right))
        }
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(&right)),
        (Value::Moment(left), Value::Moment(right)) => Some(left.cmp(&right)),
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => return Err(Fault::Type),
        (Value::Null, Value::Null) if relation.is_equality() => Some(Ordering::Equal),
        _ => match numbers(left, right) {
            Ok(order) => order,
            Err(_) if relation.is_equality() => None,
            Err(fault) => return Err(fault),
        },
    };
    Ok(relation.holds(order))
}

/// The order of two numbers, exact whatever their types; there is none where one is NaN.
fn numbers(left: Value<'_>, right: Value<'_>) -> Result<Option<Ordering>, Fault> {
    Ok(match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => mixed(left, double(right)?),
        (None, Some(right)) => mixed(right, double(left)?).map(Ordering::reverse),
        (None, None) => double(left)?.partial_cmp(&double(right)?),
    })
}

fn integer(value: Value<'_>) -> Option<i128> {
    match value {
        Value::Int(value) => Some(value.into()),
        Value::Uint(value) => Some(value.into()),
        _ => None,
    }
}

fn double(value: Value<'_>) -> Result<f64, Fault> {
    if let Value::Double(value) = value { Ok(value) } else { Err(Fault::Type) }
}

/// An integer of 64 bits against a double.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a double below 2^65 fits, and what is cut off is compared after"
)]
fn mixed(integer: i128, double: f64) -> Option<Ordering> {
    const BEYOND: f64 = 36_893_488_147_419_103_232.0;
    if double.is_nan() {
        return None;
    }
    if double.abs() >= BEYOND {
        return Some(if double > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = double.trunc();
    let fraction = 0.0f64.partial_cmp(&(double - whole))?;
    Some(integer.cmp(&(whole as i128)).then(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Text;

    #[track_caller]
    fn orders(left: Value<'_>, right: Value<'_>, order: Ordering) {
        let mut buffers = Buffers::default();
        for relation in Relation::ALL {
            let holds = relate(relation, left, right, &mut buffers).unwrap();
            assert_eq!(holds, relation.holds(Some(order)), "{left:?} {} {right:?}", relation.mark());
            let mirrored = relate(relation.mirrored(), right, left, &mut buffers).unwrap();
            assert_eq!(holds, mirrored, "{right:?} {} {left:?}", relation.mirrored().mark());
        }
    }

    #[test]
    fn numbers_compare_by_value() {
        use Ordering::{Equal, Greater, Less};
        use Value::{Double, Int, Uint};
        orders(Int(1), Int(2), Less);
        orders(Int(-1), Uint(u64::MAX), Less);
        orders(Int(1), Double(1.0), Equal);
        orders(Int(1), Double(1.5), Less);
        orders(Int(-1), Double(-1.5), Greater);
        orders(Int(i64::MAX), Double(9_223_372_036_854_775_808.0), Less);
        orders(Uint(u64::MAX), Double(1e300), Less);
        orders(Int(0), Double(f64::NEG_INFINITY), Greater);
        orders(Double(0.5), Double(0.25), Greater);
    }

    #[test]
    fn nothing_is_in_order_with_what_is_no_number() {
        let mut buffers = Buffers::default();
        for relation in Relation::ALL {
            let nan = Value::Double(f64::NAN);
            let holds = relate(relation, nan, Value::Int(1), &mut buffers).unwrap();
            assert_eq!(holds, relation == Relation::NotEqual, "{}", relation.mark());
        }
    }

    #[test]
    fn texts_compare_by_what_they_say() {
        let (plain, escaped) = (Text::plain("a\u{e9}"), Text::json(r"a\u00e9", true));
        orders(Value::Text(plain), Value::Text(escaped), Ordering::Equal);
        orders(Value::Text(Text::plain("Z")), Value::Text(Text::plain("a")), Ordering::Less);
        let alone = Value::Text(Text::json(r"\ud800", true));
        assert_eq!(
            relate(Relation::Equal, alone, Value::Text(plain), &mut Buffers::default()),
            Err(Fault::Surrogate)
        );
    }

    #[test]
    fn types_are_not_mixed() {
        let mut buffers = Buffers::default();
        let text = Value::Text(Text::plain("1"));
        assert_eq!(relate(Relation::Equal, text, Value::Int(1), &mut buffers), Ok(false));
        assert_eq!(relate(Relation::NotEqual, Value::Null, Value::Int(1), &mut buffers), Ok(true));
        assert_eq!(relate(Relation::Less, text, Value::Int(1), &mut buffers), Err(Fault::Type));
        assert_eq!(relate(Relation::Less, Value::Null, Value::Null, &mut buffers), Err(Fault::Type));
        assert_eq!(
            relate(Relation::Equal, Value::List("[]"), Value::List("[]"), &mut buffers),
            Err(Fault::Type)
        );
        assert_eq!(relate(Relation::Equal, Value::List("[]"), Value::Int(1), &mut buffers), Ok(false));
    }
}
