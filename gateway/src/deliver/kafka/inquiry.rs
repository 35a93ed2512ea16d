//! Asking brokers for topics: whether they are there, and what becomes of records when not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::admin;
use super::in_flight::InFlight;
use super::plan::Plan;
use super::producer::{Answer, Producer};
use super::topics::{Absent, Presence, Topic, Topics};
use super::watch::now;
use crate::config::Missing;

/// Between two tries to create topics, and the longest that one may take.
const CREATE: Duration = Duration::from_secs(5);

/// What brokers said of topics.
pub(super) struct Inquiry {
    every: Duration,
    /// When every topic is asked for next, if there is need.
    round_at: Instant,
    create_at: Instant,
    /// Asked for next while all is well: the topics take turns.
    turn: usize,
    /// Configured topics that cannot be written, and why: a sentence each.
    unfit: BTreeMap<String, String>,
}

impl Inquiry {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, round_at: now, create_at: now, turn: 0, unfit: BTreeMap::new() }
    }

    /// Whether every topic is to be asked for now.
    pub(super) fn is_due(&self, topics: &Topics, now: Instant) -> bool {
        now >= self.round_at && (!self.unfit.is_empty() || topics.is_doubted())
    }

    /// Why not every topic can be written, in a sentence.
    pub(super) fn unfit(&self) -> Option<String> {
        let first = self.unfit.values().next()?;
        Some(match self.unfit.len() - 1 {
            0 => first.clone(),
            more => format!("{first}; {more} more topics cannot be written"),
        })
    }

    /// Asks for a topic, or for all where there is need. Blocks up to `timeout` if nobody answers: then why.
    pub(super) fn ask(&mut self, producer: &Producer, plan: &Plan, timeout: Duration) -> Result<(), String> {
        let now = now();
        let configured = plan.topics.configured();
        let unknown = configured.iter().any(|topic| topic.presence() != Presence::There);
        if now >= self.round_at && (unknown || !self.unfit.is_empty() || plan.topics.is_doubted()) {
            let create = now >= self.create_at;
            let others = plan
                .topics
                .all()
                .iter()
                .skip(configured.len())
                .filter(|topic| topic.is_doubted())
                .cloned()
                .collect();
            for topic in [configured, others].concat() {
                let answer = producer.probe(&topic, timeout)?;
                self.judge(&topic, answer, plan, create, now);
            }
            if create {
                self.create_at = now + CREATE;
            }
            self.round_at = now + self.every;
            return Ok(());
        }
        self.turn = (self.turn + 1) % configured.len().max(1);
        let Some(topic) = configured.get(self.turn) else { return Ok(()) };
        let answer = producer.probe(topic, timeout)?;
        self.judge(topic, answer, plan, false, now);
        Ok(())
    }

    fn judge(&mut self, topic: &Topic, answer: Answer, plan: &Plan, create: bool, now: Instant) {
        let name = &topic.config.name;
        let unfit = match answer {
            Answer::Well(partitions) => {
                if topic.presence() != Presence::There {
                    note_partitions(topic, partitions);
                }
                topic.is_there();
                None
            }
            Answer::Missing => {
                topic.is_missing(now);
                let what = match topic.config.missing {
                    Missing::Fail => "events for it are refused".to_owned(),
                    Missing::Wait => "events for it wait".to_owned(),
                    Missing::Create if create => return self.create(topic, plan),
                    Missing::Create => self.unfit.get(name).cloned().unwrap_or("it will be created".into()),
                };
                Some(if what.starts_with("topic ") {
                    what
                } else {
                    format!("topic `{name}` does not exist in Kafka; {what}")
                })
            }
            Answer::Unfit(why) => Some(why),
        };
        match unfit.filter(|_| topic.is_configured) {
            Some(why) => drop(self.unfit.insert(name.clone(), why)),
            None => drop(self.unfit.remove(name)),
        }
    }

    fn create(&mut self, topic: &Topic, plan: &Plan) {
        let name = &topic.config.name;
        let Some(lane) = plan.lanes.first() else { return };
        let why = match admin::create(&lane.client, &topic.config, CREATE) {
            Ok(()) => {
                tracing::info!("topic `{name}` did not exist in Kafka and was created");
                format!("topic `{name}` was created a moment ago")
            }
            Err(why) => format!(
                "topic `{name}` does not exist in Kafka and cannot be created: {why}; events for it wait"
            ),
        };
        self.unfit.insert(name.clone(), why);
    }
}

/// Settles what came back for want of its topic: refuses it once that is certain. Returns a topic that is there after
/// all, whose records are to be produced again.
pub(super) fn settle_missing(producer: &Producer, in_flight: &InFlight, topics: &Topics) -> Option<String> {
    for name in in_flight.back().missing {
        let topic = topics.by_name(&name);
        match topic.as_ref().map(|topic| (topic.presence(), topic.absent())) {
            Some((Presence::There, _)) => return Some(name),
            Some((_, Some(Absent::Waits)) | (Presence::Unknown, _)) => {}
            Some((_, Some(Absent::Refused) | None)) | None => {
                in_flight.take_missing(&name).iter().for_each(|returned| producer.refuse_missing(returned));
            }
        }
    }
    None
}

fn note_partitions(topic: &Topic, found: usize) {
    if let Some(wanted) = topic.config.partitions.filter(|wanted| *wanted as usize != found) {
        let name = &topic.config.name;
        tracing::warn!(
            "topic `{name}` has {found} partitions, not the {wanted} that are configured: it is left so"
        );
    }
}
