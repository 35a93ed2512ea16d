//! One HTTP request as a session of its own: its events, and an answer once they are durable.

use std::sync::Arc;
use std::time::Duration;

use tidegate_wire::body::BodyError;
use tidegate_wire::{Aliases, Batch, Reason, Reject, limits};
use tokio::sync::{OwnedMutexGuard, oneshot};
use uuid::Uuid;

use super::accounts::Whose;
use super::aggregates::ANSWER_PATIENCE;
use super::budget::{Held, Supply};
use super::core::Core;
use super::hold::Connection;
use super::inflight::{Ended, InFlight, Numbers, Waiting};
use super::ingest::{Prepared, prepare};
use super::need;
use super::numbering::Numbering;
use super::registry::{self, Key, Mode};
use crate::carrier::Carrier;
use crate::listen::link::{Answer, Conflict, Numbering as Headers, Post, Standing};
use crate::outcome::Outcome;
use crate::pipeline::{Ids, Sender, Stamp};

/// When a refused request may come again; the listener adds jitter.
const RETRY_MS: u64 = 1_000;

/// Takes the events of one request and waits until they are durable.
///
/// Cancel safe: what was received settles all the same.
pub(super) async fn post(core: &Arc<Core>, post: Post<'_>) -> Answer {
    let reason = core.reason_now();
    if reason != Reason::Ok {
        return busy(reason);
    }
    let refused = match post.numbering {
        Some(headers) => post.grant.refuses_client(headers.client),
        None => post.grant.refuses_anonymous("send Tidegate-Client, -Epoch and -Seq"),
    };
    if let Some(message) = refused {
        return Answer::Forbidden(message);
    }
    if core.budget.supply() == Supply::Scarce && !post.body.is_empty() {
        return busy(Reason::Memory);
    }
    let batch = match post.kind.clone().parse(post.body, core.pipeline.limits()) {
        Ok(batch) => batch,
        Err(BodyError::NotTheFormat(message)) => return Answer::BadBody(message),
        Err(error @ BodyError::TooManyEvents { .. }) => return Answer::TooLarge(error.to_string()),
    };
    let share = match share(core, &post, &batch) {
        Ok(share) => share,
        Err(refused) => return refused,
    };
    match post.numbering {
        Some(headers) => numbered(core, &post, headers, &batch, share).await,
        None => unnumbered(core, &post, &batch, share).await,
    }
}

/// A share of the budget, of the client's own. A request cannot wait, and is refused sooner than established sessions
/// are held back. One that only asks holds nothing.
fn share(core: &Core, post: &Post<'_>, batch: &Batch<'_>) -> Result<Held, Answer> {
    let tenant = Arc::clone(&post.grant.tenant);
    let account = match post.numbering {
        Some(headers) => {
            let key = Key { tenant, client: headers.client.into() };
            core.registry.account(&key).unwrap_or_else(|| core.accounts.of(Whose::Client(key)))
        }
        None => core.accounts.of(Whose::Nameless { tenant, prefix: core.rates.prefix(post.from) }),
    };
    if batch.count == 0 {
        return Ok(core.budget.nothing(&account));
    }
    let each_bytes = need::each_bytes(core.pipeline.rules().aggregations());
    let (least, most) = (need::least(batch, each_bytes), core.budget.begin_most());
    if least > most {
        return Err(Answer::TooLarge(format!(
            "{} events with {} bytes of payload come to at least {least} bytes in memory, {each_bytes} for each \
             event with them, and this gateway has {most} for requests: limits.budget_bytes less an eighth",
            batch.count, batch.payload_bytes
        )));
    }
    core.budget.try_begin(&account, least).ok_or_else(|| busy(Reason::Memory))
}

async fn unnumbered(core: &Arc<Core>, post: &Post<'_>, batch: &Batch<'_>, share: Held) -> Answer {
    if let Err(wait) = charge(core, post, batch) {
        return wait;
    }
    core.metrics.carrier(Carrier::Https).came(batch.count);
    let source = format!("/{}/anonymous", post.grant.tenant);
    let mut stamp = Stamp::new(super::wall_ms(), &source, None, Ids::Unnumbered(Uuid::now_v7()));
    let (ended, settled) = oneshot::channel();
    let waiting = if post.respond_async { Waiting::Nobody } else { Waiting::Request(ended) };
    let prepared = start(core, post, batch, 0, &mut stamp, waiting);
    if post.respond_async {
        let rejected = prepared.rejected();
        let refused = u32::try_from(rejected.len()).unwrap_or(u32::MAX);
        hand_over(core, prepared, share, None);
        return Answer::Admitted { admitted: batch.count - refused, rejected };
    }
    hand_over(core, prepared, share, None);
    match tokio::time::timeout(patience(), settled).await {
        Ok(Ok(Ended { lost: 0, durable, level, rejected })) => Answer::Durable {
            accepted: durable,
            rejected,
            level: level.unwrap_or_else(|| core.sink.level()),
            standing: None,
        },
        Ok(_) => Answer::Lost,
        Err(_) => Answer::Timeout,
    }
}

