//! How busy partitions are: the busiest of each topic are shown.

use std::collections::{HashMap, HashSet};

use super::statistics::{Statistics, UNASSIGNED};
use crate::metrics::KafkaSeries;

/// Partitions of each topic that are shown: the busiest.
const SHOWN: usize = 5;
/// Of reports, one a second: over how many bytes are averaged.
const MINUTE: f64 = 60.0;

/// What the producers have sent, by topic, partition and producer.
#[derive(Default)]
pub(super) struct Busy {
    topics: HashMap<String, HashMap<String, Vec<Sent>>>,
    shown: HashSet<(String, String)>,
}

/// By one producer to one partition.
#[derive(Clone, Debug, Default)]
struct Sent {
    /// As last reported: counts from the making of a producer.
    bytes: u64,
    /// About those of the last minute.
    minute_bytes: f64,
}

impl Busy {
    /// Takes what one producer says. It is a new one if it has sent less than at the last time.
    pub(super) fn note(&mut self, lane: usize, statistics: &Statistics) {
        for (topic, partition, said) in statistics.partitions().filter(|(_, at, _)| *at != UNASSIGNED) {
            let of_topic = self.topics.entry(topic.to_owned()).or_default();
            let lanes = of_topic.entry(partition.to_owned()).or_default();
            if lanes.len() <= lane {
                lanes.resize_with(lane + 1, Sent::default);
            }
            let Some(sent) = lanes.get_mut(lane) else { continue };
            let new = said.txbytes.checked_sub(sent.bytes).unwrap_or(said.txbytes);
            sent.bytes = said.txbytes;
            #[expect(clippy::cast_precision_loss, reason = "for a gauge")]
            let new = new as f64;
            sent.minute_bytes = sent.minute_bytes * (1.0 - 1.0 / MINUTE) + new;
        }
    }

    /// The producer is a new one, whatever it has sent.
    pub(super) fn begin(&mut self, lane: usize) {
        let lanes = self.topics.values_mut().flat_map(HashMap::values_mut);
        lanes.filter_map(|lanes| lanes.get_mut(lane)).for_each(|sent| sent.bytes = 0);
    }

    pub(super) fn show(&mut self, series: &KafkaSeries) {
        let mut shown = HashSet::new();
        for (topic, partitions) in &self.topics {
            let sum = |lanes: &[Sent]| lanes.iter().map(|sent| sent.minute_bytes).sum::<f64>();
            let mut busiest: Vec<_> = partitions
                .iter()
                .map(|(partition, lanes)| (partition, sum(lanes)))
                .filter(|(_, bytes)| *bytes >= 1.0)
                .collect();
            busiest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            for (partition, bytes) in busiest.into_iter().take(SHOWN) {
                #[expect(clippy::cast_possible_truncation, reason = "bytes of a minute")]
                let bytes = bytes.round() as i64;
                series.partition_bytes.get_or_create(&labels(topic, partition)).set(bytes);
                shown.insert((topic.clone(), partition.clone()));
            }
        }
        for (topic, partition) in self.shown.difference(&shown) {
            series.partition_bytes.remove(&labels(topic, partition));
        }
        self.shown = shown;
    }
}

fn labels(topic: &str, partition: &str) -> [(&'static str, String); 2] {
    [("topic", topic.to_owned()), ("partition", partition.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One second's report of topic `t`: bytes by partition since the producer was made.
    fn sent(partitions: &[(u32, u64)]) -> Statistics {
        let partitions: Vec<_> =
            partitions.iter().map(|(id, bytes)| format!(r#""{id}":{{"txbytes":{bytes}}}"#)).collect();
        let topic = format!(r#"{{"topics":{{"t":{{"partitions":{{{}}}}}}}}}"#, partitions.join(","));
        serde_json::from_str(&topic).unwrap()
    }

    fn shown(series: &KafkaSeries, partition: u32) -> Option<i64> {
        series.partition_bytes.get(&labels("t", &partition.to_string())).map(|gauge| gauge.get())
    }

    #[test]
    fn the_busiest_partitions_are_shown_and_no_others() {
        let (mut busy, series) = (Busy::default(), KafkaSeries::default());
        let mut says = |partitions: &[(u32, u64)]| {
            busy.note(0, &sent(partitions));
            busy.show(&series);
        };
        let all: Vec<_> = (0..20).map(|n| (n, u64::from(n) * 100)).collect();
        says(&all);
        assert_eq!(
            (14..20).map(|n| shown(&series, n)).collect::<Vec<_>>(),
            [None, Some(1500), Some(1600), Some(1700), Some(1800), Some(1900)]
        );
        // Another key becomes hot, in a new producer.
        let mut all: Vec<_> = (0..20).map(|n| (n, 0)).collect();
        all[3].1 = 1_000_000;
        says(&all);
        assert!(shown(&series, 3) >= Some(990_000), "{:?}", shown(&series, 3));
        assert_eq!((0..20).filter(|n| shown(&series, *n).is_some()).count(), SHOWN);
        // When nothing more is sent it is forgotten.
        for _ in 0..1_200 {
            says(&all);
        }
        assert_eq!((0..20).filter(|n| shown(&series, *n).is_some()).count(), 0);
    }

    #[test]
    fn producers_that_write_to_the_same_partition_are_added_up() {
        let (mut busy, series) = (Busy::default(), KafkaSeries::default());
        busy.note(0, &sent(&[(0, 1_000)]));
        busy.note(1, &sent(&[(0, 300)]));
        busy.show(&series);
        assert_eq!(shown(&series, 0), Some(1_300));
        for _ in 0..10 {
            busy.note(0, &sent(&[(0, 1_000)]));
            busy.note(1, &sent(&[(0, 300)]));
        }
        busy.show(&series);
        assert!(shown(&series, 0) < Some(1_300), "nothing more was sent: {:?}", shown(&series, 0));
    }

    #[test]
    fn a_new_producer_that_has_sent_more_already_is_counted_whole() {
        let (mut busy, series) = (Busy::default(), KafkaSeries::default());
        busy.note(0, &sent(&[(0, 1_000)]));
        busy.begin(0);
        busy.note(0, &sent(&[(0, 6_000)]));
        busy.show(&series);
        assert!(shown(&series, 0) > Some(6_900), "{:?}", shown(&series, 0));
    }
}
