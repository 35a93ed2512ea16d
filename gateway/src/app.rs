//! Assembly, in order; the only file that knows everything.

mod announce;
mod destination;
mod rules;
mod schemas;
mod signals;
mod sockets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt as _;
use prometheus_client::registry::Registry;
use tidegate_wire::{Limits, Reason, limits};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::announce::announce;
use self::destination::Destination;
use self::rules::{Refused, Reload};
use self::schemas::Schemas;
use self::signals::Signals;
use self::sockets::{Sockets, first_port};
use crate::access::Access;
use crate::config::{self, Config, Loaded};
use crate::deliver::log::Follow;
use crate::deliver::{Health, Sink};
use crate::listen::http::{Arrivals, Discovery, Http, PublicUrl, Settings};
use crate::listen::quic_key::QuicKey;
use crate::listen::tls::Certificates;
use crate::listen::{tcp, udp};
use crate::metrics::Metrics;
use crate::ops::{Ops, Readiness};
use crate::pipeline::Pipeline;
use crate::rates::Rates;
use crate::session::{Parts, Sessions};

/// How often the destination's health is looked at for clients that wait.
const HEALTH_EVERY: Duration = Duration::from_millis(100);
/// Of the drain's time, what is left for the destination and the connections once sessions have been ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves until SIGTERM or SIGINT, then drains; a second signal ends the drain at once. Errors are of the start, what
/// cannot be bound, read or made, and of a drain that was ended.
pub async fn run(loaded: &Loaded) -> Result<()> {
    let mut signals = Signals::listen()?;
    let gateway = Gateway::start(loaded)?;
    signals.next().await;
    tokio::select! {
        () = gateway.stop() => Ok(()),
        () = signals.insist() => {
            bail!("a second signal has ended the drain: what had not settled is not acknowledged")
        }
    }
}

/// A gateway that serves.
struct Gateway {
    sessions: Sessions,
    sink: Arc<dyn Sink>,
    /// The gateway is going away: not ready.
    leaving: CancellationToken,
    /// Closes the doors to TCP clients.
    doors: CancellationToken,
    /// Ends the listeners.
    shutdown: CancellationToken,
    tasks: TaskTracker,
    times: config::Shutdown,
    snapshot: PathBuf,
}

/// What every listener needs.
struct Common {
    sessions: Sessions,
    access: Arc<Access>,
    rates: Arc<Rates>,
    metrics: Metrics,
    limits: Limits,
    connections: Arc<Semaphore>,
    /// Why the configuration file is not what is in use.
    refused: Refused,
    schemas: Schemas,
}

impl Gateway {
    fn start(loaded: &Loaded) -> Result<Self> {
        let config = &loaded.config;
        let (metrics, mut registry) = Metrics::register();
        let topics: Arc<[String]> = config.topics().into();
        let written = written_topics(config);
        let schemas = Schemas::new(config)?;
        let access = Arc::new(Access::new(&config.auth, &config.origins, &topics));
        let max_event_bytes = config.limits.max_event_bytes.0;
        let rates = Arc::new(Rates::new(&config.rates, max_event_bytes, &metrics.rates, clock()));
        let certificates = Certificates::load(config.tls.as_ref(), wall_clock())?;
        let sockets = Sockets::bind(&config.listen)?;
        let Destination { sink, encodes, budget_bytes } = destination::open(config, &metrics, &written)?;
        let limits = wire_limits(&config.limits);
        let pipeline =
            Pipeline::with_schemas(limits, &config.routes, &written, encodes, Arc::clone(&schemas.subjects))
                .context("the rules of the routes")?;
        let pipeline = Arc::new(pipeline);
        rules::count(&pipeline, &mut registry);
        let reload = Reload::new(loaded, Arc::clone(&pipeline), metrics.reloads.clone())?;
        let (reasons, reason) = watch::channel(Reason::Ok);
        let sessions = Sessions::new(Parts {
            metrics: Arc::new(metrics.clone()),
            pipeline,
            sink: Arc::clone(&sink),
            access: Arc::clone(&access),
            rates: Arc::clone(&rates),
            limits: config::Limits { budget_bytes, ..config.limits.clone() },
            shutdown: config.shutdown.clone(),
            reason,
        });
        let connections = Arc::new(Semaphore::new(config.limits.connections as usize));
        let gateway = Self {
            sessions: sessions.clone(),
            sink: Arc::clone(&sink),
            leaving: CancellationToken::new(),
            doors: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            times: config.shutdown.clone(),
            snapshot: config.sessions.snapshot.clone(),
        };
        let has_snapshot = !gateway.snapshot.as_os_str().is_empty();
        if has_snapshot {
            gateway.sessions.restore(&gateway.snapshot);
        }
        gateway.tasks.spawn(report_health(sessions.clone(), reasons, gateway.shutdown.clone()));
        schemas.fetch(&gateway.tasks, &metrics.schemas, &mut registry, &gateway.shutdown);
        let aggregated = sessions.clone();
        gateway.tasks.spawn(async move { aggregated.aggregate().await });
        let refused = reload.refused();
        gateway.tasks.spawn(reload.watch(gateway.shutdown.clone()));
        let common = Common { sessions, access, rates, metrics, limits, connections, refused, schemas };
        announce(config, &sockets, &topics);
        gateway.serve(config, sockets, certificates, common, registry)?;
        // Not before: a start that fails leaves it as it was.
        if has_snapshot {
            gateway.sessions.use_up(&gateway.snapshot);
        }
        Ok(gateway)
    }

