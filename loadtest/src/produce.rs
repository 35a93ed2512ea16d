//! A bare librdkafka producer: what the way into Kafka costs with nothing in front of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};
use serde::Serialize;

use crate::clock;
use crate::payload::Payload;
use crate::report::Latency;
use crate::tally::Tally;
use crate::usage::Process;

/// What to produce.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProduceArgs {
    /// Kafka.
    #[arg(long)]
    pub(crate) brokers: String,
    /// Where to.
    #[arg(long)]
    pub(crate) topic: String,
    /// Records a second, at fixed times; without it as fast as librdkafka takes them.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) duration: f64,
    /// Seconds to produce before measuring.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm_up: f64,
    /// Bytes of a record.
    #[arg(long, default_value_t = 200)]
    pub(crate) size: usize,
    /// With a rate: so many are due at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch: u64,
    /// Records have this many keys in turn, a batch the same: as many clients' would have; without it none, and
    /// librdkafka fills one partition after another.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keys: Option<u64>,
    /// librdkafka's `linger.ms`.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) linger: f64,
}

/// What it cost.
#[derive(Debug, Serialize)]
pub(crate) struct Produced {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) events_per_cpu_second: f64,
    pub(crate) latency_ms: Option<Latency>,
}

/// Counts what Kafka has acknowledged.
struct Reports {
    started: Instant,
    delivered: AtomicU64,
    failed: AtomicU64,
    /// For a given rate alone: at full speed the lock would be part of what is measured.
    tally: Option<Mutex<Tally>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    /// Nanoseconds from the start to the time the record was due; 0 before the window.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, due: usize) {
        let count = if result.is_ok() { &self.delivered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if let (Some(tally), true) = (&self.tally, due > 0) {
            let due = self.started + Duration::from_nanos(due as u64);
            tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner).answered(due, clock::now(), 1);
        }
    }
}

impl ProduceArgs {
    /// Produces, and says what it cost this process.
    pub(crate) fn run(&self) -> Result<Produced> {
        let producer = self.producer()?;
        let payload = Payload::synthetic("produced", self.size)?;
        let me = Process(std::process::id());
        // What due times are counted from, here and in the reports.
        let started = producer.context().started;
        let from = started + Duration::from_secs_f64(self.warm_up);
        let end = from + Duration::from_secs_f64(self.duration);
        let reports = producer.context();
        let keys: Vec<String> = (0..self.keys.unwrap_or(0)).map(|key| format!("client-{key}")).collect();
        let (mut sent, mut event, mut first) = (0_u64, Vec::new(), None);
        loop {
            let now = clock::now();
            if first.is_none() && now >= from {
                first = Some((now, me.cpu()?, reports.delivered.load(Ordering::Relaxed)));
            }
            if now >= end {
                break;
            }
            let wanted = match self.rate {
                None => sent + 256,
                Some(rate) => {
                    (due_by(now.saturating_duration_since(started), rate) + 1).next_multiple_of(self.batch)
                }
            };
            while sent < wanted {
                payload.write(1, sent, &mut event);
                let due = self.rate.map_or(0, |rate| due_at(sent / self.batch * self.batch, rate));
                let due = if started + Duration::from_nanos(due as u64) < from { 0 } else { due };
                let mut record =
                    BaseRecord::<str, [u8], usize>::with_opaque_to(&self.topic, due).payload(&event);
                record.key = keys.get(turn(sent / self.batch, keys.len())).map(String::as_str);
                match producer.send(record) {
                    Ok(()) => sent += 1,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        std::thread::sleep(Duration::from_millis(1));
                        break;
                    }
                    Err((error, _)) => return Err(error.into()),
                }
            }
            if let Some(rate) = self.rate {
                // As exactly as clients of a gateway are woken.
                let next = started + Duration::from_nanos(due_at(sent, rate) as u64);
                std::thread::sleep(next.min(end).saturating_duration_since(clock::now()));
            }
        }
        let (last, cpu, delivered) = (clock::now(), me.cpu()?, reports.delivered.load(Ordering::Relaxed));
        producer.flush(Duration::from_secs(30))?;
        let failed = reports.failed.load(Ordering::Relaxed);
        if failed > 0 {
            bail!("Kafka did not take {failed} records");
        }
        let (at, cpu_before, before) = first.unwrap_or((last, cpu, delivered));
        let cpu_seconds = cpu.saturating_sub(cpu_before).as_secs_f64();
        let events = delivered - before;
        let tally = reports.tally.as_ref();
        Ok(Produced {
            events,
            seconds: last.saturating_duration_since(at).as_secs_f64(),
            cpu_seconds,
            events_per_cpu_second: if cpu_seconds > 0.0 {
                crate::report::float(events) / cpu_seconds
            } else {
                0.0
            },
            latency_ms: tally.and_then(|tally| {
                Latency::of(&tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
            }),
        })
    }

    /// With the settings that the gateway has.
    fn producer(&self) -> Result<ThreadedProducer<Reports>> {
        let reports = Reports {
            // A moment from now, when librdkafka is up: what is due before would be late from the start.
            started: clock::now() + Duration::from_millis(100),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            tally: self.rate.map(|_| Mutex::new(Tally::new())),
        };
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", self.linger.to_string())
            .set("batch.num.messages", "10000")
            .set("batch.size", "1000000")
            .set("compression.codec", "lz4")
            .set("queue.buffering.max.messages", "100000");
        Ok(rdkafka::config::FromClientConfigAndContext::from_config_and_context(&config, reports)?)
    }
}

/// Whose turn it is among `count`.
fn turn(number: u64, count: usize) -> usize {
    usize::try_from(number % (count.max(1) as u64)).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and below 2^53")]
fn due_by(elapsed: Duration, rate: f64) -> u64 {
    (elapsed.as_secs_f64() * rate) as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and below 2^53")]
fn due_at(number: u64, rate: f64) -> usize {
    (crate::report::float(number) / rate * 1e9) as usize
}
