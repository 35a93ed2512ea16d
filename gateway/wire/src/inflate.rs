//! Decompression as a stream, so that neither the output nor its buffer passes a limit.

use std::io::{self, Read};

/// How something is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// RFC 1952; several members in a row are one stream.
    Gzip,
    /// RFC 8878, with a window of at most 8 MiB as RFC 9659 has it.
    Zstd,
}

impl Encoding {
    /// The encoding a `Content-Encoding` header names; `Ok(None)` for `identity` and an empty one, `Err` for any other.
    pub fn from_header(value: &str) -> Result<Option<Self>, Unsupported> {
        let value = value.trim();
        if value.is_empty() || value.eq_ignore_ascii_case("identity") {
            Ok(None)
        } else if value.eq_ignore_ascii_case("gzip") || value.eq_ignore_ascii_case("x-gzip") {
            Ok(Some(Self::Gzip))
        } else if value.eq_ignore_ascii_case("zstd") {
            Ok(Some(Self::Zstd))
        } else {
            Err(Unsupported)
        }
    }
}

/// A `Content-Encoding` other than `gzip` and `zstd`: 415.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Content-Encoding: expected gzip, zstd or none")]
pub struct Unsupported;

/// Why something did not inflate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not the format it says, damaged, or cut short.
    #[error("does not inflate: it is damaged, cut short or not what it says")]
    Corrupt,
    /// More than the limit comes out.
    #[error("inflates to more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u32,
    },
}

/// RFC 9659 asks no more of a receiver.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const CHUNK_BYTES: usize = 16 * 1024;

/// Inflates all of `bytes`, giving up as soon as more than `limit_bytes` come out. The result's capacity stays within the limit.
pub fn inflate(encoding: Encoding, bytes: &[u8], limit_bytes: u32) -> Result<Vec<u8>, Error> {
    if bytes.is_empty() {
        return Err(Error::Corrupt);
    }
    match encoding {
        Encoding::Gzip => drain(flate2::read::MultiGzDecoder::new(bytes), bytes.len(), limit_bytes),
        Encoding::Zstd => drain(zstd_reader(bytes).map_err(|_| Error::Corrupt)?, bytes.len(), limit_bytes),
    }
}

fn zstd_reader(bytes: &[u8]) -> io::Result<impl Read + '_> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn drain(mut from: impl Read, compressed_bytes: usize, limit_bytes: u32) -> Result<Vec<u8>, Error> {
    let limit = limit_bytes as usize;
    let mut out = Vec::with_capacity(compressed_bytes.saturating_mul(4).min(limit));
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Error::Corrupt),
        };
        if out.len() + count > limit {
            return Err(Error::TooLarge { limit_bytes });
        }
        if out.len() + count > out.capacity() {
            let capacity = (out.capacity() * 2).max(out.len() + count).min(limit);
            out.reserve_exact(capacity - out.len());
        }
        out.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
}

/// Compresses `bytes`; what senders of frames and bodies use.
pub fn deflate(encoding: Encoding, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Gzip => {
            let mut out = Vec::new();
            flate2::read::GzEncoder::new(bytes, flate2::Compression::default()).read_to_end(&mut out)?;
            Ok(out)
        }
        Encoding::Zstd => zstd::stream::encode_all(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

    #[test]
    fn what_was_compressed_comes_back() {
        let text = b"21.5 degrees, ".repeat(5_000);
        for encoding in BOTH {
            let inflated =
                inflate(encoding, &deflate(encoding, &text).unwrap(), u32::try_from(text.len()).unwrap())
                    .unwrap();
            assert_eq!(inflated, text);
            assert!(inflated.capacity() <= text.len());
        }
    }

    #[test]
    fn streams_in_a_row_are_one() {
        for encoding in BOTH {
            let twice = [deflate(encoding, b"one").unwrap(), deflate(encoding, b"two").unwrap()].concat();
            assert_eq!(inflate(encoding, &twice, 6).unwrap(), b"onetwo");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 8 * 1024 * 1024];
        for encoding in BOTH {
            let bomb = deflate(encoding, &zeros).unwrap();
            assert!(bomb.len() < 16 * 1024);
            assert_eq!(inflate(encoding, &bomb, 1_000_000), Err(Error::TooLarge { limit_bytes: 1_000_000 }));
        }
    }

    #[test]
    fn damage_is_seen() {
        for encoding in BOTH {
            let good = deflate(encoding, &b"some text, ".repeat(100)).unwrap();
            let cut = &good[..good.len() - 1];
            let followed = [&good[..], b"x"].concat();
            for bad in [&b""[..], b"x", b"not compressed at all", cut, &followed] {
                assert_eq!(inflate(encoding, bad, 1 << 20), Err(Error::Corrupt), "{encoding:?} {bad:?}");
            }
        }
    }

    #[test]
    fn a_window_beyond_8_mib_is_refused() {
        // Frame header: no single segment, window descriptor 2^24, no content size; then one empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3, 0x01, 0x00, 0x00];
        assert_eq!(inflate(Encoding::Zstd, &frame, 1 << 20), Err(Error::Corrupt));
        let within = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x01, 0x00, 0x00];
        assert_eq!(inflate(Encoding::Zstd, &within, 1 << 20), Ok(Vec::new()));
    }

    #[test]
    fn headers_name_encodings() {
        assert_eq!(Encoding::from_header(" GZIP "), Ok(Some(Encoding::Gzip)));
        assert_eq!(Encoding::from_header("zstd"), Ok(Some(Encoding::Zstd)));
        assert_eq!(Encoding::from_header("identity"), Ok(None));
        assert_eq!(Encoding::from_header("br"), Err(Unsupported));
        assert_eq!(Encoding::from_header("gzip, zstd"), Err(Unsupported));
    }
}
