use std::fmt::Write as _;
use std::io;

use super::{Batch, Records, flags};
use crate::frame::{Frame, kind};
use crate::inflate::{Encoding, deflate};
use crate::json;
use crate::record::{Raw, Record};
use crate::varint;

/// Builds EVENTS frames, for senders. It may be used again after each frame.
#[derive(Clone, Debug, Default)]
pub struct BatchWriter {
    records: Vec<u8>,
    count: u32,
}

impl BatchWriter {
    /// Adds a whole CloudEvent in JSON.
    pub fn structured(&mut self, event: &[u8]) {
        self.record(&Record { payload: event, ..Record::default() });
    }

    /// Adds a record. `present` is made from the fields that are there.
    pub fn record(&mut self, record: &Record<'_>) {
        record.write(&mut self.records);
        self.count += 1;
    }

    /// How many events have been added.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Appends the whole frame and forgets what was added.
    ///
    /// # Errors
    /// Only what a compressor reports.
    pub fn finish(
        &mut self,
        first_seq: u64,
        lossy: bool,
        encoding: Option<Encoding>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let compressed;
        let (compression, records) = match encoding {
            None => (0, &self.records),
            Some(encoding) => {
                compressed = deflate(encoding, &self.records)?;
                (if encoding == Encoding::Gzip { flags::GZIP } else { flags::ZSTD }, &compressed)
            }
        };
        let mut body = head(compression, lossy, first_seq, self.count);
        body.extend_from_slice(records);
        Frame { kind: kind::EVENTS, body: &body }.write(out);
        self.records.clear();
        self.count = 0;
        Ok(())
    }
}

impl Batch<'_> {
    /// Appends the batch as a binary frame, not compressed. An event that is an HTTP request has no such form and is
    /// written as a record of an alias that cannot be.
    pub(crate) fn write_binary(&self, out: &mut Vec<u8>) {
        let mut body = head(0, self.lossy, self.first_seq, self.count);
        if let Records::Binary(records) = &self.records {
            body.extend_from_slice(records);
        } else {
            for raw in self {
                let record = match raw {
                    Raw::Structured(event) => Record { payload: event, ..Record::default() },
                    Raw::Record(record) => record,
                    Raw::Http(event) => {
                        Record { alias: u64::from(u32::MAX), payload: event.body, ..Record::default() }
                    }
                };
                record.write(&mut body);
            }
        }
        Frame { kind: kind::EVENTS, body: &body }.write(out);
    }

    /// The batch as a JSON frame, without white space around its events. `None` when one is not structured or not JSON.
    pub(crate) fn to_json(&self) -> Option<String> {
        let mut json = String::from(r#"{"t":"ev""#);
        if self.first_seq > 0 || !self.lossy {
            write!(json, r#","s":{}"#, self.first_seq).ok()?;
        }
        json.push_str(if self.lossy { r#","lossy":true,"e":["# } else { r#","e":["# });
        for (at, raw) in self.iter().enumerate() {
            let Raw::Structured(event) = raw else {
                return None;
            };
            if at > 0 {
                json.push(',');
            }
            // What is no JSON value would break the frame around it.
            json::check(event, u32::MAX).ok()?;
            json.push_str(std::str::from_utf8(event.trim_ascii()).ok()?);
        }
        json.push_str("]}");
        Some(json)
    }
}

fn head(compression: u8, lossy: bool, first_seq: u64, count: u32) -> Vec<u8> {
    let mut body = vec![compression | if lossy { flags::LOSSY } else { 0 }];
    varint::write(first_seq, &mut body);
    varint::write(u64::from(count), &mut body);
    body
}
