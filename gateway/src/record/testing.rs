//! For tests: records without the pipeline.

use super::{Encoding, Records, TopicId};

/// Structured records of topic 0, one for each value, with indices from 0.
pub(crate) fn structured(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Records {
    let mut records = Records::default();
    for (index, value) in (0..).zip(values) {
        let mut draft = records.draft(index, TopicId(0), Encoding::Structured, 1_700_000_000_000);
        draft.key(|out| out.extend_from_slice(b"client"));
        draft.value(|out| out.extend_from_slice(value.as_ref()));
        draft.push();
    }
    records
}
