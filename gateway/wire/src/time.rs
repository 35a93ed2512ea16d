//! RFC 3339 times and Unix milliseconds.

use crate::limits::TIME_MS_MAX;

const DAY_MS: i64 = 86_400_000;

/// Unix milliseconds of an RFC 3339 date-time, negative before 1970. Strict: the date exists, the offset is there, a
/// leap second is the first moment of the next minute, digits beyond milliseconds are cut off.
pub fn parse(text: &str) -> Option<i64> {
    let (date_time, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T' | b't', h0, h1, b':', mi0, mi1, b':', s0, s1] =
        *date_time
    else {
        return None;
    };
    let digits = [y0, y1, y2, y3, mo0, mo1, d0, d1, h0, h1, mi0, mi1, s0, s1];
    if !digits.iter().fold(true, |all, digit| all & digit.is_ascii_digit()) {
        return None;
    }
    let year = two(y0, y1) * 100 + two(y2, y3);
    let (month, day) = (two(mo0, mo1), two(d0, d1));
    let (hour, minute, second) = (two(h0, h1), two(mi0, mi1), two(s0, s1));
    let exists = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !exists {
        return None;
    }
    let (fraction_ms, rest) = fraction(rest)?;
    let offset_minutes = offset(rest)?;
    let of_day_ms = (hour * 3_600 + minute * 60 + second) * 1_000 + fraction_ms;
    Some(days_from_civil(year, month, day) * DAY_MS + i64::from(of_day_ms) - offset_minutes * 60_000)
}

/// Appends a moment as `YYYY-MM-DDTHH:MM:SS.mmmZ`. Beyond the year 9999 the last moment of that year is written.
pub fn write(unix_ms: u64, out: &mut Vec<u8>) {
    let ms = unix_ms.min(TIME_MS_MAX);
    let (days, of_day) = ((ms / 86_400_000) as u32, (ms % 86_400_000) as u32);
    let (year, month, day) = civil_from_days(days);
    let [y0, y1, y2, y3] = digits(year);
    let ([mo0, mo1], [d0, d1]) = (digits(month), digits(day));
    let ([h0, h1], [mi0, mi1]) = (digits(of_day / 3_600_000), digits(of_day / 60_000 % 60));
    let ([s0, s1], [f0, f1, f2]) = (digits(of_day / 1_000 % 60), digits(of_day % 1_000));
    out.extend_from_slice(&[
        y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', h0, h1, b':', mi0, mi1, b':', s0, s1, b'.', f0,
        f1, f2, b'Z',
    ]);
}

/// As [`write`], as a string of its own.
pub fn format(unix_ms: u64) -> String {
    let mut out = Vec::with_capacity(24);
    write(unix_ms, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// The number that two digits are.
fn two(tens: u8, ones: u8) -> u32 {
    u32::from(tens & 0xf) * 10 + u32::from(ones & 0xf)
}

fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    // Milliseconds, as most write them.
    if let [b'.', d0 @ b'0'..=b'9', d1 @ b'0'..=b'9', d2 @ b'0'..=b'9', rest @ ..] = rest
        && !rest.first().is_some_and(u8::is_ascii_digit)
    {
        return Some((two(b'0', *d0) * 100 + two(*d1, *d2), rest));
    }
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let (fraction, rest) = digits.split_at_checked(count)?;
    let ms = (0..3).fold(0, |ms, at| ms * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0')));
    Some((ms, rest))
}

fn offset(rest: &[u8]) -> Option<i64> {
    let [sign, h0, h1, b':', m0, m1] = *rest else {
        return matches!(rest, b"Z" | b"z").then_some(0);
    };
    if ![h0, h1, m0, m1].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (hours, minutes) = (two(h0, h1), two(m0, m1));
    let offset = (hours < 24 && minutes < 60).then_some(i64::from(hours * 60 + minutes))?;
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    // An era further on, so that nothing is negative.
    let (march_year, march_month) = if month > 2 { (year + 400, month - 3) } else { (year + 399, month + 9) };
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    i64::from(march_year * 365 + leap_days + (march_month * 153 + 2) / 5 + day - 1) - 146_097 - 719_468
}

/// The inverse, from 1970 on: year, month, day.
fn civil_from_days(days: u32) -> (u32, u32, u32) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    let march_month = (of_year * 5 + 2) / 153;
    let day = of_year - (march_month * 153 + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

fn digits<const N: usize>(value: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2026-11-23T09:30:00.25Z", 1_795_426_200_250),
            ("2026-11-23T10:30:00.2509999+01:00", 1_795_426_200_250),
            ("2026-11-23t04:00:00.250-05:30", 1_795_426_200_250),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("0000-01-01T00:00:00z", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_not() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T09:30:00",
            "2026-11-23 09:30:00Z",
            "2026-11-23T09:30Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+01:60",
            "2026-01-01T00:00:00ZZ",
            "+026-01-01T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01T00:00:00,5Z",
            "20\u{e9}6-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_written_to_the_year_9999() {
        assert_eq!(format(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(format(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms in 0..=TIME_MS_MAX) {
            prop_assert_eq!(parse(&format(ms)), i64::try_from(ms).ok());
        }

        #[test]
        fn anything_may_be_tried(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