    fn serve(
        &self,
        config: &Config,
        sockets: Sockets,
        certificates: Certificates,
        common: Common,
        registry: Registry,
    ) -> Result<()> {
        let (tcp_tls, quic_tls) = (certificates.tcp()?, certificates.quic()?);
        let certificates = Arc::new(certificates);
        let http = http(config, &sockets, &common, Arc::clone(&certificates));
        let idle_ms = config.limits.idle_ms;
        let Common { sessions, access, rates, metrics, limits, connections, refused, schemas } = common;
        let entrance = |listeners: Vec<std::net::TcpListener>, tls| -> Result<tcp::Entrance> {
            let listeners =
                listeners.into_iter().map(TcpListener::from_std).collect::<std::io::Result<_>>()?;
            let (connections, rates) = (Arc::clone(&connections), Arc::clone(&rates));
            Ok(tcp::Entrance { listeners, tls, connections, rates, patience: tcp::Patience::default() })
        };
        let secure = entrance(sockets.secure.tcp, Some(tcp_tls))?;
        self.tasks.spawn(tcp::serve(secure, http.secure(), metrics.clone(), self.doors.clone()));
        let plain = entrance(sockets.plain, None)?;
        let demo = config.demo.directory.as_deref();
        self.tasks.spawn(tcp::serve(
            plain,
            http.plain(demo, arrivals(config)),
            metrics.clone(),
            self.doors.clone(),
        ));
        let udp = udp::Entrance {
            sockets: sockets.secure.udp,
            tls: quic_tls,
            key: QuicKey::load(&config.listen.quic_key),
            connections: Arc::clone(&connections),
            rates: Arc::clone(&rates),
            limits,
            prefix: config.listen.prefix.clone(),
            patience: udp::Patience::new(idle_ms),
        };
        let (sessions, shutdown) = (sessions.clone(), self.shutdown.clone());
        let readiness = readiness(Arc::clone(&self.sink), self.leaving.clone(), refused, schemas);
        let series = metrics.clone();
        self.tasks.spawn(async move {
            if let Err(error) = udp::serve(udp, sessions, access, series, shutdown).await {
                tracing::error!(%error, "QUIC and WebTransport are not served");
            }
        });
        let (watched, shutdown) = (certificates, self.shutdown.clone());
        self.tasks.spawn(async move { watched.watch(wall_clock, shutdown).await });
        let ops = entrance(sockets.ops, None)?;
        // An operator must get in when clients have used up every connection.
        let connections = Arc::new(Semaphore::new(OPS_CONNECTIONS));
        let ops = tcp::Entrance { connections, rates: Arc::new(Rates::none(clock())), ..ops };
        self.tasks.spawn(tcp::serve(ops, Ops::new(registry, readiness), metrics, self.shutdown.clone()));
        self.tasks.close();
        Ok(())
    }

    /// Goes away, within the configured time: not ready, then closed to newcomers, everybody is asked to leave, what was
    /// received settles, the destination is flushed, and how far clients are is kept.
    async fn stop(self) {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        let deadline = clock() + ms(self.times.drain_ms);
        let left = || deadline.saturating_duration_since(clock());
        self.leaving.cancel();
        tracing::info!(within_ms = self.times.drain_ms, grace_ms = self.times.grace_ms, "draining");
        tokio::time::sleep(ms(self.times.grace_ms)).await;
        let lost_before = self.sessions.lost();
        self.doors.cancel();
        self.sessions.drain();
        let patience = left().saturating_sub(LAST_WORDS);
        if tokio::time::timeout(patience, self.sessions.ended()).await.is_err() {
            tracing::warn!("the drain deadline has come before everything received had settled");
            self.sink.hand_over(LAST_WORDS / 2).await;
        }
        self.sessions.close();
        self.shutdown.cancel();
        self.sink.drain(left().max(LAST_WORDS / 2)).await;
        let unsettled = self.sessions.in_flight() + self.sessions.lost() - lost_before;
        if unsettled > 0 {
            tracing::warn!(
                unsettled,
                "events that were received have not settled: they stay with their clients"
            );
        }
        self.keep_sessions(left().max(LAST_WORDS / 2)).await;
        // What does not end by itself ends with the process.
        let _ = tokio::time::timeout(left().max(LAST_WORDS / 2), self.tasks.wait()).await;
        tracing::info!("stopped");
    }

