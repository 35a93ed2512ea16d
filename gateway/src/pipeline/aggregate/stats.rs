//! What is said of the numbers of many events: how many, sum, min, max, mean and last.

use std::cmp::Ordering;

use crate::record::Number;

/// Of numbers of one name in one group.
///
/// A sum of integers is exact, and written as an integer where 64 bits hold it; with a double among them it is a double.
/// No sum is infinite: see [`Stats::takes`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stats {
    count: u64,
    said: Option<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Said {
    sum: Number,
    min: Number,
    max: Number,
    last: Number,
}

impl Stats {
    /// Whether the sum stays finite with `number`.
    pub(super) fn takes(&self, number: Number) -> bool {
        self.said.is_none_or(|said| double(add(said.sum, number)).is_finite())
    }

    /// Adds a number that it [`takes`](Self::takes).
    pub(super) fn add(&mut self, number: Number) {
        self.count += 1;
        self.said = Some(match self.said {
            None => Said { sum: number, min: number, max: number, last: number },
            Some(said) => Said {
                sum: add(said.sum, number),
                min: if compare(number, said.min) == Ordering::Less { number } else { said.min },
                max: if compare(number, said.max) == Ordering::Greater { number } else { said.max },
                last: number,
            },
        });
    }

    /// Appends it as a JSON object. Of no numbers there is the count alone.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"count\":{}", self.count).as_bytes());
        if let Some(Said { sum, min, max, last }) = self.said {
            #[expect(clippy::cast_precision_loss, reason = "a mean is a double")]
            let mean = Number::Double(double(sum) / self.count as f64);
            for (name, number) in [("sum", sum), ("min", min), ("max", max), ("mean", mean), ("last", last)] {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                write(number, out);
            }
        }
        out.push(b'}');
    }
}

fn add(a: Number, b: Number) -> Number {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Number::Int(a.saturating_add(b)),
        _ => Number::Double(double(a) + double(b)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is asked for is a double")]
fn double(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    }
}

/// By their values, whatever they are written as.
fn compare(a: Number, b: Number) -> Ordering {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => a.cmp(&b),
        (Number::Double(a), Number::Double(b)) => a.total_cmp(&b),
        (Number::Int(a), Number::Double(b)) => compare_mixed(a, b),
        (Number::Double(a), Number::Int(b)) => compare_mixed(b, a).reverse(),
    }
}

fn compare_mixed(int: i128, double: f64) -> Ordering {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "beyond what an integer holds it is the outermost one"
    )]
    let whole = double.trunc() as i128;
    int.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(double.fract() + 0.0)))
}

/// As a JSON number: an integer beyond 64 bits as a double, which readers of JSON make of it anyway.
fn write(number: Number, out: &mut Vec<u8>) {
    let text = match number {
        Number::Int(value) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) => {
            value.to_string()
        }
        number => format!("{:?}", double(number)),
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::Number::{Double, Int};
    use super::*;

    #[track_caller]
    fn says(numbers: &[Number], expected: &str) {
        let mut stats = Stats::default();
        for number in numbers {
            assert!(stats.takes(*number));
            stats.add(*number);
        }
        let mut out = Vec::new();
        stats.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, expected);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn numbers_are_told_as_they_came() {
        says(&[], r#"{"count":0}"#);
        says(&[Int(3)], r#"{"count":1,"sum":3,"min":3,"max":3,"mean":3.0,"last":3}"#);
        says(
            &[Int(3), Int(-1), Int(2)],
            r#"{"count":3,"sum":4,"min":-1,"max":3,"mean":1.3333333333333333,"last":2}"#,
        );
        says(&[Double(1.5), Int(2)], r#"{"count":2,"sum":3.5,"min":1.5,"max":2,"mean":1.75,"last":2}"#);
        says(
            &[Double(1e300)],
            r#"{"count":1,"sum":1e300,"min":1e300,"max":1e300,"mean":1e300,"last":1e300}"#,
        );
    }

    #[test]
    fn integers_are_exact_to_64_bits_and_doubles_beyond() {
        let (large, huge) = (i128::from(i64::MAX), i128::from(u64::MAX));
        says(
            &[Int(large), Int(1)],
            r#"{"count":2,"sum":9223372036854775808,"min":1,"max":9223372036854775807,"mean":4.611686018427388e18,"last":1}"#,
        );
        says(
            &[Int(huge), Int(huge)],
            &format!(
                r#"{{"count":2,"sum":3.6893488147419103e19,"min":{huge},"max":{huge},"mean":1.8446744073709552e19,"last":{huge}}}"#
            ),
        );
        // Out of 64 bits and back in.
        says(
            &[Int(huge), Int(1), Int(-2)],
            &format!(
                r#"{{"count":3,"sum":{},"min":-2,"max":{huge},"mean":6.148914691236517e18,"last":-2}}"#,
                huge - 1
            ),
        );
    }

    #[test]
    fn integers_and_doubles_compare_by_value() {
        for (less, more) in [
            (Int(2), Double(2.5)),
            (Double(-2.5), Int(-2)),
            (Double(1.5), Int(2)),
            (Int(9_007_199_254_740_993), Double(9_007_199_254_740_994.0)),
            (Int(i128::from(u64::MAX)), Double(1e300)),
            (Double(-1e300), Int(i128::from(i64::MIN))),
        ] {
            assert_eq!(compare(less, more), Ordering::Less, "{less:?} {more:?}");
            assert_eq!(compare(more, less), Ordering::Greater, "{less:?} {more:?}");
        }
        assert_eq!(compare(Int(2), Double(2.0)), Ordering::Equal);
        assert_eq!(compare(Int(0), Double(-0.0)), Ordering::Equal);
    }

    #[test]
    fn a_sum_that_would_be_infinite_is_not_taken() {
        let mut stats = Stats::default();
        stats.add(Double(f64::MAX));
        assert!(!stats.takes(Double(f64::MAX)));
        assert!(stats.takes(Double(-f64::MAX)));
        assert!(stats.takes(Int(i128::from(u64::MAX))));
    }
}
