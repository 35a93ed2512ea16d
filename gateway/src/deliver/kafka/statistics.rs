//! librdkafka's statistics: the few of them that readiness and metrics need.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::metrics::KafkaSeries;

/// One report of librdkafka (its STATISTICS.md), as far as it is used here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Statistics {
    msg_cnt: i64,
    msg_size: i64,
    brokers: HashMap<String, Broker>,
    topics: HashMap<String, Topic>,
    eos: Option<Idempotence>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broker {
    source: String,
    state: String,
    txerrs: i64,
    rtt: Window,
    int_latency: Window,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Topic {
    batchcnt: Window,
    partitions: HashMap<String, Partition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Partition {
    txbytes: u64,
}

/// A rolling window: microseconds or a count.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    avg: i64,
    cnt: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Idempotence {
    idemp_state: String,
}

impl Statistics {
    /// Brokers connected and past authentication.
    pub(super) fn brokers_up(&self) -> i64 {
        let up = self.brokers.values().filter(|broker| broker.source != "logical" && broker.state == "UP");
        i64::try_from(up.count()).unwrap_or(i64::MAX)
    }

    /// Whether the producer has its id: until then nothing is sent.
    pub(super) fn has_producer_id(&self) -> bool {
        self.eos.as_ref().is_some_and(|eos| eos.idemp_state == "Assigned")
    }
}

/// Partitions of each topic that are shown: the busiest.
const SHOWN: usize = 5;
/// Of reports, one a second: over how many bytes are averaged.
const MINUTE: f64 = 60.0;

/// The last statistics of every producer, written into the gateway's own series together.
#[derive(Default)]
pub(super) struct Tally(Mutex<Tallied>);

#[derive(Default)]
struct Tallied {
    lanes: Vec<Statistics>,
    /// By topic and partition.
    partitions: HashMap<String, HashMap<String, Busy>>,
    shown: HashSet<(String, String)>,
}

/// How busy a partition is.
#[derive(Debug, Default)]
struct Busy {
    /// As last reported: counts from the making of a producer.
    sent_bytes: u64,
    /// About those of the last minute.
    minute_bytes: f64,
}

impl Tally {
    /// Takes what one producer says, and writes what all of them say.
    pub(super) fn record(&self, lane: usize, statistics: Statistics, series: &KafkaSeries) {
        let mut tallied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallied.weigh(&statistics);
        if tallied.lanes.len() <= lane {
            tallied.lanes.resize_with(lane + 1, Statistics::default);
        }
        if let Some(last) = tallied.lanes.get_mut(lane) {
            *last = statistics;
        }
        tallied.write(series);
        tallied.show(series);
    }
}

impl Tallied {
    fn write(&self, series: &KafkaSeries) {
        let sum = |of: fn(&Statistics) -> i64| self.lanes.iter().map(of).sum();
        series.queue_messages.set(sum(|lane| lane.msg_cnt));
        series.queue_bytes.set(sum(|lane| lane.msg_size));
        // Each has connections of its own, to the same brokers.
        series.brokers_up.set(self.lanes.iter().map(Statistics::brokers_up).max().unwrap_or(0));
        let brokers = || self.lanes.iter().flat_map(|lane| lane.brokers.values());
        let slowest_us = brokers().map(|broker| broker.rtt.avg).max().unwrap_or(0);
        series.broker_rtt.set(float(slowest_us) / 1e6);
        series.internal_latency.set(mean(brokers().map(|broker| &broker.int_latency)) / 1e6);
        let topics = self.lanes.iter().flat_map(|lane| lane.topics.values());
        series.batch_messages.set(mean(topics.map(|topic| &topic.batchcnt)));
        series.transmit_errors.set(brokers().map(|broker| broker.txerrs).sum());
    }

    fn weigh(&mut self, statistics: &Statistics) {
        for (name, topic) in &statistics.topics {
            // librdkafka's own entry for records without a partition yet is -1.
            for (partition, now) in topic.partitions.iter().filter(|(partition, _)| *partition != "-1") {
                let of_topic = self.partitions.entry(name.clone()).or_default();
                let busy = of_topic.entry(partition.clone()).or_default();
                // A new producer counts from 0.
                let sent = now.txbytes.checked_sub(busy.sent_bytes).unwrap_or(now.txbytes);
                busy.sent_bytes = now.txbytes;
                #[expect(clippy::cast_precision_loss, reason = "for a gauge")]
                let sent = sent as f64;
                busy.minute_bytes = busy.minute_bytes * (1.0 - 1.0 / MINUTE) + sent;
            }
        }
    }

    fn show(&mut self, series: &KafkaSeries) {
        let mut shown = HashSet::new();
        for (topic, partitions) in &self.partitions {
            let mut busiest: Vec<_> =
                partitions.iter().filter(|(_, busy)| busy.minute_bytes >= 1.0).collect();
            busiest.sort_by(|(_, a), (_, b)| b.minute_bytes.total_cmp(&a.minute_bytes));
            for (partition, busy) in busiest.into_iter().take(SHOWN) {
                #[expect(clippy::cast_possible_truncation, reason = "bytes of a minute")]
                let bytes = busy.minute_bytes.round() as i64;
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

fn mean<'a>(windows: impl Iterator<Item = &'a Window>) -> f64 {
    let (sum, count) = windows.fold((0_i64, 0_i64), |(sum, count), window| {
        (sum.saturating_add(window.avg.saturating_mul(window.cnt)), count.saturating_add(window.cnt))
    });
    if count > 0 { float(sum) / float(count) } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "for a gauge")]
fn float(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_says_reaches_the_series() {
        let json = r#"{"name":"x","msg_cnt":3,"msg_size":600,"brokers":{
            "a:1/1":{"source":"learned","state":"UP","txerrs":2,"rtt":{"avg":1500,"cnt":9},"int_latency":{"avg":4000,"cnt":3}},
            "b:1/2":{"source":"learned","state":"CONNECT","rtt":{"avg":10,"cnt":1},"int_latency":{"avg":8000,"cnt":1}},
            "GroupCoordinator":{"source":"logical","state":"UP"}},
            "topics":{"t":{"topic":"t","batchcnt":{"avg":40,"cnt":2,"max":7}}},"eos":{"idemp_state":"Assigned"}}"#;
        let statistics: Statistics = serde_json::from_str(json).unwrap();
        let series = KafkaSeries::default();
        assert!(statistics.has_producer_id());
        Tally::default().record(0, statistics, &series);
        assert_eq!((series.queue_messages.get(), series.queue_bytes.get()), (3, 600));
        assert_eq!((series.brokers_up.get(), series.transmit_errors.get()), (1, 2));
        assert!((series.broker_rtt.get() - 0.0015).abs() < 1e-9);
        assert!((series.internal_latency.get() - 0.005).abs() < 1e-9);
        assert!((series.batch_messages.get() - 40.0).abs() < 1e-9);
    }

    #[test]
    fn a_producer_without_an_id_is_not_warm() {
        for json in ["{}", r#"{"eos":{"idemp_state":"WaitTransport"}}"#] {
            assert!(!serde_json::from_str::<Statistics>(json).unwrap().has_producer_id());
        }
    }

    /// One second's report of topic `t`: bytes by partition since the producer was made.
    fn sent(partitions: &[(u32, u64)]) -> Statistics {
        let partitions: Vec<_> =
            partitions.iter().map(|(id, bytes)| format!(r#""{id}":{{"txbytes":{bytes}}}"#)).collect();
        let topic = format!(r#"{{"topics":{{"t":{{"partitions":{{{}}}}}}}}}"#, partitions.join(","));
        serde_json::from_str(&topic).unwrap()
    }

    #[test]
    fn the_busiest_partitions_are_shown_and_no_others() {
        let (tally, series) = (Tally::default(), KafkaSeries::default());
        let shown = |partition: u32| {
            series.partition_bytes.get(&labels("t", &partition.to_string())).map(|gauge| gauge.get())
        };
        let all: Vec<_> = (0..20).map(|n| (n, u64::from(n) * 100)).collect();
        tally.record(0, sent(&all), &series);
        assert_eq!(
            (14..20).map(shown).collect::<Vec<_>>(),
            [None, Some(1500), Some(1600), Some(1700), Some(1800), Some(1900)]
        );
        // Another key becomes hot, in a new producer.
        let mut all: Vec<_> = (0..20).map(|n| (n, 0)).collect();
        all[3].1 = 1_000_000;
        tally.record(0, sent(&all), &series);
        assert!(shown(3) >= Some(990_000), "{:?}", shown(3));
        assert_eq!((0..20).filter(|n| shown(*n).is_some()).count(), SHOWN);
        // When nothing more is sent it is forgotten.
        for _ in 0..1_200 {
            tally.record(0, sent(&all), &series);
        }
        assert_eq!((0..20).filter(|n| shown(*n).is_some()).count(), 0);
    }
}
