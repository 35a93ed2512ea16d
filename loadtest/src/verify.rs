//! Holds what a topic has against what clients were told.

use std::collections::{HashMap, HashSet};

use crate::payload::EventName;
use crate::tally::ClientTally;

/// What was found, in events.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Verdict {
    /// Read from the topic, repeated ones too.
    pub(crate) records: u64,
    /// Acknowledged, and not in the topic.
    pub(crate) lost: u64,
    /// There more than once: how many too many.
    pub(crate) duplicates: u64,
    /// First of their number, and behind a higher number of their client in the same partition.
    pub(crate) out_of_order: u64,
    /// In the topic, though the client was told that they were refused.
    pub(crate) refused_but_there: u64,
    /// In the topic, though never sent.
    pub(crate) never_sent: u64,
    /// In the topic, though not acknowledged: no fault, the client would have sent them again.
    pub(crate) unacknowledged: u64,
}

impl Verdict {
    /// Nothing is missing, and nothing is there that cannot be.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost == 0 && self.refused_but_there == 0 && self.never_sent == 0
    }

    /// Everything is there once and in its order. A break of a connection to a gateway that forgot its clients may cause
    /// the contrary.
    pub(crate) fn is_in_order(&self) -> bool {
        self.duplicates == 0 && self.out_of_order == 0
    }
}

/// Takes the records of a run one by one.
pub(crate) struct Recount<'a> {
    clients: HashMap<u32, (&'a ClientTally, Seen)>,
    highest: HashMap<(i32, u32), u64>,
    verdict: Verdict,
}

/// A bit for each number of one client.
#[derive(Default)]
struct Seen(Vec<u64>);

impl<'a> Recount<'a> {
    /// Of what these clients have sent.
    pub(crate) fn new(clients: &'a [ClientTally]) -> Self {
        let clients = clients.iter().map(|client| (client.client, (client, Seen::default()))).collect();
        Self { clients, highest: HashMap::new(), verdict: Verdict::default() }
    }

    /// One event found in `partition`; within one in their order.
    pub(crate) fn event(&mut self, partition: i32, event: EventName) {
        self.verdict.records += 1;
        let sent = self.clients.get_mut(&event.client);
        let Some((_, seen)) = sent.filter(|(client, _)| (1..=client.highest).contains(&event.number)) else {
            self.verdict.never_sent += 1;
            return;
        };
        if !seen.insert(event.number) {
            self.verdict.duplicates += 1;
            return;
        }
        let highest = self.highest.entry((partition, event.client)).or_default();
        if event.number < *highest {
            self.verdict.out_of_order += 1;
        }
        *highest = event.number.max(*highest);
    }

    /// Holds what was seen against what the clients were told.
    pub(crate) fn judge(mut self) -> Verdict {
        for (client, seen) in self.clients.values() {
            let refused: HashSet<u64> = client.refused.iter().copied().collect();
            for number in 1..=client.highest {
                match (seen.contains(number), refused.contains(&number)) {
                    (true, true) => self.verdict.refused_but_there += 1,
                    (true, false) if number > client.upto => self.verdict.unacknowledged += 1,
                    (false, false) if number <= client.upto => self.verdict.lost += 1,
                    _ => {}
                }
            }
        }
        self.verdict
    }
}

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let Some(word) = self.0.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Only numbers that were sent come here, so the vector stays as small as what was sent.
    fn place(number: u64) -> (usize, u64) {
        (usize::try_from(number / 64).unwrap_or(0), 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Client 1 sent 1 to 6; 5 was refused, 6 is open.
    fn judge(numbers: &[(i32, u64)]) -> Verdict {
        let clients = [ClientTally { client: 1, highest: 6, upto: 5, refused: vec![5] }];
        let mut recount = Recount::new(&clients);
        for (partition, number) in numbers {
            recount.event(*partition, EventName { client: 1, number: *number });
        }
        recount.judge()
    }

    #[test]
    fn a_faultless_topic_has_no_fault() {
        let verdict = judge(&[(0, 1), (0, 2), (0, 3), (0, 4)]);
        assert_eq!(verdict, Verdict { records: 4, ..Verdict::default() });
        assert!(verdict.is_complete());
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let verdict = judge(&[(0, 1), (0, 2), (0, 2), (0, 4)]);
        assert_eq!(verdict, Verdict { records: 4, lost: 1, duplicates: 1, ..Verdict::default() });
        assert!(!verdict.is_complete());
        let verdict = judge(&[(0, 2), (0, 1), (1, 4), (1, 3), (1, 5), (0, 6), (0, 7)]);
        let expected = Verdict {
            records: 7,
            out_of_order: 2,
            refused_but_there: 1,
            unacknowledged: 1,
            never_sent: 1,
            ..Verdict::default()
        };
        assert_eq!(verdict, expected);
    }

    #[test]
    fn an_event_of_a_client_that_was_not_there_was_never_sent() {
        let mut recount = Recount::new(&[]);
        recount.event(0, EventName { client: 9, number: 9_999_999_999 });
        assert_eq!(recount.judge().never_sent, 1);
    }
}
