//! One client of `POST /v1/events`: a connection, and one request at a time on it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep_until, timeout};

use crate::clock;
use crate::link::Dialer;
use crate::plan::{Shared, Timetable};
use crate::schedule::{Schedule, Turn};
use crate::tally::{ClientTally, Live, Tally};

/// An answer takes no longer, as the protocol has it.
const ANSWER: Duration = Duration::from_secs(35);
const ANSWER_BYTES: usize = 1 << 20;

/// One client. Everything in it belongs to one thread.
pub(crate) struct Requester<'a> {
    index: u32,
    shared: &'a Shared,
    dialer: &'a Dialer,
    tally: &'a RefCell<Tally>,
    connection: Option<SendRequest<Full<Bytes>>>,
    settled: ClientTally,
}

#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(serde::Deserialize)]
struct Rejected {
    index: u64,
    code: String,
}

/// What became of a request.
enum Verdict {
    Settled(Vec<Rejected>),
    /// Not taken; worth another try after this.
    Later(Duration),
}

impl<'a> Requester<'a> {
    pub(crate) fn new(index: u32, shared: &'a Shared, dialer: &'a Dialer, tally: &'a RefCell<Tally>) -> Self {
        let settled = ClientTally { client: index, ..ClientTally::default() };
        Self { index, shared, dialer, tally, connection: None, settled }
    }

    /// From the first connection to the last answer; then the tally has what became of it.
    pub(crate) async fn run(mut self, connecting: &tokio::sync::Semaphore) {
        if let Err(why) = self.until_done(connecting).await {
            self.tally.borrow_mut().failed(format!("{why:#}"));
        }
        self.tally.borrow_mut().clients.push(std::mem::take(&mut self.settled));
        Live::add(&self.shared.live.ended, 1);
    }

    async fn until_done(&mut self, connecting: &tokio::sync::Semaphore) -> Result<()> {
        let turn = connecting.acquire().await?;
        self.reconnect().await?;
        drop(turn);
        Live::add(&self.shared.live.connected, 1);
        let mut timetable = self.shared.timetable.subscribe();
        let times = timetable.wait_for(Option::is_some).await?.context("a timetable")?;
        let mut schedule = self.shared.plan.schedule(self.index, times.start);
        loop {
            let times = timetable.borrow_and_update().context("a timetable")?;
            match schedule.turn(clock::now(), times.end) {
                Turn::Due(due) => {
                    schedule.advance();
                    if let Err(why) = self.request(due, times).await {
                        self.miss(due, times, schedule);
                        return Err(why);
                    }
                }
                Turn::Later(due) => {
                    tokio::select! { () = sleep_until(due.into()) => {}, _ = timetable.changed() => {} }
                }
                Turn::Over => break,
            }
        }
        if self.shared.plan.frames.is_none_or(|frames| frames == 0) {
            sleep_until(times.end.into()).await;
        }
        Ok(())
    }

    /// Sends the next events, again and again until they are settled or the time is over.
    async fn request(&mut self, due: Instant, times: Timetable) -> Result<()> {
        let plan = &self.shared.plan;
        let first = self.settled.highest + 1;
        let count = u64::from(plan.batch);
        self.settled.highest += count;
        Live::add(&self.shared.live.sent, count);
        let body = self.body(first);
        let mut broken_since = None;
        loop {
            let broke = match timeout(ANSWER, self.post(first, body.clone())).await {
                Ok(Ok(Verdict::Settled(rejected))) => {
                    self.settle(first, rejected, due, times);
                    return Ok(());
                }
                Ok(Ok(Verdict::Later(pause))) => {
                    broken_since = None;
                    self.pause(pause, times, &anyhow!("the gateway was busy to the end")).await?;
                    None
                }
                Ok(Err(why)) => Some(why),
                Err(_) => Some(anyhow!("no answer in time")),
            };
            if let Some(why) = broke {
                let since = *broken_since.get_or_insert_with(clock::now);
                self.connection = None;
                self.tally.borrow_mut().breaks += 1;
                if clock::now().saturating_duration_since(since) >= plan.reconnect_for {
                    return Err(why);
                }
                self.pause(Duration::from_millis(250), times, &why).await?;
            }
            self.tally.borrow_mut().sent_again += count;
        }
    }

