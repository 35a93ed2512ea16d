//! A run: threads of clients, and one that watches them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::clock;
use crate::link::Dialer;
use crate::outage::Seen;
use crate::pacer::Pacer;
use crate::plan::{Plan, Shared, Timetable};
use crate::progress::Progress;
use crate::requests::Requester;
use crate::session::Client;
use crate::tally::{Live, Tally};
use crate::target::{Carrier, Target};
use crate::usage::Process;

/// Handshakes that one thread has under way at once: more would time each other out.
const CONNECTING: usize = 32;

/// What to run, besides the plan.
pub(crate) struct Run {
    pub(crate) target: Target,
    pub(crate) token: Option<String>,
    pub(crate) threads: u32,
    pub(crate) times: Times,
    /// The process to count the cost of.
    pub(crate) pid: Option<Process>,
    /// Whoever wants a look when the window begins and ends, such as at the topic.
    pub(crate) observe: Option<Observer>,
}

/// Called as the window begins and as it ends; what is counted is theirs.
pub(crate) type Observer = Box<dyn Fn() -> Result<u64>>;

/// How long the parts of a run take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// For all clients to connect.
    pub(crate) connect: Duration,
    pub(crate) warm_up: Duration,
    /// Measured.
    pub(crate) duration: Duration,
    /// For what was sent to settle.
    pub(crate) grace: Duration,
}

/// What was measured between the end of the warm-up and the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    pub(crate) seconds: f64,
    /// Events acknowledged or refused in it.
    pub(crate) acknowledged: u64,
    pub(crate) sent: u64,
    /// CPU of the process.
    pub(crate) cpu_seconds: Option<f64>,
    /// Its memory in the end.
    pub(crate) resident_bytes: Option<u64>,
    /// How far the observer's count went up.
    pub(crate) observed: Option<u64>,
}

/// All of a run.
pub(crate) struct Outcome {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tally: Tally,
    pub(crate) window: Window,
    /// Before the first client connected.
    pub(crate) resident_before: Option<u64>,
    pub(crate) outage: Option<Seen>,
}

/// A look at the counts.
struct Look {
    at: Instant,
    acknowledged: u64,
    sent: u64,
    cpu: Option<Duration>,
    observed: Option<u64>,
}

impl Run {
    /// Runs to the end, which may be an early one: then [`Shared::broken_off`] says why. An error is what prevented it
    /// from starting, such as a client that could not connect.
    pub(crate) fn run(self, plan: Plan) -> Result<Outcome> {
        let resident_before = self.pid.map(Process::resident_bytes).transpose()?;
        let shared = Arc::new(Shared::new(plan));
        let progress = Progress::new(shared.plan.clients);
        break_off_on_signal(&shared)?;
        let threads: Vec<_> =
            (0..self.threads).map(|index| self.spawn(index, &shared)).collect::<Result<_>>()?;
        let has_started = self.connected(&shared, &progress);
        let (window, outage) =
            if has_started { self.conduct(&shared, &progress) } else { (Window::default(), None) };
        let mut tally = Tally::new();
        for thread in threads {
            match thread.join().map_err(|_| anyhow!("a thread of clients panicked"))? {
                Ok(seen) => tally.merge(seen),
                Err(why) => tally.failed(format!("{why:#}")),
            }
        }
        if let Some(times) = *shared.timetable.borrow() {
            tally.close(times, u64::from(shared.plan.batch), clock::now(), shared.plan.outage);
        }
        progress.finish();
        if !has_started {
            let why = shared.broken_off.get().cloned().unwrap_or_default();
            return Err(tally
                .failures
                .first()
                .map_or_else(|| anyhow!("{why}"), |first| anyhow!("{why}: {first}")));
        }
        Ok(Outcome { shared, tally, window, resident_before, outage })
    }

