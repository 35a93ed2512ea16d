//! EVENTS frames as they are sent.

use anyhow::{Context as _, Result};
use tidegate_wire::BatchWriter;

use crate::flight::Next;
use crate::plan::Plan;

/// Bytes of the frame to send, used over and over.
#[derive(Default)]
pub(super) struct Buffer {
    frame: Vec<u8>,
    event: Vec<u8>,
    records: BatchWriter,
}

impl Buffer {
    /// The frame of those events of `client`, in the coding that its link has.
    pub(super) fn encode(&mut self, plan: &Plan, client: u32, next: Next, json: bool) -> Result<&[u8]> {
        let numbers = next.first..next.first + u64::from(next.count);
        self.frame.clear();
        if json {
            let lossy = if plan.unacknowledged { r#","lossy":true"# } else { "" };
            self.frame.extend_from_slice(format!(r#"{{"t":"ev","s":{}{lossy},"e":["#, next.first).as_bytes());
            for number in numbers {
                plan.payload.append(client, number, &mut self.frame);
                self.frame.push(b',');
            }
            self.frame.pop();
            self.frame.extend_from_slice(b"]}");
        } else {
            for number in numbers {
                plan.payload.write(client, number, &mut self.event);
                self.records.structured(&self.event);
            }
            self.records.finish(next.first, plan.unacknowledged, None, &mut self.frame).context("a frame")?;
        }
        Ok(&self.frame)
    }
}
