//! Logical types: what a JSON number or text means as one.

use serde_json::Value;
use tidegate_wire::time;

const DAY_MS: i64 = 86_400_000;

/// What times are counted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tick {
    Millis,
    Micros,
    Nanos,
}

impl Tick {
    const fn per_ms(self) -> i64 {
        match self {
            Self::Millis => 1,
            Self::Micros => 1_000,
            Self::Nanos => 1_000_000,
        }
    }

    /// What the digits of a fraction of a second after the third come to.
    fn below_ms(self, text: &str) -> i64 {
        let digits = text.split_once('.').map_or("", |(_, rest)| rest).bytes().take_while(u8::is_ascii_digit);
        let digits: Vec<i64> = digits.skip(3).take(6).map(|digit| i64::from(digit - b'0')).collect();
        let nanos = (0..6).fold(0, |sum, at| sum * 10 + digits.get(at).copied().unwrap_or(0));
        match self {
            Self::Millis => 0,
            Self::Micros => nanos / 1_000,
            Self::Nanos => nanos,
        }
    }

    /// The ticks since 1970 of an RFC 3339 text.
    pub(super) fn moment(self, text: &str) -> Option<i64> {
        time::parse(text)?.checked_mul(self.per_ms())?.checked_add(self.below_ms(text))
    }

    /// The ticks since 1970 of such a text without an offset.
    pub(super) fn local_moment(self, text: &str) -> Option<i64> {
        self.moment(&format!("{text}Z"))
    }

    /// The ticks since midnight of `HH:MM:SS`, perhaps with a fraction.
    pub(super) fn of_day(self, text: &str) -> Option<i64> {
        self.moment(&format!("1970-01-01T{text}Z"))
            .filter(|ticks| *ticks < DAY_MS.saturating_mul(self.per_ms()))
    }
}

/// The days since 1970 of `YYYY-MM-DD`.
pub(super) fn days(text: &str) -> Option<i64> {
    time::parse(&format!("{text}T00:00:00Z")).filter(|_| text.len() == 10).map(|ms| ms.div_euclid(DAY_MS))
}

/// The integer that a number is, if it is one: `2.0` is, as it is the same as `2` to whoever wrote it.
pub(super) fn integer(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = value.as_number()?;
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|_| number.is_f64())?;
        let is_integer = float.fract() == 0.0 && float.abs() <= EXACT;
        #[expect(clippy::cast_possible_truncation, reason = "it is an integer below 2^53")]
        is_integer.then_some(float as i64)
    })
}

/// The unscaled value of a decimal: digits, perhaps with a sign and a point. The error says what is wrong.
pub(super) fn decimal(text: &str, precision: usize, scale: usize) -> Result<i128, String> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || unsigned.ends_with('.') {
        return Err("is no decimal such as 12.34".into());
    }
    let fraction = fraction.trim_end_matches('0');
    let Some(zeros) = scale.checked_sub(fraction.len()) else {
        return Err(format!("has more than {scale} digits after the point"));
    };
    let digits = format!("{whole}{fraction}{}", "0".repeat(zeros));
    let digits = digits.trim_start_matches('0');
    if digits.len() > precision {
        return Err(format!("has more than {precision} digits"));
    }
    // At most 38 digits, which fit.
    let magnitude: i128 = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(i128::MAX) };
    Ok(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// The shortest two's complement, big endian.
pub(super) fn shortest(number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0 };
    let is_spare =
        |pair: &[u8]| matches!(*pair, [first, second] if first == sign && (second ^ sign) & 0x80 == 0);
    let spare = bytes.windows(2).take_while(|pair| is_spare(pair)).count();
    bytes.get(spare..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_counted_in_their_ticks() {
        let text = "2026-01-01T00:00:00.123456789Z";
        assert_eq!(Tick::Millis.moment(text), Some(1_767_225_600_123));
        assert_eq!(Tick::Micros.moment(text), Some(1_767_225_600_123_456));
        assert_eq!(Tick::Nanos.moment(text), Some(1_767_225_600_123_456_789));
        assert_eq!(Tick::Micros.moment("2026-01-01T01:00:00+01:00"), Some(1_767_225_600_000_000));
        assert_eq!(Tick::Nanos.moment("9999-01-01T00:00:00Z"), None, "does not fit");
        assert_eq!(Tick::Millis.local_moment("2026-01-01T00:00:00"), Some(1_767_225_600_000));
        assert_eq!(Tick::Millis.local_moment(text), None);
        assert_eq!(Tick::Micros.of_day("01:02:03.5"), Some(3_723_500_000));
        assert_eq!((days("1970-01-02"), days("1969-12-31"), days("1970-1-2")), (Some(1), Some(-1), None));
    }

    #[test]
    fn integers_are_integers_however_they_are_written() {
        assert_eq!(
            (integer(&json!(2)), integer(&json!(2.0)), integer(&json!(-1e3))),
            (Some(2), Some(2), Some(-1_000))
        );
        for value in [json!(2.5), json!(1e300), json!("2"), json!(u64::MAX), json!(true)] {
            assert_eq!(integer(&value), None, "{value}");
        }
    }

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        for (text, expected) in
            [("12.34", 1_234), ("-0.5", -50), ("7", 700), ("0.500", 50), ("0", 0), ("007.1", 710)]
        {
            assert_eq!(decimal(text, 6, 2), Ok(expected), "{text}");
        }
        for text in ["12.345", "12345.00", "", ".5", "5.", "1e3", "+1", "--1", "1.2.3", "NaN"] {
            assert!(decimal(text, 6, 2).is_err(), "{text}");
        }
        let nines = "9".repeat(38);
        assert_eq!(decimal(&nines, 38, 0), Ok(nines.parse().unwrap()));
    }

    #[test]
    fn twos_complement_is_as_short_as_it_can_be() {
        for (number, bytes) in [
            (0, vec![0]),
            (127, vec![0x7f]),
            (128, vec![0, 0x80]),
            (-1, vec![0xff]),
            (-128, vec![0x80]),
            (-129, vec![0xff, 0x7f]),
        ] {
            assert_eq!(shortest(number), bytes, "{number}");
        }
    }
}