    /// Leaves how far clients are to the gateway that comes after this one, if the disk takes it within `patience`.
    async fn keep_sessions(&self, patience: Duration) {
        if self.snapshot.as_os_str().is_empty() {
            return;
        }
        let (sessions, path) = (self.sessions.clone(), self.snapshot.clone());
        let (done, kept) = oneshot::channel();
        // Not a task of the runtime, whose end would wait for it.
        std::thread::spawn(move || {
            sessions.keep(&path);
            let _ = done.send(());
        });
        if tokio::time::timeout(patience, kept).await.is_err() {
            tracing::warn!("sessions.snapshot was not written in time: clients may repeat what they sent");
        }
    }
}

/// Connections to the operators' port at once.
const OPS_CONNECTIONS: usize = 64;

/// What the demo page is shown: what comes into the log. Kafka is not read back.
fn arrivals(config: &Config) -> Option<Arc<Arrivals>> {
    if config.kafka.is_some() || config.demo.directory.is_none() {
        return None;
    }
    let follow = Follow::new(&config.log.directory);
    Some(Arc::new(move |after| {
        let follow = follow.clone();
        Box::pin(async move {
            let lines = follow.lines(after).await.map_err(|error| error.to_string())?;
            Ok(lines.boxed())
        })
    }))
}

fn http(
    config: &Config,
    sockets: &Sockets,
    common: &Common,
    certificates: Arc<Certificates>,
) -> Http<Sessions> {
    let prefix = config.listen.prefix.clone();
    let discovery = Discovery {
        public: public_url(&config.listen.public_url),
        secure_port: first_port(&sockets.secure.tcp),
        prefix: prefix.clone(),
        limits: common.limits,
        exclude: config.discovery.exclude.clone(),
        hashes: Box::new(move || certificates.hashes()),
    };
    let settings = Settings {
        prefix,
        limits: common.limits,
        bodies_bytes: config.limits.budget_bytes.0,
        body_patience: Duration::from_millis(limits::BODY_TIMEOUT_MS),
    };
    Http::new(
        common.sessions.clone(),
        Arc::clone(&common.access),
        Arc::clone(&common.rates),
        common.metrics.clone(),
        discovery,
        settings,
    )
}

/// Tells sessions what holds credit back, until `shutdown`.
async fn report_health(sessions: Sessions, reasons: watch::Sender<Reason>, shutdown: CancellationToken) {
    loop {
        let reason = sessions.reason_now();
        reasons.send_if_modified(|told| std::mem::replace(told, reason) != reason);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(HEALTH_EVERY) => {}
        }
    }
}

/// The topics that records may be written to: the routes', and with Kafka those of dead letters after them.
fn written_topics(config: &Config) -> Arc<[String]> {
    match &config.kafka {
        Some(_) => config.kafka_topics().into_iter().map(|topic| topic.name).collect(),
        None => config.topics().into(),
    }
}

fn readiness(
    sink: Arc<dyn Sink>,
    leaving: CancellationToken,
    refused: Refused,
    schemas: Schemas,
) -> Arc<dyn Fn() -> Readiness + Send + Sync> {
    Arc::new(move || {
        let mut why = Vec::new();
        if leaving.is_cancelled() {
            why.push("the gateway is shutting down".to_owned());
        }
        let mut beside = None;
        match sink.health() {
            Health::Ready => {}
            Health::Away { detail, .. } | Health::Impaired { detail } => why.push(detail),
            Health::Partly { detail } => beside = Some(detail),
        }
        let (awaited, stale) = schemas.notes();
        why.extend(awaited);
        let ready = why.is_empty();
        why.extend(beside);
        why.extend(stale);
        why.extend(sink.note());
        why.extend(refused.why());
        Readiness { ready, why }
    })
}

fn public_url(url: &str) -> Option<PublicUrl> {
    let authority = url.strip_prefix("https://")?;
    match authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => Some(PublicUrl { host: host.to_owned(), port }),
        None => Some(PublicUrl { host: authority.to_owned(), port: 443 }),
    }
}

/// What the wire format is held to. Configured sizes are within the protocol's limits, so nothing is cut off here.
fn wire_limits(limits: &config::Limits) -> Limits {
    let size = |size: config::ByteSize| u32::try_from(size.0).unwrap_or(u32::MAX);
    Limits {
        max_event_bytes: size(limits.max_event_bytes),
        max_frame_bytes: size(limits.max_frame_bytes),
        max_batch_events: limits.max_batch_events,
        max_body_bytes: size(limits.max_body_bytes),
        max_inflated_body_bytes: size(limits.max_inflated_body_bytes),
        ..Limits::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates are dated by the wall clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "rates are counted from the start, and the drain has a deadline"
)]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_has_a_port_even_when_it_does_not_say_so() {
        let url = public_url("https://in.example.com").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("in.example.com", 443));
        let url = public_url("https://in.example.com:8443").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("in.example.com", 8443));
        assert!(public_url("").is_none());
    }

    #[test]
    fn configured_sizes_reach_the_wire() {
        let configured = config::Limits { max_batch_events: 7, ..config::Limits::default() };
        let limits = wire_limits(&configured);
        assert_eq!((limits.max_batch_events, limits.max_event_bytes), (7, 256 << 10));
    }
}
