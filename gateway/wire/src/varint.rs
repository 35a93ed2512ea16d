//! Variable-length integers of RFC 9000 section 16: the two top bits of the first byte give the length, 1, 2, 4 or 8 bytes.

/// The largest value a varint can hold, 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Reads the varint at the start of `buf`: its value and how many bytes it took. `None` while `buf` does not hold all of it.
///
/// A value may be written longer than it needs to be; RFC 9000 allows that.
#[inline]
pub fn read(buf: &[u8]) -> Option<(u64, usize)> {
    let first = *buf.first()?;
    match first >> 6 {
        0 => Some((u64::from(first), 1)),
        1 => {
            let bytes = buf.first_chunk::<2>()?;
            Some((u64::from(u16::from_be_bytes(*bytes)) & 0x3fff, 2))
        }
        2 => {
            let bytes = buf.first_chunk::<4>()?;
            Some((u64::from(u32::from_be_bytes(*bytes)) & 0x3fff_ffff, 4))
        }
        _ => {
            let bytes = buf.first_chunk::<8>()?;
            Some((u64::from_be_bytes(*bytes) & MAX, 8))
        }
    }
}

/// Appends `value` in as few bytes as it needs. Values above [`MAX`] cannot be written and are capped there.
#[inline]
pub fn write(value: u64, out: &mut Vec<u8>) {
    let value = value.min(MAX);
    let bytes = value.to_be_bytes();
    let size = len(value);
    let length_bits = match size {
        1 => 0,
        2 => 0x40,
        4 => 0x80,
        _ => 0xc0,
    };
    let [first, rest @ ..] = bytes.get(bytes.len() - size..).unwrap_or_default() else {
        return;
    };
    out.push(first | length_bits);
    out.extend_from_slice(rest);
}

/// How many bytes [`write`] takes for `value`.
#[inline]
pub fn len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn written(value: u64, expected: &[u8]) {
        let mut out = Vec::new();
        write(value, &mut out);
        assert_eq!(out, expected);
        assert_eq!(read(expected), Some((value, expected.len())));
        assert_eq!(len(value), expected.len());
    }

    #[test]
    fn the_examples_of_the_rfc() {
        written(37, &[0x25]);
        written(15_293, &[0x7b, 0xbd]);
        written(494_878_333, &[0x9d, 0x7f, 0x3e, 0x7d]);
        written(151_288_809_941_952_652, &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]);
    }

    #[test]
    fn a_value_may_be_longer_than_it_needs() {
        assert_eq!(read(&[0x40, 0x25]), Some((37, 2)));
    }

    #[test]
    fn a_value_beyond_the_largest_is_capped() {
        let mut out = Vec::new();
        write(u64::MAX, &mut out);
        assert_eq!(read(&out), Some((MAX, 8)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in 0..=MAX, tail in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            write(value, &mut out);
            let size = out.len();
            out.extend(&tail);
            prop_assert_eq!(read(&out), Some((value, size)));
            prop_assert_eq!(read(&out[..size - 1]), None);
        }
    }
}
