//! Schemas of a registry: asked for in the background, so that events are judged by what is there.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prometheus_client::registry::Registry as Series;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock;
use crate::config::Config;
use crate::metrics::schemas::{self, SchemaAge, SchemaSeries};
use crate::schema::registry::{Answer, Registry};
use crate::schema::{Subject, SubjectState, Subjects, Unreachable};

/// Subjects asked for at once.
const AT_ONCE: usize = 4;
/// The first wait after no answer; it doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// How long it is remembered that there is no such subject, or none that can be used.
const MISSING_FOR: Duration = Duration::from_secs(10);

/// What is known of subjects, and who asks.
pub(super) struct Schemas {
    pub(super) subjects: Arc<Subjects>,
    registry: Option<Arc<Registry>>,
    url: String,
    refresh: Duration,
}

impl Schemas {
    pub(super) fn new(config: &Config) -> Result<Self> {
        let Some(section) = &config.schema_registry else {
            let (refresh, url) = (Duration::ZERO, String::new());
            return Ok(Self { subjects: Arc::default(), registry: None, url, refresh });
        };
        let registry = section.client().map_err(anyhow::Error::msg).context("schema_registry")?;
        Ok(Self {
            subjects: Arc::new(Subjects::new(config.subjects(), section.on_unreachable)),
            registry: Some(Arc::new(registry)),
            url: section.url.clone(),
            refresh: section.refresh.0,
        })
    }

    /// Asks for every subject, now and again, until `shutdown`.
    pub(super) fn fetch(
        &self,
        tasks: &TaskTracker,
        series: &SchemaSeries,
        registered: &mut Series,
        shutdown: &CancellationToken,
    ) {
        let Some(registry) = &self.registry else { return };
        let started = clock();
        let now_ms = move || u64::try_from(clock().duration_since(started).as_millis()).unwrap_or(u64::MAX);
        let subjects = Arc::clone(&self.subjects);
        schemas::register(registered, move || {
            subjects.iter().map(|subject| age(subject, now_ms())).collect()
        });
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        for subject in self.subjects.iter() {
            let (registry, subject, turns) = (Arc::clone(registry), Arc::clone(subject), Arc::clone(&turns));
            let (series, shutdown, refresh) = (series.clone(), shutdown.clone(), self.refresh);
            tasks.spawn(async move {
                let ask = keep(&registry, &subject, &turns, &series, refresh, now_ms);
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = ask => {}
                }
            });
        }
    }

    /// What an operator is told of subjects: sentences on those that nothing is taken without, and on the others.
    pub(super) fn notes(&self) -> (Vec<String>, Vec<String>) {
        let holds = self.subjects.unreachable() == Unreachable::Hold;
        let noted = self.subjects.iter().filter_map(|subject| Some((subject, subject.note(&self.url)?)));
        let (awaited, others): (Vec<_>, Vec<_>) =
            noted.partition(|(subject, _)| holds && !subject.is_known());
        let text = |notes: Vec<(_, String)>| notes.into_iter().map(|(_, note)| note).collect();
        (text(awaited), text(others))
    }
}

/// Asks for a subject for ever.
async fn keep(
    registry: &Registry,
    subject: &Subject,
    turns: &Semaphore,
    series: &SchemaSeries,
    refresh: Duration,
    now_ms: impl Fn() -> u64,
) {
    let mut retry = RETRY_FIRST;
    loop {
        let Ok(turn) = turns.acquire().await else { return };
        let before = subject.state();
        let answer = registry.refresh(subject, &now_ms).await;
        drop(turn);
        series.fetched(answer.label());
        tell(subject, &before);
        let wait = match answer {
            Answer::Fetched | Answer::Unchanged => refresh,
            Answer::Missing | Answer::Unusable => MISSING_FOR.min(refresh),
            Answer::Failed => retry,
        };
        retry = if answer == Answer::Failed { (retry * 2).min(RETRY_LAST) } else { RETRY_FIRST };
        tokio::time::sleep(spread(wait)).await;
    }
}

/// Logs what has changed.
fn tell(subject: &Subject, before: &SubjectState) {
    let state = subject.state();
    let name = subject.name();
    match (&state, before) {
        (now, before) if now == before => {}
        (SubjectState::Current, _) => tracing::info!(subject = name, "the schema is there"),
        (SubjectState::Unanswered(_), SubjectState::Unanswered(_)) => {}
        _ => tracing::warn!(subject = name, "{}", subject.note("the schema registry").unwrap_or_default()),
    }
}

fn age(subject: &Subject, now_ms: u64) -> SchemaAge {
    let age_ms = now_ms.saturating_sub(subject.confirmed_ms());
    SchemaAge {
        subject: subject.name().to_owned(),
        age: Duration::from_millis(age_ms),
        is_stale: subject.state() != SubjectState::Current,
    }
}

/// Between three quarters of `wait` and all of it, so that gateways and subjects do not all ask at once.
fn spread(wait: Duration) -> Duration {
    // Seeded by the system: to spread, not to keep secrets.
    let part = u32::try_from(RandomState::new().hash_one(0) % 256).unwrap_or(0);
    wait * 3 / 4 + wait / 1024 * part
}