async fn numbered(
    core: &Arc<Core>,
    post: &Post<'_>,
    headers: Headers<'_>,
    batch: &Batch<'_>,
    share: Held,
) -> Answer {
    let last = headers.first_seq.saturating_add(u64::from(batch.count).saturating_sub(1));
    if last > limits::NUMBER_MAX {
        return Answer::BadBody(format!("Tidegate-Seq: event numbers go beyond {}", limits::NUMBER_MAX));
    }
    if let Err(wait) = charge(core, post, batch) {
        return wait;
    }
    let request = match Request::attach(core, post, headers) {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let last = if batch.count > 0 { last } else { 0 };
    let settled = async {
        let mut sent = Sent::default();
        if batch.count > 0 {
            sent = request.send(post, headers.first_seq, batch, share).await?;
        }
        if post.respond_async {
            let refused = u32::try_from(sent.rejected_at_once.len()).unwrap_or(u32::MAX);
            return Ok(Answer::Admitted { admitted: batch.count - refused, rejected: sent.rejected_at_once });
        }
        core.aggregates.release(&request.numbering.account, ANSWER_PATIENCE);
        request.settled(last).await?;
        Ok(request.answer(headers.first_seq, batch.count, sent))
    };
    match tokio::time::timeout(patience(), settled).await {
        Ok(Ok(answer) | Err(answer)) => answer,
        Err(_) => Answer::Timeout,
    }
}

/// Takes the events from the rates that they fall under, unless something is owed there. Not before the client's name
/// was judged: nobody uses up another's.
fn charge(core: &Core, post: &Post<'_>, batch: &Batch<'_>) -> Result<(), Answer> {
    let now = super::now();
    post.meter.admit(batch.count.into(), batch.payload_bytes, now).map_err(|wait| {
        core.metrics.rates.limited(wait.limit.label());
        Answer::Busy { reason: wait.reason(), retry_ms: wait.retry_ms(now) }
    })
}

/// What a request has sent.
#[derive(Default)]
struct Sent {
    /// Events at its start whose numbers were received before.
    repeated: u32,
    /// Events that the pipeline refused.
    rejected_at_once: Vec<(u32, Reject)>,
    /// All that were refused, once they have settled.
    refused: Option<oneshot::Receiver<Vec<(u32, Reject)>>>,
}

/// A request's hold on the numbering of its client, given back when dropped.
struct Request<'a> {
    core: &'a Arc<Core>,
    key: Key,
    numbering: Arc<Numbering>,
    connection: Arc<Connection>,
}

impl<'a> Request<'a> {
    fn attach(core: &'a Arc<Core>, post: &Post<'_>, headers: Headers<'_>) -> Result<Self, Answer> {
        let key = Key { tenant: Arc::clone(&post.grant.tenant), client: headers.client.into() };
        let connection = Arc::new(Connection::default());
        let at = (super::now(), super::wall_ms());
        // Where the numbering is known nothing below its own end is given up; a new one starts at the first event.
        let next = headers.first_seq;
        match core.registry.attach(&key, Some(headers.epoch), next, Mode::Request, &connection, at) {
            Ok(attached) => Ok(Self { core, key, numbering: attached.numbering, connection }),
            Err(registry::Conflict::Busy) => Err(Answer::Conflict(Conflict::Busy)),
            Err(registry::Conflict::Lost) => Err(Answer::Lost),
            Err(registry::Conflict::StaleEpoch { known }) => {
                Err(Answer::Conflict(Conflict::StaleEpoch { known }))
            }
        }
    }

