//! What producers are made of, again and again.

use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use rdkafka::ClientConfig;

use super::admin::{self, Maker};
use super::settings::{self, KafkaError};
use super::statistics::Tally;
use super::topics::Topics;
use crate::config::{self, Kafka};
use crate::metrics::KafkaSeries;

/// What producers are made of.
pub(super) struct Plan {
    pub(super) brokers: String,
    /// The first one is what all topics share that ask for nothing else.
    pub(super) lanes: Vec<LanePlan>,
    pub(super) topics: Arc<Topics>,
    /// Makes topics that are to be created.
    pub(super) maker: Maker,
    pub(super) series: KafkaSeries,
    pub(super) tally: Arc<Tally>,
    pub(super) budget_bytes: u64,
    /// Every record travels alone, while it is found out which ones Kafka refuses.
    pub(super) apart: bool,
    /// The thread that judges what comes back.
    pub(super) watch: Arc<OnceLock<Thread>>,
}

/// One way for records to travel.
pub(super) struct LanePlan {
    pub(super) client: ClientConfig,
    /// Records linger only where many come.
    pub(super) adaptive: bool,
}

/// What makes topics go different ways.
type Way = (Option<u32>, Option<config::Compression>);

impl Plan {
    /// Judges the configuration; contacts nobody.
    pub(super) fn new(
        kafka: &Kafka,
        topics: Vec<config::Topic>,
        series: KafkaSeries,
        budget_bytes: u64,
    ) -> Result<Self, KafkaError> {
        topics.iter().try_for_each(|topic| settings::check_topic(&topic.name))?;
        let mut ways: Vec<Way> = vec![(None, None)];
        for topic in &topics {
            if !ways.contains(&way(topic)) {
                ways.push(way(topic));
            }
        }
        let lanes: Vec<LanePlan> =
            ways.iter().map(|way| LanePlan::new(kafka, *way, budget_bytes)).collect::<Result<_, _>>()?;
        let lane = |topic: &config::Topic| ways.iter().position(|other| *other == way(topic)).unwrap_or(0);
        let topics = Arc::new(Topics::new(topics, kafka.topics.clone(), lane));
        let (brokers, tally) = (kafka.brokers.clone(), Arc::new(Tally::default()));
        Ok(Self {
            brokers,
            lanes,
            topics,
            maker: admin::create,
            series,
            tally,
            budget_bytes,
            apart: false,
            watch: Arc::default(),
        })
    }
}

impl LanePlan {
    fn new(kafka: &Kafka, (linger_ms, compression): Way, budget_bytes: u64) -> Result<Self, KafkaError> {
        let mut client = settings::client(kafka, budget_bytes)?;
        if let Some(linger_ms) = linger_ms {
            client.set(settings::LINGER, linger_ms.to_string());
        }
        if let Some(compression) = compression {
            client.set("compression.codec", compression.name());
        }
        Ok(Self { client, adaptive: linger_ms.is_none() && settings::is_adaptive(kafka) })
    }
}

fn way(topic: &config::Topic) -> Way {
    (topic.linger_ms, topic.compression)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Compression, Topic};

    #[test]
    fn topics_that_travel_alike_share_a_producer() {
        let topic = |name: &str, linger_ms, compression| Topic {
            linger_ms,
            compression,
            ..Topic::new(name, &config::Topics::default())
        };
        let topics = vec![
            topic("a", Some(50), None),
            topic("b", None, None),
            topic("c", Some(50), None),
            topic("d", Some(50), Some(Compression::Zstd)),
        ];
        let plan = Plan::new(&Kafka::at("localhost:9092"), topics, KafkaSeries::default(), 1 << 20).unwrap();
        let lanes = |name| plan.topics.by_name(name).unwrap().lane;
        assert_eq!(["a", "b", "c", "d"].map(lanes), [1, 0, 1, 2]);
        let told = |lane: usize, key| plan.lanes[lane].client.get(key).map(str::to_owned);
        assert_eq!(
            (told(0, "linger.ms"), told(0, "compression.codec")),
            (Some("5".into()), Some("lz4".into()))
        );
        assert_eq!(
            (told(2, "linger.ms"), told(2, "compression.codec")),
            (Some("50".into()), Some("zstd".into()))
        );
        assert_eq!(plan.lanes.iter().map(|lane| lane.adaptive).collect::<Vec<_>>(), [true, false, false]);
    }
}
