//! Byte sizes as people write them.

use serde::Deserialize;

/// A number of bytes: an integer, or text such as `"256KiB"`, `"1GiB"`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct ByteSize(pub u64);
