//! librdkafka's producers: records in. What comes out is in [`super::reports`].

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::{Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{Producer as _, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::back::Returned;
use super::draft::{self, Draft};
use super::flush::{self, Flusher};
use super::in_flight::{InFlight, Progress};
use super::place::Place;
use super::plan::Plan;
use super::refuse;
use super::reports::{Notes, Reports, TooLarge};
use super::room::Room;
use super::settings::{KafkaError, batch_bytes};
use super::topics::{Absent, Topic, Topics};
use super::verdict::{self, Poison, Verdict};
use super::watch::now;
use crate::metrics::KafkaSeries;
use crate::record::{Record, Records};
use crate::ticket::Ticket;

/// One producer of librdkafka with the thread that polls it.
pub(super) type Client = ThreadedProducer<Reports>;

/// The producers, one for each way in which records travel, from their making to the fatal error or the drain that ends
/// them. They are replaced together.
///
/// Dropping it gives up what it holds and may take a second: not on a runtime's thread.
pub(super) struct Producer {
    lanes: Vec<Lane>,
    topics: Arc<Topics>,
    in_flight: Arc<InFlight>,
    structured: OwnedHeaders,
    series: KafkaSeries,
    room: Arc<Room>,
}

struct Lane {
    /// None where `linger.ms` holds for every record. Before the client: its thread ends first.
    flusher: Option<Flusher>,
    client: Arc<Client>,
}

/// What became of a record that was offered.
enum Offered {
    Taken(usize),
    /// It is settled, or will be.
    Refused,
    Waits,
}

impl Producer {
    /// Producers that connect in the background.
    pub(super) fn new(plan: &Plan, in_flight: &Arc<InFlight>, room: &Arc<Room>) -> Result<Self, KafkaError> {
        let generation = in_flight.generation();
        let mut lanes = Vec::with_capacity(plan.lanes.len());
        for (lane, settings) in plan.lanes.iter().enumerate() {
            let reports = Reports {
                in_flight: Arc::clone(in_flight),
                generation,
                topics: Arc::clone(&plan.topics),
                series: plan.series.clone(),
                tally: Arc::clone(&plan.tally),
                lane,
                notes: Notes::default(),
                batch_bytes: batch_bytes(&settings.client),
                apart: plan.apart,
                client: OnceLock::new(),
                watch: Arc::clone(&plan.watch),
            };
            let mut config = settings.client.clone();
            if plan.apart {
                config.set("batch.num.messages", "1");
            }
            let client = Arc::new(Client::from_config_and_context(&config, reports)?);
            // Set once: this is the only place.
            let _ = client.client().context().client.set(Arc::downgrade(&client));
            let flusher = settings.adaptive.then(|| Flusher::spawn(Arc::clone(&client))).transpose()?;
            lanes.push(Lane { flusher, client });
        }
        Ok(Self {
            lanes,
            topics: Arc::clone(&plan.topics),
            in_flight: Arc::clone(in_flight),
            structured: draft::structured(),
            series: plan.series.clone(),
            room: Arc::clone(room),
        })
    }

    /// As [`crate::deliver::Sink::submit`].
    pub(super) fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        let (mut count, mut bytes) = (0, 0);
        for record in records.iter_from(from) {
            count += 1;
            bytes += record.cost_bytes();
        }
        let Some(slot) = (count > 0).then(|| self.in_flight.enter(ticket, count, bytes)).flatten() else {
            return 0;
        };
        let topics = self.topics.all();
        let mut queued = [0_usize; crate::config::PRODUCERS_MAX];
        let mut taken = 0;
        for record in records.iter_from(from) {
            let place = Place { slot, index: record.index };
            let topic = topics.get(usize::from(record.topic.0));
            match topic.map_or(Offered::Waits, |topic| self.offer(topic, &record, place, ticket)) {
                Offered::Taken(lane) => queued.get_mut(lane).into_iter().for_each(|queued| *queued += 1),
                Offered::Refused => {}
                Offered::Waits => {
                    // In this order: giving the slot back opens the room.
                    self.in_flight.forgo(slot, count - taken);
                    self.room.stall();
                    break;
                }
            }
            taken += 1;
        }
        for (lane, queued) in self.lanes.iter().zip(queued) {
            if let Some(flusher) = lane.flusher.as_ref().filter(|_| queued > 0) {
                flusher.queued(queued);
            }
        }
        taken as usize
    }

    fn offer(&self, topic: &Topic, record: &Record<'_>, place: Place, ticket: &Ticket) -> Offered {
        let Some(lane) = self.lanes.get(topic.lane) else { return Offered::Waits };
        let draft = || Draft::new(topic, record, &self.structured);
        let refuse = |poison: Poison| {
            let why = poison.why.to_owned();
            refuse::refuse(&lane.client, &self.in_flight, &self.topics, place, poison, why, draft());
            Offered::Refused
        };
        match topic.absent() {
            Some(Absent::Refused(poison)) if !ticket.is_owed() => return refuse(poison),
            Some(_) => {
                // Somebody wants it: brokers are asked for it, configured or not.
                self.topics.doubt(topic);
                return Offered::Waits;
            }
            None => {}
        }
        let Err(code) = draft().send(&lane.client, place) else { return Offered::Taken(topic.lane) };
        match verdict::at_send(code) {
            Verdict::Refused(poison) => return refuse(poison),
            Verdict::Barred(poison) => {
                self.topics.bar(topic, poison, now());
                if !ticket.is_owed() {
                    return refuse(poison);
                }
            }
            Verdict::Blocked(why) => lane.notes().block(&topic.config.name, why, code),
            Verdict::Missing => self.topics.doubt(topic),
            Verdict::Suspect(_) | Verdict::TooLarge | Verdict::Again => {}
        }
        Offered::Waits
    }

    /// Produces what a producer before this one gave back. Nothing else may be submitted before all of it is.
    pub(super) fn resend(&self, returned: Returned) {
        let Returned { place, record, .. } = returned;
        let Some(client) = self.client_of(record.topic()) else { return };
        let topic = self.topics.by_name(record.topic());
        let generation = client.client().context().generation;
        let wait = |record| self.in_flight.gave_back(generation, place, record, topic.as_deref());
        match topic.as_ref().and_then(|topic| topic.absent()) {
            Some(Absent::Refused(poison)) if !self.in_flight.is_owed(place) => {
                return self.refuse(place, &record, poison);
            }
            Some(_) => return wait(record),
            None => {}
        }
        let Err(code) = Draft::of(&record).send(client, place) else { return };
        match verdict::at_send(code) {
            Verdict::Missing => wait(record),
            Verdict::Barred(poison) => {
                topic.iter().for_each(|topic| self.topics.bar(topic, poison, now()));
                if self.in_flight.is_owed(place) { wait(record) } else { self.refuse(place, &record, poison) }
            }
            // This producer has stopped already: the next one sends it.
            Verdict::Again => self.in_flight.gave_back(generation, place, record, None),
            // Its frame's client sends it again: librdkafka takes as much as all frames together may hold.
            _ => {
                self.series.failures.inc();
                self.in_flight.failed(generation, place).into_iter().for_each(|ticket| ticket.lost(1));
            }
        }
    }

    /// Refuses a record that came back.
    pub(super) fn refuse(&self, place: Place, record: &OwnedMessage, poison: Poison) {
        let Some(client) = self.client_of(record.topic()) else { return };
        let why = poison.why.to_owned();
        refuse::refuse(client, &self.in_flight, &self.topics, place, poison, why, Draft::of(record));
    }

    /// Has `count` records sent that were handed over, unless they are to linger.
    pub(super) fn hurry(&self, count: usize) {
        for flusher in self.lanes.iter().filter_map(|lane| lane.flusher.as_ref()).filter(|_| count > 0) {
            flusher.queued(count);
        }
    }

    fn client_of(&self, topic: &str) -> Option<&Client> {
        let lane = self.topics.by_name(topic).map_or(0, |topic| topic.lane);
        self.lanes.get(lane).or(self.lanes.first()).map(|lane| &*lane.client)
    }

    /// Asks the brokers for one topic. Blocks up to `timeout`.
    pub(super) fn probe(&self, topic: &Topic, timeout: Duration) -> Result<Answer, String> {
        let Some(lane) = self.lanes.get(topic.lane).or(self.lanes.first()) else {
            return Ok(Answer::Well(0));
        };
        let name = &topic.config.name;
        let found = lane.client.client().fetch_metadata(Some(name), timeout);
        let metadata = found.map_err(|error| lane.notes().reason(&error))?;
        let Some(found) = metadata.topics().first() else { return Ok(Answer::Well(0)) };
        Ok(match found.error().map(Code::from) {
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => Answer::Missing,
            Some(code) => Answer::Unfit(format!("topic `{name}` cannot be written: {code}")),
            None if found.partitions().iter().all(|partition| partition.leader() < 0) => {
                Answer::Unfit(format!("topic `{name}` has no leader; events for it wait"))
            }
            None => Answer::Well(found.partitions().len()),
        })
    }

    /// Whether librdkafka has nothing: neither waiting nor on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.client.in_flight_count() == 0)
    }

    /// Why librdkafka will never send again, once that is so.
    pub(super) fn fatal(&self) -> Option<(Code, String)> {
        self.lanes.iter().find_map(|lane| lane.client.client().fatal_error())
    }

    /// Has everything sent without lingering and waits until it was reported, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let until = now() + patience;
        let mut all = true;
        for lane in &self.lanes {
            all &= flush::flush(&lane.client, until.saturating_duration_since(now()));
        }
        all
    }

    /// Has librdkafka give everything back that was not reported: to [`InFlight`], with its records. Answers to what was
    /// sent are waited for, at most `patience`: what has none may be written, and then it is written twice.
    pub(super) fn give_back(&self, patience: Duration) {
        /// Purged records are reported at once unless librdkafka itself hangs.
        const REPORTS: Duration = Duration::from_secs(2);
        /// Shorter than a broker takes to give a new producer id, without which nothing is sent again out of order.
        const ROUND: Duration = Duration::from_millis(1);
        let until = now() + patience;
        let is_busy = |lane: &Lane| lane.client.in_flight_count() > 0;
        while self.lanes.iter().any(is_busy) && now() < until {
            for lane in &self.lanes {
                lane.client.purge(PurgeConfig::default().queue().non_blocking());
            }
            thread::sleep(ROUND);
        }
        for lane in &self.lanes {
            lane.client.purge(PurgeConfig::default().queue().inflight().non_blocking());
        }
        self.flush(REPORTS);
    }

    pub(super) fn progress(&self) -> Progress {
        self.in_flight.progress()
    }

    /// Whether any of the producers has lost its brokers since the last call.
    pub(super) fn take_doubt(&self) -> bool {
        // Each is asked, whatever the one before it says: the word is taken.
        self.lanes.iter().filter(|lane| lane.notes().take_doubt()).count() > 0
    }

    pub(super) fn take_suspect(&self) -> Option<String> {
        self.lanes.iter().find_map(|lane| lane.notes().take_suspect())
    }

    pub(super) fn take_again(&self) -> Option<String> {
        self.lanes.iter().find_map(|lane| lane.notes().take_again())
    }

    pub(super) fn take_blocked(&self) -> Option<String> {
        self.lanes.iter().find_map(|lane| lane.notes().take_blocked())
    }

    pub(super) fn has_producer_id(&self) -> bool {
        self.lanes.iter().all(|lane| lane.notes().has_producer_id())
    }

    /// Whether all that lack an id have never had one, so that nothing of what they hold was ever sent.
    pub(super) fn is_fresh(&self) -> bool {
        let mut nameless = self.lanes.iter().filter(|lane| !lane.notes().has_producer_id());
        nameless.all(|lane| !lane.notes().had_producer_id())
    }

    /// The largest event that was too large together with its batch, and which producer that was.
    pub(super) fn take_too_large(&self) -> Option<(usize, TooLarge)> {
        self.lanes.iter().enumerate().find_map(|(at, lane)| Some((at, lane.notes().take_too_large()?)))
    }

    /// What lives as long as anything holds the first producer of librdkafka.
    #[cfg(test)]
    pub(super) fn held(&self) -> std::sync::Weak<Client> {
        Arc::downgrade(&self.lanes.first().unwrap().client)
    }
}

impl Lane {
    fn notes(&self) -> &Notes {
        &self.client.client().context().notes
    }
}

/// What brokers say of a topic.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// It can be written, and has so many partitions.
    Well(usize),
    /// It does not exist.
    Missing,
    /// It exists, but: a sentence.
    Unfit(String),
}
