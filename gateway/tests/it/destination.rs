//! Where a gateway under test delivers, and what arrived there.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::gateway::Gateway;
use crate::kafka::Cluster;

/// Kafka, or the gateway's own log.
pub enum Destination {
    Log,
    Shared(&'static Cluster),
    Own(Cluster),
}

/// One record as it arrived.
#[derive(Debug)]
pub struct Produced {
    pub key: Option<String>,
    pub value: String,
}

impl Destination {
    /// The Kafka that tests share.
    pub async fn shared_kafka() -> Self {
        Self::Shared(Cluster::shared().await)
    }

    /// A Kafka for one test, whose brokers may be killed.
    pub async fn own_kafka(nodes: usize) -> Self {
        Self::Own(Cluster::start(nodes).await)
    }

    /// A topic that nobody else uses.
    pub async fn topic(&self, partitions: i32) -> String {
        static TOPICS: AtomicU32 = AtomicU32::new(0);
        let name = format!("events-{}", TOPICS.fetch_add(1, Ordering::Relaxed));
        if let Some(cluster) = self.cluster() {
            cluster.create_topic(&name, partitions).await;
        }
        name
    }

    /// A gateway that delivers everything to `topic`.
    pub async fn gateway(&self, topic: &str) -> Gateway {
        self.gateway_with(topic, "").await
    }

    /// The same, with more lines of configuration.
    pub async fn gateway_with(&self, topic: &str, more: &str) -> Gateway {
        let route = format!("{more}\n[[routes]]\ntopic = \"{topic}\"\n");
        match self.cluster() {
            None => Gateway::start(&route).await,
            Some(cluster) => Gateway::start_with_kafka(&cluster.brokers(), &route).await,
        }
    }

    /// Everything that arrived: of the log in order, of Kafka each partition in order.
    pub async fn produced(&self, gateway: &Gateway, topic: &str) -> Vec<Produced> {
        match self.cluster() {
            None => gateway.tail_raw().lines().map(of_log).collect(),
            Some(cluster) => {
                let records = cluster.consume(topic).await.into_iter();
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
                records
                    .map(|record| {
                        assert_eq!(
                            record.headers.get("content-type").map(String::as_str),
                            Some("application/cloudevents+json; charset=UTF-8")
                        );
                        Produced { key: record.key.map(text), value: text(record.value) }
                    })
                    .collect()
            }
        }
    }

    /// The brokers, to be killed.
    pub fn brokers(&self) -> &Cluster {
        self.cluster().expect("a destination with brokers")
    }

    fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Log => None,
            Self::Shared(cluster) => Some(cluster),
            Self::Own(cluster) => Some(cluster),
        }
    }
}

/// The log has no keys to show; the partition key of an event is what they would be.
pub fn of_log(line: &str) -> Produced {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    let key = event["partitionkey"].as_str().map(str::to_owned);
    Produced { key, value: line.to_owned() }
}
