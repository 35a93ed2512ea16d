//! One client of `POST /v1/events`: a connection, and one request at a time on it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response, http::request};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::link::Dialer;
use crate::pacer::Pacer;
use crate::plan::Shared;
use crate::run::Parts;
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
    pacer: &'a Pacer,
    connection: Option<SendRequest<Full<Bytes>>>,
    settled: ClientTally,
    schedule: Option<Schedule>,
    /// The events under way were due then.
    open: Option<Instant>,
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
    /// Not taken, and never will be.
    Never(anyhow::Error),
}

impl<'a> Requester<'a> {
    pub(crate) fn new(parts: Parts<'a>) -> Self {
        let Parts { index, shared, dialer, tally, pacer } = parts;
        let settled = ClientTally { client: index, ..ClientTally::default() };
        Self { index, shared, dialer, tally, pacer, connection: None, settled, schedule: None, open: None }
    }

    /// From the first connection to the last answer; then the tally has what became of it.
    pub(crate) async fn run(mut self, connecting: &Semaphore) {
        let shared = self.shared;
        let result = tokio::select! {
            result = self.until_done(connecting) => result,
            () = shared.given_up() => self.given_up(),
        };
        let mut tally = self.tally.borrow_mut();
        if let Err(why) = result {
            tally.failed(format!("{why:#}"));
        }
        let open = self.open.map(|due| (due, u64::from(shared.plan.batch)));
        tally.unanswered(open.into_iter().collect(), self.schedule);
        tally.clients.push(self.settled);
        Live::add(&shared.live.ended, 1);
    }

    /// The due times of everything that had no answer, with how many events.
    fn unanswered(&self) -> impl Iterator<Item = (Instant, u64)> + use<> {
        let (plan, times) = (&self.shared.plan, *self.shared.timetable.borrow());
        let open = self.open.map(|due| (due, u64::from(plan.batch)));
        let unmet: Vec<_> =
            self.schedule.into_iter().flat_map(|schedule| plan.unmet(schedule, times)).collect();
        open.into_iter().chain(unmet)
    }

    /// What is wrong with a client that the end of the run has stopped.
    fn given_up(&self) -> Result<()> {
        let open: u64 = self.unanswered().map(|(_, count)| count).sum();
        anyhow::ensure!(open == 0, "{open} events that were due had no answer in time");
        Ok(())
    }

    async fn until_done(&mut self, connecting: &Semaphore) -> Result<()> {
        let turn = connecting.acquire().await?;
        self.reconnect().await?;
        self.ask().await.map_err(|why| self.dialer.explained(why))?;
        drop(turn);
        Live::add(&self.shared.live.connected, 1);
        let mut timetable = self.shared.timetable.subscribe();
        let start = timetable.wait_for(Option::is_some).await?.context("a timetable")?.start;
        self.schedule = Some(self.shared.plan.schedule(self.index, start));
        loop {
            let times = timetable.borrow_and_update().context("a timetable")?;
            let now = clock::now();
            let until = match self.schedule.map(|schedule| schedule.turn(now, times.end)) {
                Some(Turn::Due(due)) => {
                    self.schedule.as_mut().into_iter().for_each(Schedule::advance);
                    self.open = Some(due);
                    self.deliver(due).await?;
                    self.open = None;
                    continue;
                }
                Some(Turn::Later(due)) => due,
                Some(Turn::Over) | None if self.shared.plan.stays_to_the_end() && now < times.end => {
                    times.end
                }
                Some(Turn::Over) | None => return Ok(()),
            };
            tokio::select! { () = self.pacer.until(until) => {}, _ = timetable.changed() => {} }
        }
    }

    /// Sends nothing, to hear now whether requests are welcome at all. A gateway that is busy is not asked twice.
    async fn ask(&mut self) -> Result<()> {
        let request = self.request(1).body(Full::default())?;
        match timeout(ANSWER, self.send(request)).await.context("no answer in time")?? {
            Verdict::Never(why) => Err(why),
            Verdict::Settled(_) | Verdict::Later(_) => Ok(()),
        }
    }

