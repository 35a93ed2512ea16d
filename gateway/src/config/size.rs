//! Byte sizes as people write them.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A number of bytes: an integer, or text such as `"256KiB"`, `"1GiB"`, `"5MB"`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// Reads digits and a unit; the error says what would be right.
    fn parse(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find_map(|(unit, bytes)| text.strip_suffix(unit).map(|rest| (rest, *bytes)));
        let (digits, bytes) = unit.unwrap_or((text, 1));
        let is_number =
            !digits.trim_end().is_empty() && digits.trim_end().bytes().all(|b| b.is_ascii_digit());
        if !is_number {
            return Err(format!(
                "`{text}` is not a size\nwrite a whole number with a unit, such as \"256KiB\"; units are B, KB, MB, GB, TB \
                 (thousands) and KiB, MiB, GiB, TiB (1024)"
            ));
        }
        let size = digits.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(bytes));
        size.filter(|size| i64::try_from(*size).is_ok()).map(Self).ok_or_else(|| {
            format!("`{text}` is more bytes than can be counted\nwrite a size such as \"1GiB\"")
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary =
            UNITS.iter().take(4).find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        match binary {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size, a number of bytes or text such as \"256KiB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, shown) in [
            ("0", 0, "0B"),
            ("512", 512, "512B"),
            ("1B", 1, "1B"),
            ("256KiB", 262_144, "256KiB"),
            ("1 GiB", 1 << 30, "1GiB"),
            ("5MB", 5_000_000, "5000000B"),
            ("2TiB", 2 << 40, "2TiB"),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "KiB", "1.5GiB", "-1", "1kb", "1G", "+1", "0x10"] {
            assert!(ByteSize::parse(text).unwrap_err().contains("is not a size"), "{text}");
        }
        for text in ["18446744073709551616", "9999999TiB", "9223372036854775808"] {
            assert!(ByteSize::parse(text).unwrap_err().contains("more bytes than can be counted"), "{text}");
        }
    }
}
