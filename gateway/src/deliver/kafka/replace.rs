//! Replacing producers: what the old one had not got acknowledged is handed over to the new one, in order.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::back::Returned;
use super::producer::Producer;
use super::reports::TooLarge;
use super::settings::batch_bytes;
use super::tell::{Look, Trouble};
use super::watch::{Watch, now};
use crate::deliver::breaker::Seen;

/// How long answers are waited for to what a producer has sent that goes: in trouble, and otherwise.
const ANSWERS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// Why a producer goes.
pub(super) struct Retire {
    trouble: Trouble,
    /// Whether Kafka is taken to be gone meanwhile.
    firm: bool,
}

/// Between two producers.
pub(super) struct Replacement {
    at: Instant,
    retire: Retire,
    /// What the old one gave back.
    records: Vec<Returned>,
    old: Option<Producer>,
}

/// How long to wait before the next producer: not at all for the first one in a while, and longer and longer for those
/// that do not last.
pub(super) struct Pauses {
    range: (Duration, Duration),
    pause: Duration,
    replaced_at: Option<Instant>,
}

impl Retire {
    /// Kafka, or the producer, is in trouble.
    pub(super) fn firmly(kind: &'static str, detail: String) -> Self {
        Self { trouble: Trouble::new(kind, detail), firm: true }
    }

    /// Only some records were: work goes on as soon as they have been handed over.
    pub(super) fn gently(kind: &'static str, detail: String) -> Self {
        Self { trouble: Trouble::new(kind, detail), firm: false }
    }

    fn look(&self) -> Look {
        if self.firm { Look::bad(self.trouble.clone()) } else { Look::well(Seen::Nothing, None) }
    }
}

impl Pauses {
    pub(super) fn new(range: (Duration, Duration)) -> Self {
        Self { range, pause: range.0, replaced_at: None }
    }

    fn next(&mut self, firm: bool, now: Instant) -> Duration {
        let (least, most) = self.range;
        let before = self.replaced_at.replace(now);
        if before.is_none_or(|before| now.saturating_duration_since(before) > 2 * most) {
            self.pause = least;
            return Duration::ZERO;
        }
        if !firm {
            return least;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(most);
        pause
    }
}

impl Watch {
    /// A batch was too large, and which of its events is to blame is not known. Smaller batches tell: an event that is as
    /// large as a batch may be travels alone.
    pub(super) fn shrink(&mut self, lane: usize, TooLarge { topic, bytes }: &TooLarge) -> Retire {
        let mut bytes = *bytes;
        if let Some(lane) = self.plan.lanes.get_mut(lane) {
            bytes = bytes.max(batch_bytes(&lane.client) / 4);
            lane.client.set("batch.size", bytes.to_string());
        }
        let detail = format!(
            "topic `{topic}` refused a batch as too large; batches are now of {bytes} bytes, also for other topics. Raise \
             the topic's max.message.bytes, or set a lower `batch.size` in kafka.properties"
        );
        Retire::gently("batch", detail)
    }

    /// Takes the producer away. Nothing is taken from clients until what it held is in the hands of another one.
    pub(super) fn hand_over(&mut self, retire: Retire) -> Look {
        let old = self.take();
        if let Some(old) = &old {
            old.give_back(if retire.firm { ANSWERS.0 } else { ANSWERS.1 });
        }
        let (records, lost) = self.shared.in_flight.turn_over(&self.plan.topics);
        self.plan.series.failures.inc_by(lost);
        let handed_over = records.len();
        let why = &retire.trouble.detail;
        if retire.trouble.kind == "together" {
            tracing::info!(handed_over, lost, "{why}; the Kafka producer is replaced");
        } else {
            tracing::warn!(handed_over, lost, "{why}; the Kafka producer is replaced");
        }
        self.logged = retire.trouble.kind;
        // A matter of a few steps.
        let pause = match retire.trouble.kind {
            "batch" | "suspect" | "together" => Duration::ZERO,
            _ => self.pauses.next(retire.firm, now()),
        };
        self.replacement = Some(Replacement { at: now() + pause, retire, records, old });
        self.replace()
    }

    /// Puts another producer in place once it is time.
    pub(super) fn replace(&mut self) -> Look {
        let Some(mut replacement) = self.replacement.take() else { return Look::well(Seen::Nothing, None) };
        let look = replacement.retire.look();
        if now() < replacement.at {
            self.replacement = Some(replacement);
            return look;
        }
        match Producer::new(&self.plan, &self.shared.in_flight, &self.shared.room) {
            Ok(producer) => {
                let count = replacement.records.len();
                replacement.records.into_iter().for_each(|returned| producer.resend(returned));
                producer.hurry(count);
                *self.shared.live.write().unwrap_or_else(PoisonError::into_inner) = Some(producer);
                self.shared.room.open();
                self.begins_anew();
                // Only now: joining librdkafka's threads may take a while.
                drop(replacement.old);
                look
            }
            Err(error) => {
                replacement.at = now() + self.pauses.next(true, now());
                self.replacement = Some(replacement);
                Look::bad(Trouble::new("replace", error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a beginning; all else is counted from it")]
    fn producers_that_do_not_last_are_replaced_more_and_more_slowly() {
        let (ms, start) = (Duration::from_millis, Instant::now());
        let mut pauses = Pauses::new((ms(500), ms(30_000)));
        let firmly = (0..9).map(|_| pauses.next(true, start).as_millis()).collect::<Vec<_>>();
        assert_eq!(firmly, [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(pauses.next(false, start), ms(500), "a poisoned batch is no reason to wait long");
        assert_eq!(pauses.next(true, start + ms(61_000)), ms(0), "the last one did last");
    }
}
