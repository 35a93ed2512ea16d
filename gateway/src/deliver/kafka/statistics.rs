//! librdkafka's statistics: the few of them that readiness and metrics need.

use std::collections::HashMap;

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

    /// Writes them into the gateway's own series.
    pub(super) fn record(&self, series: &KafkaSeries) {
        series.queue_messages.set(self.msg_cnt);
        series.queue_bytes.set(self.msg_size);
        series.brokers_up.set(self.brokers_up());
        let slowest_us = self.brokers.values().map(|broker| broker.rtt.avg).max().unwrap_or(0);
        series.broker_rtt.set(float(slowest_us) / 1e6);
        series.internal_latency.set(mean(self.brokers.values().map(|broker| &broker.int_latency)) / 1e6);
        series.batch_messages.set(mean(self.topics.values().map(|topic| &topic.batchcnt)));
        series.transmit_errors.set(self.brokers.values().map(|broker| broker.txerrs).sum());
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
        statistics.record(&series);
        assert!(statistics.has_producer_id());
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
}