    /// Takes the events, in turn: those of an earlier request may still wait for room.
    async fn send(
        &self,
        post: &Post<'_>,
        first_seq: u64,
        batch: &Batch<'_>,
        share: Held,
    ) -> Result<Sent, Answer> {
        let turn = self.numbering.turn().await;
        let bytes = batch.payload_bytes;
        let admission = self.numbering.admit(&self.connection, first_seq, batch.count, bytes);
        let admission = admission.ok_or_else(|| self.refused())?;
        let series = self.core.metrics.carrier(Carrier::Https);
        series.came(batch.count);
        series.ended(Outcome::DuplicateNumber, admission.repeated);
        series.abandoned.inc_by(admission.abandoned);
        let mut sent = Sent { repeated: admission.repeated, ..Sent::default() };
        let Some(frame) = admission.frame else { return Ok(sent) };
        let (tell, refused) = oneshot::channel();
        let waiting = Waiting::Numbers(Numbers {
            numbering: Arc::clone(&self.numbering),
            connection: Arc::clone(&self.connection),
            frame,
            first_seq,
            bytes,
            refused: Some(tell),
        });
        let names = &self.numbering.names;
        let ids = Ids::Numbered { prefix: &names.id_prefix, first_seq };
        let mut stamp =
            Stamp::new(super::wall_ms(), &names.source, Some(&names.key), ids).of(self.numbering.origin);
        let prepared = start(self.core, post, batch, admission.repeated, &mut stamp, waiting);
        sent.rejected_at_once = prepared.rejected();
        sent.refused = Some(refused);
        hand_over(self.core, prepared, share, Some(turn));
        Ok(sent)
    }

    /// Why the numbering took nothing.
    fn refused(&self) -> Answer {
        if self.numbering.is_broken() { Answer::Lost } else { taken_over() }
    }

    /// Waits until everything up to `last`, and whatever else is in flight, has settled.
    async fn settled(&self, last: u64) -> Result<(), Answer> {
        let settled = async {
            while self.numbering.in_flight() > 0 || self.numbering.upto() < last {
                self.connection.settled.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = self.connection.broken.cancelled() => Err(Answer::Lost),
            () = settled => Ok(()),
            () = self.connection.taken_over.cancelled() => Err(taken_over()),
        }
    }

    /// The answer once everything has settled. Of this request's own events the refusals are known; of repeated ones,
    /// those that are still kept.
    fn answer(&self, first_seq: u64, count: u32, sent: Sent) -> Answer {
        let repeated = |seq: u64| u32::try_from(seq - first_seq).ok().filter(|index| *index < sent.repeated);
        let refusals = self.numbering.refusals_from(first_seq).into_iter();
        let mut rejected: Vec<_> = refusals
            .filter_map(|refusal| {
                let index = repeated(refusal.seq)?;
                Some((index, Reject { code: refusal.code, message: String::from(refusal.message).into() }))
            })
            .collect();
        rejected.extend(sent.refused.and_then(|mut refused| refused.try_recv().ok()).unwrap_or_default());
        Answer::Durable {
            accepted: count - u32::try_from(rejected.len()).unwrap_or(count),
            rejected,
            level: self.core.sink.level(),
            standing: Some(Standing {
                upto: self.numbering.upto(),
                limit: self.numbering.limit().seq,
                limit_bytes: u64::from(self.core.pipeline.limits().max_body_bytes),
            }),
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.core.registry.detach(&self.key, &self.numbering, &self.connection, super::now());
    }
}

fn start(
    core: &Arc<Core>,
    post: &Post<'_>,
    batch: &Batch<'_>,
    repeated: u32,
    stamp: &mut Stamp<'_>,
    waiting: Waiting,
) -> Prepared {
    let aliases = Aliases::default();
    let sender = Sender { grant: post.grant, aliases: &aliases };
    let inflight = Box::new(InFlight::new(&core.metrics, Carrier::Https, super::now(), waiting));
    prepare(core, Carrier::Https, batch.iter(), repeated, sender, stamp, inflight)
}

/// Hands the events over, in a task of their own if that takes time: the request may be given up, they may not.
fn hand_over(core: &Arc<Core>, prepared: Prepared, share: Held, turn: Option<OwnedMutexGuard<()>>) {
    let account = Arc::clone(share.account());
    let rest = prepared.offer(core, share);
    core.aggregates.release(&account, ANSWER_PATIENCE);
    if let Some(rest) = rest {
        let core = Arc::clone(core);
        tokio::spawn(async move {
            rest.finish(&core, |_| {}).await;
            drop(turn);
        });
    }
}

fn patience() -> Duration {
    Duration::from_millis(limits::ANSWER_TIMEOUT_MS)
}

fn busy(reason: Reason) -> Answer {
    Answer::Busy { reason, retry_ms: RETRY_MS }
}

fn taken_over() -> Answer {
    Answer::Conflict(Conflict::TakenOver)
}
