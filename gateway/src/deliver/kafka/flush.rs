//! Sending at once what librdkafka would let linger, while little flows.
//!
//! librdkafka waits `linger.ms` for more records, whether more come or not, and cannot be told another time later.
//! But while a flush is under way it sends at once (`rd_kafka_flush` raises a count that its broker threads look at).
//! So a thread flushes when a frame comes that has no company worth waiting for: few came lately ([`Flow`]), and
//! nearly nothing is on its way to the brokers, after Nagle. Otherwise nobody flushes, and records linger.

use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::bindings::rd_kafka_flush;
use rdkafka::producer::Producer as _;
use rdkafka::types::RDKafkaRespErr;

use super::flow::Flow;
use super::producer::Client;
use super::watch::now;

/// The thread, and what tells it to flush. Dropping it ends the thread, which then holds the producer no longer.
pub(super) struct Flusher {
    shared: Arc<Shared>,
    /// None once it is joined.
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    client: Arc<Client>,
    flow: Flow,
    stop: AtomicBool,
}

/// How long one flush lasts at most: at first, and doubled up to the second while nothing is reported.
///
/// The first is how long a flow that becomes dense is still sent at once; the second bounds wake-ups while no broker
/// answers, and how long the end of the thread is waited for.
const FLUSH: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(320));

/// Records on their way from which on further ones are not flushed.
///
/// An idempotent producer of librdkafka sends to a partition only while fewer records than this are on their way
/// there. One that is due earlier has to wait, and the broker's thread meanwhile asks without a pause: most of a core,
/// with brokers that answer after 10 ms. To flush then would gain nothing and cost that.
const ON_THEIR_WAY: usize = 5;

impl Flusher {
    pub(super) fn spawn(client: Arc<Client>) -> io::Result<Self> {
        let shared = Arc::new(Shared { client, flow: Flow::new(now()), stop: AtomicBool::new(false) });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("kafka-flush".into()).spawn(move || theirs.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A frame of `count` records was queued: has them sent now, unless they are to linger. Never blocks.
    pub(super) fn queued(&self, count: usize) {
        if self.shared.flow.add(now()) && self.shared.on_their_way() < count + ON_THEIR_WAY {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, and does not panic.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let reports = || self.client.client().context().progress().reports;
        while !self.stop.load(Ordering::SeqCst) {
            // A wake-up after the look is not lost: then this returns at once.
            thread::park();
            let (mut patience, mut before) = (FLUSH.0, reports());
            while !self.stop.load(Ordering::SeqCst) && !flush(&self.client, patience) {
                if self.on_their_way() >= ON_THEIR_WAY || !self.flow.is_sparse(now()) {
                    break;
                }
                let after = reports();
                patience = if after == before { (patience * 2).min(FLUSH.1) } else { FLUSH.0 };
                before = after;
            }
        }
    }

    /// Records that were not reported, those in librdkafka's queue included.
    fn on_their_way(&self) -> usize {
        usize::try_from(self.client.in_flight_count()).unwrap_or(0)
    }
}

/// Has everything sent that is queued or comes meanwhile, without lingering, and waits until all of it was reported,
/// at most `patience`. Returns whether it was.
///
/// Other than rdkafka's own `flush`, which says so to librdkafka for some microseconds only, ten times a second:
/// mostly too short for a broker's thread to notice.
#[expect(unsafe_code, reason = "rdkafka has no safe call that keeps a flush under way")]
pub(super) fn flush(client: &Client, patience: Duration) -> bool {
    let timeout_ms = c_int::try_from(patience.as_millis()).unwrap_or(c_int::MAX);
    let native = client.client().native_ptr();
    // SAFETY: `native` is a producer's handle that `client` made and destroys when it is dropped; `client` is borrowed
    // until the call has returned. librdkafka's calls may be made from any number of threads (its INTRODUCTION.md,
    // "Threads and callbacks"). The call takes no pointer but the handle and keeps none; as rdkafka receives reports
    // as events, it calls nobody back.
    let code = unsafe { rd_kafka_flush(native, timeout_ms) };
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}
