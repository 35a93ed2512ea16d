use super::Records;
use crate::record::{Raw, Record};

/// See [`super::Batch::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'b> {
    rest: Rest<'b>,
}

#[derive(Clone, Debug)]
enum Rest<'b> {
    Binary(&'b [u8]),
    Structured(std::slice::Iter<'b, &'b [u8]>),
    Http(Option<Raw<'b>>),
}

impl<'b> Iter<'b> {
    #[inline]
    pub(super) fn new(records: &'b Records<'_>) -> Self {
        let rest = match records {
            Records::Binary(bytes) => Rest::Binary(bytes),
            Records::Structured(events) => Rest::Structured(events.iter()),
            Records::Http(event) => Rest::Http(Some(Raw::Http(event))),
        };
        Self { rest }
    }
}

impl<'b> Iterator for Iter<'b> {
    type Item = Raw<'b>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.rest {
            Rest::Binary(rest) => {
                let (record, after) = Record::split(rest)?;
                *rest = after;
                let is_structured = record.alias == 0 && record.present == 0;
                Some(if is_structured { Raw::Structured(record.payload) } else { Raw::Record(record) })
            }
            Rest::Structured(events) => events.next().map(|event| Raw::Structured(event)),
            Rest::Http(event) => event.take(),
        }
    }
}