    fn spawn(&self, index: u32, shared: &Arc<Shared>) -> Result<thread::JoinHandle<Result<Tally>>> {
        let (target, token, threads) = (self.target.clone(), self.token.clone(), self.threads);
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new().name(format!("clients-{index}"));
        Ok(thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, clients(target, token, index, threads, &shared))
        })?)
    }

    /// Sets the times, and looks at what happens. What cannot be looked at cuts the run short.
    fn conduct(&self, shared: &Arc<Shared>, progress: &Progress) -> (Window, Option<Seen>) {
        let start = clock::now();
        let measure_from = start + self.times.warm_up;
        let end = measure_from + self.times.duration;
        let times = Timetable { start, measure_from, end, give_up: end + self.times.grace };
        shared.timetable.send_modify(|timetable| {
            // A run that was cut short while it connected stays so.
            timetable.get_or_insert(times);
        });
        let outage = shared.plan.outage.map(|outage| outage.start(shared, times));
        self.wait(shared, progress, measure_from);
        let first = self.look(shared);
        self.wait(shared, progress, end);
        let last = self.look(shared);
        let resident_bytes = self.pid.and_then(|pid| pid.resident_bytes().ok());
        self.wait(shared, progress, times.give_up);
        let outage = outage.map(|started| {
            let thread = started?;
            thread.join().map_err(|_| anyhow!("the thread of the outage panicked"))?
        });
        match (first, last, outage.transpose()) {
            (Ok(first), Ok(last), Ok(outage)) => {
                (Window { resident_bytes, ..Window::between(&first, &last) }, outage)
            }
            (Err(why), _, _) | (_, Err(why), _) | (_, _, Err(why)) => {
                shared.break_off(format!("cannot measure: {why:#}"), clock::now());
                (Window::default(), None)
            }
        }
    }

    /// Waits for all connections. Where one fails the run is cut short.
    fn connected(&self, shared: &Arc<Shared>, progress: &Progress) -> bool {
        let deadline = clock::now() + self.times.connect;
        let clients = u64::from(shared.plan.clients);
        while Live::get(&shared.live.connected) < clients {
            progress.show(&shared.live, 0.0);
            if shared.broken_off.get().is_some() {
                return false;
            }
            if Live::get(&shared.live.ended) > 0 {
                shared.break_off("a client could not start".into(), clock::now());
                return false;
            }
            if clock::now() > deadline {
                let connected = Live::get(&shared.live.connected);
                shared.break_off(
                    format!("only {connected} of {clients} clients could connect in time"),
                    clock::now(),
                );
                return false;
            }
            thread::sleep(TICK);
        }
        true
    }

    /// Until `until`, or all clients are through, which they are soon after the run was cut short.
    fn wait(&self, shared: &Arc<Shared>, progress: &Progress, until: Instant) {
        let clients = u64::from(shared.plan.clients);
        let mut stall = Stall { seen: (0, 0), since: clock::now() };
        while Live::get(&shared.live.ended) < clients {
            let now = clock::now();
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            progress.show(&shared.live, shared.progress(now));
            // A number of events has no end in time: where nothing happens any more there is one.
            if shared.plan.total().is_some() && stall.lasts(&shared.live, now) > self.times.grace {
                shared.break_off(format!("nothing was answered for {:?}", self.times.grace), now);
            }
            thread::sleep(TICK.min(left));
        }
    }

    fn look(&self, shared: &Arc<Shared>) -> Result<Look> {
        Ok(Look {
            at: clock::now(),
            acknowledged: Live::get(&shared.live.acknowledged) + Live::get(&shared.live.refused),
            sent: Live::get(&shared.live.sent),
            // A process that was killed on purpose has no cost any more.
            cpu: self.pid.and_then(|pid| pid.cpu().ok()),
            observed: self.observe.as_ref().map(|observe| observe()).transpose()?,
        })
    }
}

impl Window {
    fn between(first: &Look, last: &Look) -> Self {
        Self {
            seconds: last.at.saturating_duration_since(first.at).as_secs_f64(),
            acknowledged: last.acknowledged - first.acknowledged,
            sent: last.sent - first.sent,
            cpu_seconds: last
                .cpu
                .zip(first.cpu)
                .map(|(last, first)| last.saturating_sub(first).as_secs_f64()),
            resident_bytes: None,
            observed: last.observed.zip(first.observed).map(|(last, first)| last.saturating_sub(first)),
        }
    }
}

