//! From a frame's records into the group that fills.

use std::mem;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::{GROUP_BYTES, HEADERS_BYTES, Shared};
use crate::deliver::log::segment::{self, RECORD_BYTES_MAX};
use crate::outcome::Outcome;
use crate::record::Records;
use crate::ticket::Ticket;

/// What of some records was taken.
#[derive(Debug)]
pub(in crate::deliver) struct Taken {
    /// How many: those that can never be stored, and were refused, included.
    pub(in crate::deliver) count: usize,
    /// The sequences of the others.
    pub(in crate::deliver) sequences: Range<u64>,
}

impl Shared {
    /// Takes records from position `from` on into the group. See [`crate::deliver::Sink::submit`].
    pub(in crate::deliver::log) fn take(
        &self,
        records: &Records,
        from: usize,
        ticket: &Ticket,
        topics: &[String],
    ) -> Taken {
        let mut taken = 0;
        let mut stored = 0;
        let mut unfit = Vec::new();
        let mut state = self.lock();
        let first = state.next;
        if !state.takes() {
            return Taken { count: 0, sequences: first..first };
        }
        let was_empty = state.filling.is_empty();
        let mut free_bytes = state.free_bytes(self.bytes_max);
        for record in records.iter_from(from) {
            let Some(topic) = topics.get(usize::from(record.topic.0)) else {
                unfit.push(Unfit::Topic);
                taken += 1;
                continue;
            };
            let size = segment::size(topic, &record);
            if size > RECORD_BYTES_MAX || size as u64 + HEADERS_BYTES > self.bytes_max {
                unfit.push(Unfit::Size(record.index, size));
            } else if size as u64 > free_bytes {
                state.at_cap = Some(size as u64);
                self.away.store(true, Ordering::Release);
                // The writer's next look at the directory may find that some of it was moved away.
                self.work.notify_one();
                break;
            } else if !state.filling.is_empty() && state.filling.len() + size > GROUP_BYTES {
                state.group_is_full = true;
                break;
            } else if segment::append(grown(&mut state.filling, size), topic, &record, size) {
                free_bytes -= size as u64;
                stored += 1;
            } else {
                unfit.push(Unfit::Size(record.index, size));
            }
            taken += 1;
        }
        if stored > 0 {
            state.filling_tickets.push((ticket.clone(), stored));
        }
        state.next += u64::from(stored);
        let sequences = first..state.next;
        let wake = was_empty && stored > 0 && mem::take(&mut state.writer_waits);
        drop(state);
        if wake {
            self.work.notify_one();
        }
        for unfit in unfit {
            unfit.settle(ticket);
        }
        Taken { count: taken, sequences }
    }
}

/// The group with room for `size` bytes more: it doubles, but takes no memory that it may not use.
fn grown(group: &mut Vec<u8>, size: usize) -> &mut Vec<u8> {
    let needed = group.len() + size;
    if needed > group.capacity() {
        let capacity = (2 * group.capacity()).min(GROUP_BYTES).max(needed);
        group.reserve_exact(capacity - group.len());
    }
    group
}

/// A record that can never be stored. Settled outside the lock: whoever is told may ask the sink something.
enum Unfit {
    Topic,
    Size(u32, usize),
}

impl Unfit {
    fn settle(self, ticket: &Ticket) {
        match self {
            Self::Topic => {
                tracing::error!("a record names a topic that the log does not know");
                ticket.lost(1);
            }
            Self::Size(index, size) => {
                let message = format!("takes {size} bytes in the log, more than a record may");
                ticket.refused(index, Outcome::TooLarge, message);
            }
        }
    }
}
