//! Ages as people write them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// An age: text such as `"7d"`, `"12h"`, `"30m"`, `"90s"`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Age(pub Duration);

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Age {
    /// Reads digits and a unit; the error says what would be right.
    fn parse(text: &str) -> Result<Self, String> {
        let read = || {
            let (digits, seconds) =
                UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))?;
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let number = is_number.then(|| digits.parse::<u32>().ok()).flatten()?;
            Some(Self(Duration::from_secs(u64::from(number) * seconds)))
        };
        read().ok_or_else(|| {
            format!("`{text}` is not an age\nwrite a whole number with a unit, such as \"7d\"; units are s, m, h, d")
        })
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let unit = UNITS.iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
        let (name, unit) = unit.copied().unwrap_or(("s", 1));
        write!(f, "{}{name}", seconds / unit)
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_and_written() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800)] {
            let age = Age::parse(text).unwrap();
            assert_eq!((age, age.to_string().as_str()), (Age(Duration::from_secs(seconds)), text));
        }
        assert_eq!(Age::parse("120s").unwrap().to_string(), "2m");
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "d", "7", "-1d", "1.5h", "1w", "5000000000s", "7 d"] {
            assert!(Age::parse(text).unwrap_err().contains("is not an age"), "{text}");
        }
    }
}
