//! Which partitions records wait for, by librdkafka's statistics: whether Kafka stands still, or only a part of it.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::statistics::{Statistics, UNASSIGNED};

/// What waits in the queues of one producer, by topic and partition.
#[derive(Default)]
pub(super) struct Queues(HashMap<String, HashMap<String, Queue>>);

#[derive(Debug)]
struct Queue {
    /// Records queued or on their way.
    records: u64,
    acked: u64,
    acked_at: Option<Instant>,
    /// When some were acknowledged last, or none waited.
    moved_at: Instant,
    /// A broker that is connected leads it.
    is_led: bool,
}

/// What waits.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Stand {
    /// Why records of some partitions have waited for long, in a sentence.
    pub(super) stuck: Option<String>,
    /// What waits does so for a part of Kafka alone: it has no leader, or others were acknowledged meanwhile.
    pub(super) is_apart: bool,
    /// Something waits that a broker could acknowledge.
    pub(super) is_led: bool,
}

impl Queues {
    /// Takes what the producer says.
    pub(super) fn note(&mut self, statistics: &Statistics, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for (topic, partition, said) in statistics.partitions() {
            let known = before.get_mut(topic).and_then(|partitions| partitions.remove(partition));
            let known = known.unwrap_or(Queue {
                records: 0,
                acked: said.acked_msgid,
                acked_at: None,
                moved_at: now,
                is_led: false,
            });
            let (records, acked) = (said.unacknowledged(partition), said.acked_msgid);
            let has_moved = known.acked != acked;
            let queue = Queue {
                records,
                acked,
                acked_at: if has_moved { Some(now) } else { known.acked_at },
                moved_at: if has_moved || known.records == 0 { now } else { known.moved_at },
                is_led: statistics.is_up(said.leader),
            };
            self.0.entry(topic.to_owned()).or_default().insert(partition.to_owned(), queue);
        }
    }
}

/// Judges the queues of all producers: what has not moved for `still` is stuck.
pub(super) fn stand<'a>(queues: impl Iterator<Item = &'a Queues>, still: Duration, now: Instant) -> Stand {
    let (mut waiting, mut acked_at) = (Vec::new(), None);
    for (topic, partitions) in queues.flat_map(|queues| &queues.0) {
        for (partition, queue) in partitions {
            if queue.records > 0 {
                waiting.push((topic, partition, queue));
            } else {
                acked_at = acked_at.max(queue.acked_at);
            }
        }
    }
    let is_led = waiting.iter().any(|(_, _, queue)| queue.is_led);
    let waits_since = waiting.iter().map(|(_, _, queue)| queue.moved_at).min();
    let is_overtaken = waits_since.is_some_and(|since| acked_at > Some(since));
    let is_apart = !waiting.is_empty() && (!is_led || is_overtaken);
    waiting.retain(|(_, _, queue)| now.saturating_duration_since(queue.moved_at) >= still);
    // Records whose partition is not known yet wait for their topic, of which the brokers are asked.
    waiting.retain(|(_, partition, _)| *partition != UNASSIGNED);
    waiting.sort_by_key(|(topic, partition, _)| (*topic, partition.len(), *partition));
    Stand { stuck: sentence(&waiting, now), is_apart, is_led }
}

