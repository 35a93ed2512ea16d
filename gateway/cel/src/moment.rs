//! RFC 3339 times and durations, as CEL writes them.

use tidegate_wire::time;

const NANOS: i64 = 1_000_000_000;

/// A point in time, to the nanosecond.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment {
    /// Since 1970, negative before.
    seconds: i64,
    /// Beyond the second, less than one.
    nanos: i64,
}

impl Moment {
    /// At so many milliseconds since 1970.
    pub fn from_millis(unix_ms: i64) -> Self {
        Self { seconds: unix_ms.div_euclid(1_000), nanos: unix_ms.rem_euclid(1_000) * 1_000_000 }
    }

    /// Of an RFC 3339 date-time; digits beyond nanoseconds are cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let seconds = time::parse(text)?.div_euclid(1_000);
        let fraction = text.get(19..)?.strip_prefix('.').unwrap_or_default();
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).chain(std::iter::repeat(b'0'));
        let nanos = digits.take(9).fold(0, |nanos, digit| nanos * 10 + i64::from(digit & 0xf));
        Some(Self { seconds, nanos })
    }

    /// Milliseconds since 1970, negative before.
    pub(crate) fn millis(self) -> Option<i64> {
        self.seconds.checked_mul(1_000)?.checked_add(self.nanos / 1_000_000)
    }

    /// Appends it in RFC 3339, to the millisecond; `None` before 1970.
    pub(crate) fn write(self, out: &mut String) -> Option<()> {
        out.push_str(&time::format(u64::try_from(self.millis()?).ok()?));
        Some(())
    }

    /// How long after `earlier` it is, in nanoseconds.
    pub(crate) fn since(self, earlier: Self) -> Option<i64> {
        let seconds = self.seconds.checked_sub(earlier.seconds)?;
        let nanos = i128::from(seconds) * i128::from(NANOS) + i128::from(self.nanos - earlier.nanos);
        i64::try_from(nanos).ok()
    }

    /// So much later; a negative `duration` is in nanoseconds too.
    pub(crate) fn after(self, duration: i64) -> Option<Self> {
        let nanos = self.nanos + duration.rem_euclid(NANOS);
        let seconds = self.seconds.checked_add(duration.div_euclid(NANOS))?.checked_add(nanos / NANOS)?;
        Some(Self { seconds, nanos: nanos % NANOS })
    }
}

/// Nanoseconds of a duration: numbers with a unit each, `1h30m`, `-1.5s`, `250ms`; `0` needs no unit.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    loop {
        let (nanos, after) = part(rest)?;
        total = total.checked_add(nanos)?;
        if after.is_empty() {
            return i64::try_from(sign * total).ok();
        }
        rest = after;
    }
}

/// One number and its unit, and what follows.
fn part(text: &str) -> Option<(i128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    let (unit, rest) = UNITS.iter().find_map(|(name, nanos)| Some((*nanos, rest.strip_prefix(name)?)))?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut share = unit;
    for digit in fraction.bytes() {
        share /= 10;
        nanos = nanos.checked_add(share * i128::from(digit & 0xf))?;
    }
    Some((nanos, rest))
}

/// Longer names first.
const UNITS: [(&str, i128); 8] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ns", 1),
    ("s", NANOS as i128),
    ("m", 60 * NANOS as i128),
    ("h", 3_600 * NANOS as i128),
];

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_to_the_nanosecond() {
        let moment = |seconds, nanos| Some(Moment { seconds, nanos });
        assert_eq!(Moment::parse("1970-01-01T00:00:01Z"), moment(1, 0));
        assert_eq!(Moment::parse("1970-01-01T00:00:01.123456789Z"), moment(1, 123_456_789));
        assert_eq!(Moment::parse("1970-01-01T01:00:01.5+01:00"), moment(1, 500_000_000));
        assert_eq!(Moment::parse("1969-12-31T23:59:59.25Z"), moment(-1, 250_000_000));
        assert_eq!(Moment::parse("1970-01-01"), None);
        assert_eq!(Moment::from_millis(-750), Moment::parse("1969-12-31T23:59:59.25Z").unwrap());
    }

    #[test]
    fn durations_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("1s", NANOS),
            ("-1.5s", -1_500_000_000),
            ("1h30m", 5_400 * NANOS),
            ("250ms", 250_000_000),
            ("1us", 1_000),
            ("1\u{b5}s2ns", 1_002),
            (".5m", 30 * NANOS),
            ("1.000000001s", NANOS + 1),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for wrong in ["", "1", "s", "1d", "1h-1m", ".s", "300000h1000000000h", "1 s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_move_and_differ() {
        let moment = |text| Moment::parse(text).unwrap();
        let (a, b) = (moment("2026-01-01T00:00:00.9Z"), moment("2025-12-31T23:59:59.8Z"));
        assert_eq!(a.since(b), Some(1_100_000_000));
        assert_eq!(b.after(1_100_000_000), Some(a));
        assert_eq!(a.after(-1_100_000_000), Some(b));
        assert_eq!(moment("9999-01-01T00:00:00Z").since(moment("0001-01-01T00:00:00Z")), None);
    }
}