    fn body(&self, first: u64) -> Bytes {
        let plan = &self.shared.plan;
        let mut body = Vec::new();
        for number in first..first + u64::from(plan.batch) {
            plan.payload.append(self.index, number, &mut body);
            body.push(b'\n');
        }
        body.into()
    }

    async fn pause(&self, pause: Duration, times: Timetable, why: &anyhow::Error) -> Result<()> {
        if clock::now() + pause >= times.give_up {
            bail!("{why:#}");
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn post(&mut self, first: u64, body: Bytes) -> Result<Verdict> {
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            self.reconnect().await?;
        }
        let plan = &self.shared.plan;
        let mut request = Request::post("/v1/events")
            .header("host", self.dialer.target.url.authority())
            .header("content-type", "application/x-ndjson");
        if let Some(token) = self.dialer.token() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if plan.numbered {
            request = request
                .header("tidegate-client", plan.client_name(self.index))
                .header("tidegate-epoch", "1")
                .header("tidegate-seq", first);
        }
        if plan.unacknowledged {
            request = request.header("prefer", "respond-async");
        }
        let connection = self.connection.as_mut().context("no connection")?;
        connection.ready().await?;
        let answer = connection.send_request(request.body(Full::new(body))?).await?;
        self.judge(answer).await
    }

    async fn judge(&self, answer: Response<hyper::body::Incoming>) -> Result<Verdict> {
        let status = answer.status();
        let retry_after =
            answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow!("the answer breaks off: {error}"))?.to_bytes();
        if status.is_success() || status == 422 {
            // A service that says nothing but "ok" has taken everything.
            let answer: Option<Answer> = serde_json::from_slice(&body).ok();
            return Ok(Verdict::Settled(answer.map(|answer| answer.rejected).unwrap_or_default()));
        }
        *self.tally.borrow_mut().statuses.entry(status.as_u16()).or_default() += 1;
        match status.as_u16() {
            408 | 409 | 429 | 500 | 502..=504 => {
                Ok(Verdict::Later(Duration::from_secs(retry_after.unwrap_or(1))))
            }
            _ => bail!("answered {status}: {}", String::from_utf8_lossy(body.get(..200).unwrap_or(&body))),
        }
    }

    async fn reconnect(&mut self) -> Result<()> {
        let connecting = async {
            let socket = self.dialer.socket().await?;
            Ok::<_, anyhow::Error>(hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?)
        };
        let named = || format!("cannot connect to {}", self.dialer.target.url.authority());
        let (sender, connection) =
            timeout(ANSWER, connecting).await.with_context(named)?.with_context(named)?;
        tokio::task::spawn_local(connection);
        self.connection = Some(sender);
        Ok(())
    }

    fn settle(&mut self, first: u64, rejected: Vec<Rejected>, due: Instant, times: Timetable) {
        let mut tally = self.tally.borrow_mut();
        let count = u64::from(self.shared.plan.batch);
        let refused = rejected.len() as u64;
        self.settled.upto = first + count - 1;
        for rejected in rejected {
            self.settled.refused.push(first + rejected.index);
            *tally.refusals.entry(rejected.code).or_default() += 1;
        }
        Live::add(&self.shared.live.acknowledged, count - refused.min(count));
        Live::add(&self.shared.live.refused, refused);
        if (times.measure_from..times.end).contains(&due) {
            tally.answered(due, clock::now(), count);
        }
    }

    fn miss(&self, due: Instant, times: Timetable, schedule: Schedule) {
        let mut tally = self.tally.borrow_mut();
        let now = clock::now();
        let times_due = std::iter::once(due).chain(schedule.unmet(times.end));
        times_due
            .filter(|due| (times.measure_from..times.end).contains(due))
            .for_each(|due| tally.missed(due, now, u64::from(self.shared.plan.batch)));
    }
}