/// Since when nothing has happened.
struct Stall {
    /// Events sent, and events answered.
    seen: (u64, u64),
    since: Instant,
}

impl Stall {
    /// How long nothing was sent or answered, though answers were due.
    fn lasts(&mut self, live: &Live, now: Instant) -> Duration {
        let seen = (Live::get(&live.sent), Live::get(&live.acknowledged) + Live::get(&live.refused));
        if seen != self.seen || seen.0 == seen.1 {
            *self = Self { seen, since: now };
        }
        now.saturating_duration_since(self.since)
    }
}

/// Ctrl-C ends a run early, and what it saw is still said; a second one ends the process.
fn break_off_on_signal(shared: &Arc<Shared>) -> Result<()> {
    let shared = Arc::clone(shared);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut interrupts = {
        let _entered = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    // Ends with the process.
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(interrupts.recv());
        shared.break_off("interrupted".into(), clock::now());
        runtime.block_on(interrupts.recv());
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing is left to be said: whoever interrupts twice does not wait"
        )]
        std::process::exit(130);
    })?;
    Ok(())
}

/// What a client is made from, over whichever carrier.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// Its number, from 0.
    pub(crate) index: u32,
    /// What all clients have in common.
    pub(crate) shared: &'a Shared,
    pub(crate) dialer: &'a Dialer,
    /// What those of its thread have in common.
    pub(crate) tally: &'a RefCell<Tally>,
    pub(crate) pacer: &'a Pacer,
}

/// How often the run is looked at.
const TICK: Duration = Duration::from_millis(50);

/// One thread's share of the clients.
async fn clients(
    target: Target,
    token: Option<String>,
    index: u32,
    threads: u32,
    shared: &Arc<Shared>,
) -> Result<Tally> {
    let carrier = shared.plan.carrier;
    let dialer = Rc::new(Dialer::new(target, carrier, token).context("cannot start the clients")?);
    let tally = Rc::new(RefCell::new(Tally::new()));
    let connecting = Rc::new(Semaphore::new(CONNECTING));
    let pacer = Rc::new(Pacer::new()?);
    let mut tasks = tokio::task::JoinSet::new();
    for index in (index..shared.plan.clients).step_by(threads.max(1) as usize) {
        let (shared, dialer, tally) = (Arc::clone(shared), Rc::clone(&dialer), Rc::clone(&tally));
        let (connecting, pacer) = (Rc::clone(&connecting), Rc::clone(&pacer));
        tasks.spawn_local(async move {
            let parts = Parts { index, shared: &shared, dialer: &dialer, tally: &tally, pacer: &pacer };
            if carrier == Carrier::Https {
                Requester::new(parts).run(&connecting).await;
            } else {
                Client::new(parts).run(&connecting).await;
            }
        });
    }
    let ended = async {
        while let Some(ended) = tasks.join_next().await {
            ended.context("a client panicked")?;
        }
        anyhow::Ok(())
    };
    tokio::select! { ended = ended => ended?, Err(why) = pacer.run() => return Err(why) }
    dialer.finish().await;
    match Rc::try_unwrap(tally) {
        Ok(tally) => Ok(tally.into_inner()),
        Err(_) => bail!("a client is still there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_lasts_while_nothing_is_sent_or_answered_and_something_is_open() {
        let (live, start) = (Live::default(), clock::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stall = Stall { seen: (0, 0), since: start };
        assert_eq!(stall.lasts(&live, at(5)), Duration::ZERO, "nothing is open");
        Live::add(&live.sent, 10);
        assert_eq!(stall.lasts(&live, at(6)), Duration::ZERO);
        assert_eq!(stall.lasts(&live, at(9)), Duration::from_secs(3));
        Live::add(&live.refused, 1);
        assert_eq!(stall.lasts(&live, at(10)), Duration::ZERO);
        Live::add(&live.acknowledged, 9);
        assert_eq!(
            (stall.lasts(&live, at(11)), stall.lasts(&live, at(20))),
            (Duration::ZERO, Duration::ZERO)
        );
    }
}
