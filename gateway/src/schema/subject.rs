//! What is known of the subjects of a schema registry: written by whoever fetches, read by those who judge events, who
//! never wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use serde::Deserialize;

use super::{Format, Schema};

/// What becomes of events whose schema was never fetched.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Unreachable {
    /// No event is taken until it is there.
    #[default]
    Hold,
    /// They go on unvalidated.
    Pass,
    /// They are refused.
    Refuse,
}

/// A subject that rules judge by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Its name in the registry.
    pub name: String,
    /// The language that its schemas must be in.
    pub format: Format,
}

/// The subjects that rules judge by, which are known from the start.
#[derive(Debug, Default)]
pub struct Subjects {
    all: BTreeMap<String, Arc<Subject>>,
    unreachable: Unreachable,
}

impl Subjects {
    /// Nothing is known of them yet.
    pub fn new(wanted: impl IntoIterator<Item = Wanted>, unreachable: Unreachable) -> Self {
        let subjects = wanted.into_iter().map(|wanted| (wanted.name.clone(), Arc::new(Subject::new(wanted))));
        Self { all: subjects.collect(), unreachable }
    }

    /// The subject of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Subject>> {
        self.all.get(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Subject>> {
        self.all.values()
    }

    /// What becomes of events whose schema was never fetched.
    pub fn unreachable(&self) -> Unreachable {
        self.unreachable
    }
}

/// A subject, the newest of its schemas that was seen, and how the registry answered last.
#[derive(Debug)]
pub struct Subject {
    wanted: Wanted,
    known: ArcSwapOption<Known>,
    state: Mutex<SubjectState>,
    /// When the registry last said that `known` is the newest, ms of whatever clock the fetcher goes by.
    confirmed_ms: AtomicU64,
}

/// A schema that the registry had.
#[derive(Debug)]
pub struct Known {
    /// The registry's number of it, which records begin with.
    pub id: u32,
    /// The schema.
    pub schema: Schema,
}

/// How the registry answered last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum SubjectState {
    /// It was not asked yet.
    #[default]
    Unasked,
    /// With the schema that is known.
    Current,
    /// It has no such subject.
    Missing,
    /// With a schema that cannot be used, and why.
    Unusable(String),
    /// Not at all, and why.
    Unanswered(String),
}

impl Subject {
    fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            known: ArcSwapOption::empty(),
            state: Mutex::default(),
            confirmed_ms: AtomicU64::new(0),
        }
    }

    /// Its name in the registry.
    pub fn name(&self) -> &str {
        &self.wanted.name
    }

    /// The language that its schemas must be in.
    pub fn format(&self) -> Format {
        self.wanted.format
    }

    /// The newest schema that was seen. It stays when the registry goes away, or forgets it.
    pub fn known(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// Whether a schema was ever seen.
    pub fn is_known(&self) -> bool {
        self.known.load().is_some()
    }

    /// How the registry answered last.
    pub fn state(&self) -> SubjectState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the registry last said that what is known is the newest.
    pub fn confirmed_ms(&self) -> u64 {
        self.confirmed_ms.load(Ordering::Relaxed)
    }

    /// The registry has answered with this schema, or, with `None`, that what is known is the newest.
    pub fn confirm(&self, new: Option<Known>, now_ms: u64) {
        if let Some(new) = new {
            self.known.store(Some(Arc::new(new)));
        }
        self.confirmed_ms.store(now_ms, Ordering::Relaxed);
        self.set(SubjectState::Current);
    }

    /// The registry has not answered with a schema that can be used.
    pub fn fail(&self, state: SubjectState) {
        self.set(state);
    }

    fn set(&self, state: SubjectState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// What an operator is told, if anything is amiss: a sentence.
    pub fn note(&self, registry: &str) -> Option<String> {
        let name = self.name();
        let so = if self.is_known() { "; it goes on with the schema that it had" } else { "" };
        match self.state() {
            SubjectState::Current => None,
            SubjectState::Unasked => {
                Some(format!("the schema of `{name}` was not fetched yet from {registry}"))
            }
            SubjectState::Missing => Some(format!("{registry} has no subject `{name}`{so}")),
            SubjectState::Unusable(why) => {
                Some(format!("the newest schema of `{name}` in {registry} cannot be used: {why}{so}"))
            }
            SubjectState::Unanswered(why) => {
                Some(format!("{registry} did not answer for `{name}`: {why}{so}"))
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "schemas")]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_stays_when_the_registry_goes_away() {
        let wanted = Wanted { name: "a-value".into(), format: Format::Json };
        let subjects = Subjects::new([wanted], Unreachable::Hold);
        let subject = subjects.get("a-value").unwrap();
        assert!(!subject.is_known() && subject.note("R").unwrap().contains("not fetched yet"));
        let schema = Schema::parse(Format::Json, "{}", &[]).unwrap();
        subject.confirm(Some(Known { id: 7, schema }), 1_000);
        assert_eq!((subject.note("R"), subject.confirmed_ms()), (None, 1_000));
        subject.fail(SubjectState::Unanswered("refused".into()));
        assert_eq!(subject.known().unwrap().id, 7);
        let note = subject.note("R").unwrap();
        assert!(note.contains("R did not answer for `a-value`: refused; it goes on"), "{note}");
        subject.confirm(None, 2_000);
        assert_eq!(
            (subject.note("R"), subject.confirmed_ms(), subject.known().unwrap().id),
            (None, 2_000, 7)
        );
    }
}
