//! Asking brokers for topics: whether they are there; having those made that are to be created.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::admin::{Creation, Made};
use super::plan::Plan;
use super::producer::{Answer, Producer};
use super::topics::{Presence, Topic, Topics};
use super::watch::now;
use crate::config::{self, Missing};

/// Between two tries to create topics.
const CREATE: Duration = Duration::from_secs(5);

/// What brokers said of topics.
pub(super) struct Inquiry {
    every: Duration,
    /// When every topic is asked for next, if there is need.
    round_at: Instant,
    create_at: Instant,
    /// Asked for next while all is well: the topics take turns.
    turn: usize,
    /// Under way, at most one at a time.
    creation: Option<Creation>,
    /// Topics that are wanted and cannot be written, and why: a sentence each.
    unfit: BTreeMap<String, String>,
}

impl Inquiry {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, round_at: now, create_at: now, turn: 0, creation: None, unfit: BTreeMap::new() }
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
        self.hear();
        let configured = plan.topics.configured();
        let unknown = configured.iter().any(|topic| topic.presence() != Presence::There);
        if now >= self.round_at && (unknown || !self.unfit.is_empty() || plan.topics.is_doubted()) {
            let all = plan.topics.all();
            let mut missing = Vec::new();
            for topic in all.iter().filter(|topic| topic.is_configured || topic.is_doubted()) {
                let answer = producer.probe(topic, timeout)?;
                if answer == Answer::Missing && topic.config.missing == Missing::Create {
                    missing.push(topic.config.clone());
                }
                self.judge(topic, answer, now);
            }
            self.create(missing, plan, now);
            self.round_at = now + self.every;
            return Ok(());
        }
        self.turn = (self.turn + 1) % configured.len().max(1);
        let Some(topic) = configured.get(self.turn) else { return Ok(()) };
        let answer = producer.probe(topic, timeout)?;
        self.judge(topic, answer, now);
        Ok(())
    }

    fn judge(&mut self, topic: &Topic, answer: Answer, now: Instant) {
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
                    Missing::Fail if topic.is_configured => "events for it are refused",
                    Missing::Fail | Missing::Wait => "events for it wait",
                    Missing::Create => "it will be created",
                };
                let is_told = topic.config.missing == Missing::Create;
                let told = self.unfit.get(name).filter(|_| is_told).cloned();
                Some(told.unwrap_or_else(|| format!("topic `{name}` does not exist in Kafka; {what}")))
            }
            Answer::Unfit(why) => Some(why),
        };
        // Nobody wants one that only older records were for, once all of them are written.
        match unfit.filter(|_| topic.is_configured || topic.is_doubted()) {
            Some(why) => drop(self.unfit.insert(name.clone(), why)),
            None => drop(self.unfit.remove(name)),
        }
    }

    /// Has topics made, in a thread of its own: a broker may take its time.
    fn create(&mut self, missing: Vec<config::Topic>, plan: &Plan, now: Instant) {
        let Some(lane) = plan.lanes.first() else { return };
        if missing.is_empty() || self.creation.is_some() || now < self.create_at {
            return;
        }
        self.create_at = now + CREATE;
        match Creation::start(plan.maker, lane.client.clone(), missing) {
            Ok(creation) => self.creation = Some(creation),
            Err(error) => tracing::warn!(%error, "no thread to create topics; trying again"),
        }
    }

    /// Takes what has become of topics that were to be made.
    fn hear(&mut self) {
        let Some(made) = self.creation.as_mut().and_then(Creation::take) else { return };
        self.creation = None;
        for Made { topic: name, result } in made {
            let why = match result {
                Ok(()) => {
                    tracing::info!("topic `{name}` did not exist in Kafka and was created");
                    format!("topic `{name}` was created a moment ago")
                }
                Err(why) => format!(
                    "topic `{name}` does not exist in Kafka and cannot be created: {why}; events for it wait"
                ),
            };
            self.unfit.insert(name, why);
        }
    }
}

fn note_partitions(topic: &Topic, found: usize) {
    if let Some(wanted) = topic.config.partitions.filter(|wanted| *wanted as usize != found) {
        let name = &topic.config.name;
        tracing::warn!(
            "topic `{name}` has {found} partitions, not the {wanted} that are configured: it is left so"
        );
    }
}