    /// Sends the next events, again and again until they are settled.
    async fn deliver(&mut self, due: Instant) -> Result<()> {
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
                    self.settle(first, rejected, due);
                    return Ok(());
                }
                Ok(Ok(Verdict::Never(why))) => return Err(why),
                Ok(Ok(Verdict::Later(pause))) => {
                    broken_since = None;
                    sleep(pause).await;
                    None
                }
                Ok(Err(why)) => Some(why),
                Err(_) => Some(anyhow!("no answer in time")),
            };
            if let Some(why) = broke {
                let since = *broken_since.get_or_insert_with(clock::now);
                if self.connection.take().is_some() {
                    self.tally.borrow_mut().breaks += 1;
                }
                if clock::now().saturating_duration_since(since) >= plan.reconnect_for {
                    return Err(why);
                }
                sleep(Duration::from_millis(250)).await;
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

    async fn post(&mut self, first: u64, body: Bytes) -> Result<Verdict> {
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            self.reconnect().await?;
        }
        let mut request = self.request(first);
        if self.shared.plan.unacknowledged {
            request = request.header("prefer", "respond-async");
        }
        self.send(request.body(Full::new(body))?).await
    }

    /// One whose first event, if it has any, is of that number.
    fn request(&self, first: u64) -> request::Builder {
        let plan = &self.shared.plan;
        let mut request = Request::post("/v1/events")
            .header("host", self.dialer.target.url.authority())
            .header("content-type", "application/x-ndjson");
        if plan.numbered {
            request = request
                .header("tidegate-client", plan.client_name(self.index))
                .header("tidegate-epoch", plan.epoch)
                .header("tidegate-seq", first);
        }
        match self.dialer.token() {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Verdict> {
        let connection = self.connection.as_mut().context("no connection")?;
        connection.ready().await?;
        let answer = connection.send_request(request).await?;
        self.judge(answer).await
    }

    async fn judge(&self, answer: Response<hyper::body::Incoming>) -> Result<Verdict> {
        let status = answer.status();
        let retry_after =
            answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow!("the answer breaks off: {error}"))?.to_bytes();
        if status.is_success() || status == 422 {
            if status == 200 && body.is_empty() {
                // A service that says nothing but "ok" has taken everything.
                return Ok(Verdict::Settled(Vec::new()));
            }
            let answer: Answer = serde_json::from_slice(&body)
                .map_err(|error| anyhow!("{status} with an answer that is none: {error}"))?;
            return Ok(Verdict::Settled(answer.rejected));
        }
        *self.tally.borrow_mut().statuses.entry(status.as_u16()).or_default() += 1;
        match status.as_u16() {
            408 | 409 | 429 | 500 | 502..=504 => {
                Ok(Verdict::Later(Duration::from_secs(retry_after.unwrap_or(1))))
            }
            _ => Ok(Verdict::Never(anyhow!("the gateway answered {status}{}", detail(&body)))),
        }
    }

    async fn reconnect(&mut self) -> Result<()> {
        let connecting = async {
            let socket = self.dialer.socket().await?;
            Ok::<_, anyhow::Error>(hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?)
        };
        let named = || format!("cannot connect to {}", self.dialer.target.url.authority());
        let (sender, connection) = timeout(ANSWER, connecting)
            .await
            .with_context(named)?
            .map_err(|why| self.dialer.explained(why))
            .with_context(named)?;
        tokio::task::spawn_local(connection);
        self.connection = Some(sender);
        Ok(())
    }

    fn settle(&mut self, first: u64, rejected: Vec<Rejected>, due: Instant) {
        let mut tally = self.tally.borrow_mut();
        let plan = &self.shared.plan;
        let count = u64::from(plan.batch);
        let refused = (rejected.len() as u64).min(count);
        for rejected in rejected {
            self.settled.refused.push(first + rejected.index);
            *tally.refusals.entry(rejected.code).or_default() += 1;
        }
        Live::add(&self.shared.live.refused, refused);
        // What was only admitted is promised to nobody.
        if !plan.unacknowledged {
            self.settled.upto = first + count - 1;
            Live::add(&self.shared.live.acknowledged, count - refused);
        }
        if self.shared.is_measured(due) {
            tally.answered_in(self.shared.phase(due), due, clock::now(), count);
        }
    }
}

/// What a problem document (RFC 9457) says.
fn detail(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    detail.map(|detail| format!(": {detail}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_by_its_detail() {
        assert_eq!(detail(br#"{"type":"about:blank","detail":"no such token"}"#), ": no such token");
        assert_eq!(detail(b"<html>"), "");
    }
}