fn sentence(stuck: &[(&String, &String, &Queue)], now: Instant) -> Option<String> {
    let (topic, partition, queue) = stuck.first()?;
    let seconds = now.saturating_duration_since(queue.moved_at).as_secs();
    let why = if queue.is_led {
        format!("has acknowledged nothing for {seconds} s")
    } else {
        "has no leader that answers".to_owned()
    };
    let partitions = match stuck.len() - 1 {
        0 => String::new(),
        more => format!("; so it is with {more} more partitions"),
    };
    let topics: BTreeSet<_> = stuck.iter().map(|(topic, _, _)| topic).collect();
    let topics = if topics.len() > 1 { format!(", in {} topics", topics.len()) } else { String::new() };
    Some(format!("topic `{topic}`: partition {partition} {why}, its events wait{partitions}{topics}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Duration = Duration::from_secs(5);

    /// A topic's partition, how many records wait, how many were acknowledged, and the leader.
    type Said = (&'static str, u32, u64, u64, i32);

    /// Of the brokers 1 and 2 only 1 is there.
    fn said(partitions: &[Said]) -> Statistics {
        let mut topics: HashMap<&str, serde_json::Map<String, serde_json::Value>> = HashMap::new();
        for (topic, partition, waiting, acked, leader) in partitions {
            let one = serde_json::json!({"msgs": waiting + acked, "acked_msgid": acked, "leader": leader});
            topics.entry(topic).or_default().insert(partition.to_string(), one);
        }
        let topics: HashMap<_, _> = topics
            .into_iter()
            .map(|(topic, partitions)| (topic, serde_json::json!({ "partitions": partitions })))
            .collect();
        let brokers =
            serde_json::json!({"a": {"nodeid": 1, "state": "UP"}, "b": {"nodeid": 2, "state": "DOWN"}});
        serde_json::from_value(serde_json::json!({ "topics": topics, "brokers": brokers })).unwrap()
    }

    /// How it stands 10 s after the first of the reports, which come 6 s after each other.
    #[expect(clippy::disallowed_methods, reason = "a beginning; all else is counted from it")]
    fn after(reports: &[&[Said]]) -> Stand {
        let (mut queues, start) = (Queues::default(), Instant::now());
        for (n, report) in (0..).zip(reports) {
            queues.note(&said(report), start + n * Duration::from_secs(6));
        }
        stand([&queues].into_iter(), STILL, start + Duration::from_secs(10))
    }

    #[test]
    fn nothing_waits_where_everything_was_acknowledged() {
        assert_eq!(after(&[&[("a", 0, 3, 1, 1)], &[("a", 0, 0, 4, 1)]]), Stand::default());
        let stand = after(&[&[("a", 0, 3, 1, 1)], &[("a", 0, 3, 4, 1)]]);
        assert_eq!(stand, Stand { stuck: None, is_apart: false, is_led: true }, "it moves");
    }

    #[test]
    fn what_a_leader_does_not_acknowledge_is_no_part_while_nothing_else_is_either() {
        let stand =
            after(&[&[("a", 0, 1, 7, 1), ("b", 0, 0, 3, 1)], &[("a", 0, 1, 7, 1), ("b", 0, 0, 3, 1)]]);
        assert_eq!((stand.is_apart, stand.is_led), (false, true));
        assert!(stand.stuck.unwrap().contains("topic `a`: partition 0 has acknowledged nothing for 10 s"));
    }

    #[test]
    fn it_is_a_part_once_others_were_acknowledged_meanwhile() {
        let stand =
            after(&[&[("a", 0, 1, 7, 1), ("a", 1, 0, 3, 1)], &[("a", 0, 1, 7, 1), ("a", 1, 0, 4, 1)]]);
        assert!(stand.is_apart && stand.stuck.is_some(), "{stand:?}");
        let stand =
            after(&[&[("a", 0, 1, 7, 1), ("a", 1, 0, 3, 1)], &[("a", 0, 1, 7, 1), ("a", 1, 1, 4, 1)]]);
        assert!(!stand.is_apart, "the other one waits now too: {stand:?}");
    }

    #[test]
    fn what_has_no_leader_is_a_part() {
        for leader in [-1, 2] {
            let stand = after(&[&[("a", 2, 1, 7, leader), ("a", 10, 1, 7, leader), ("b", 0, 4, 0, leader)]]);
            assert!(stand.is_apart && !stand.is_led);
            let stuck = stand.stuck.unwrap();
            assert!(stuck.starts_with("topic `a`: partition 2 has no leader"), "{stuck}");
            assert!(stuck.ends_with("2 more partitions, in 2 topics"), "{stuck}");
        }
        let stand = after(&[&[("a", 0, 1, 7, -1), ("b", 0, 4, 0, 1)]]);
        assert!(!stand.is_apart, "a leader is asked too");
    }
}
