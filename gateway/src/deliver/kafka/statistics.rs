//! librdkafka's statistics: the few of them that readiness and metrics need.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::busy::Busy;
use super::stuck::{self, Queues, Stand};
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
    nodeid: i32,
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
pub(super) struct Partition {
    pub(super) txbytes: u64,
    /// Of a broker; -1 without one.
    pub(super) leader: i32,
    /// Of a producer's records the last one that was acknowledged, counted from 1.
    pub(super) acked_msgid: u64,
    msgs: u64,
    msgq_cnt: u64,
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

    /// Whether a broker is connected, by its id.
    pub(super) fn is_up(&self, id: i32) -> bool {
        id >= 0 && self.brokers.values().any(|broker| broker.nodeid == id && broker.state == "UP")
    }

    /// What is said of every partition, with its topic and number.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (&str, &str, &Partition)> {
        let topics = self.topics.iter();
        topics.flat_map(|(topic, said)| said.partitions.iter().map(move |(at, said)| (&**topic, &**at, said)))
    }

    /// Whether the producer has its id: until then nothing is sent.
    pub(super) fn has_producer_id(&self) -> bool {
        self.eos.as_ref().is_some_and(|eos| eos.idemp_state == "Assigned")
    }
}

/// librdkafka's own entry for records without a partition yet.
pub(super) const UNASSIGNED: &str = "-1";

impl Partition {
    /// Records that wait to be sent or to be acknowledged. The queues are not asked: that from which a broker is sent to is
    /// not among what librdkafka tells.
    pub(super) fn unacknowledged(&self, partition: &str) -> u64 {
        // From there records go on to a partition, where they are counted again.
        if partition == UNASSIGNED { self.msgq_cnt } else { self.msgs.saturating_sub(self.acked_msgid) }
    }
}

/// The last statistics of every producer, written into the gateway's own series together.
#[derive(Default)]
pub(super) struct Tally(Mutex<Tallied>);

#[derive(Default)]
struct Tallied {
    lanes: Vec<Lane>,
    busy: Busy,
}

#[derive(Default)]
struct Lane {
    /// Of the producer that said so.
    generation: u32,
    last: Statistics,
    queues: Queues,
}

impl Tally {
    /// Takes what one producer says, unless there is a newer one, and writes what all of them say.
    pub(super) fn record(
        &self,
        from: (usize, u32),
        statistics: Statistics,
        series: &KafkaSeries,
        now: Instant,
    ) {
        let (at, generation) = from;
        let mut tallied = self.lock();
        if tallied.lanes.len() <= at {
            tallied.lanes.resize_with(at + 1, Lane::default);
        }
        let Tallied { lanes, busy } = &mut *tallied;
        let Some(lane) = lanes.get_mut(at) else { return };
        if generation < lane.generation {
            return;
        }
        if generation > lane.generation {
            busy.begin(at);
            *lane = Lane { generation, ..Lane::default() };
        }
        lane.queues.note(&statistics, now);
        busy.note(at, &statistics);
        lane.last = statistics;
        tallied.write(series);
        tallied.busy.show(series);
    }

    /// What waits for which part of Kafka. Nothing is known of producers older than `generation`.
    pub(super) fn stand(&self, generation: u32, still: Duration, now: Instant) -> Option<Stand> {
        let tallied = self.lock();
        let is_new = |lane: &Lane| lane.generation == generation && lane.last.has_producer_id();
        let known = tallied.lanes.iter().any(is_new);
        let queues = tallied.lanes.iter().filter(|lane| lane.generation == generation);
        known.then(|| stuck::stand(queues.map(|lane| &lane.queues), still, now))
    }

    fn lock(&self) -> MutexGuard<'_, Tallied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tallied {
    fn write(&self, series: &KafkaSeries) {
        let lanes = || self.lanes.iter().map(|lane| &lane.last);
        let sum = |of: fn(&Statistics) -> i64| lanes().map(of).sum();
        series.queue_messages.set(sum(|lane| lane.msg_cnt));
        series.queue_bytes.set(sum(|lane| lane.msg_size));
        // Each has connections of its own, to the same brokers.
        series.brokers_up.set(lanes().map(Statistics::brokers_up).max().unwrap_or(0));
        let brokers = || lanes().flat_map(|lane| lane.brokers.values());
        let slowest_us = brokers().map(|broker| broker.rtt.avg).max().unwrap_or(0);
        series.broker_rtt.set(float(slowest_us) / 1e6);
        series.internal_latency.set(mean(brokers().map(|broker| &broker.int_latency)) / 1e6);
        let topics = lanes().flat_map(|lane| lane.topics.values());
        series.batch_messages.set(mean(topics.map(|topic| &topic.batchcnt)));
        series.transmit_errors.set(brokers().map(|broker| broker.txerrs).sum());
    }
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
    use super::super::watch;
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
        Tally::default().record((0, 0), statistics, &series, watch::now());
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

    #[test]
    fn a_late_word_of_a_producer_that_was_replaced_changes_nothing() {
        let (tally, series) = (Tally::default(), KafkaSeries::default());
        let says = |generation, json| {
            tally.record((0, generation), serde_json::from_str(json).unwrap(), &series, watch::now());
        };
        says(1, r#"{"msg_cnt":3}"#);
        says(0, r#"{"msg_cnt":5}"#);
        assert_eq!(series.queue_messages.get(), 3);
        says(2, r#"{"msg_cnt":7}"#);
        assert_eq!(series.queue_messages.get(), 7);
    }
}
