//! How long the watch waits for what.

use std::time::Duration;

/// How long the watch bears with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Between two looks; also the longest that a client waits for room that nobody announced.
    pub(super) look: Duration,
    /// For one answer of the brokers.
    pub(super) answer: Duration,
    /// With events in flight and no report: the brokers are asked.
    pub(super) report: Duration,
    /// The same although they answer: not ready.
    pub(super) still: Duration,
    /// With records of one partition waiting, whatever others do: its topic is impaired. Longer than Kafka takes to choose
    /// another leader.
    pub(super) stuck: Duration,
    /// With nothing in flight: the brokers are asked.
    pub(super) quiet: Duration,
    /// As `still`, and the producer is replaced. Well beyond the time in which librdkafka itself gives up a request and
    /// sends it again, since a new producer may write it twice.
    pub(super) wedged: Duration,
    /// For the id of a producer that has never had one, from brokers that answer: then it is replaced. librdkafka may wait for
    /// ever if brokers stand still while it asks; as it has sent nothing, nothing is written twice.
    pub(super) nameless: Duration,
    /// How long records travel one by one after Kafka has refused a batch for one of them.
    pub(super) apart: Duration,
    /// Between two rounds in which brokers are asked for every topic, while one of them is unfit.
    pub(super) inquiry: Duration,
    /// How long an error that an operator has to repair is told after it was met.
    pub(super) blocked: Duration,
    /// Between two producers: at first, and doubled up to the second while none becomes ready.
    pub(super) replace: (Duration, Duration),
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_millis(250),
            answer: Duration::from_secs(1),
            report: Duration::from_millis(1_500),
            still: Duration::from_secs(5),
            stuck: Duration::from_secs(15),
            quiet: Duration::from_secs(3),
            wedged: Duration::from_secs(90),
            nameless: Duration::from_secs(10),
            apart: Duration::from_secs(1),
            inquiry: Duration::from_secs(1),
            blocked: Duration::from_secs(5),
            replace: (Duration::from_millis(500), Duration::from_secs(30)),
        }
    }
}
