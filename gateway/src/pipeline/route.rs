//! Which topic an event goes to: the first route whose condition holds.

use std::borrow::Cow;

use tidegate_wire::{Attribute as Name, Code, Event, Reject};

use crate::config::{Attribute, Condition, Route, Test};
use crate::record::{Encoding, TopicId};

/// How far an event's time may lie from the gateway's clock where no route says otherwise: 7 days.
pub(super) const TOLERANCE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// The routes in their order.
#[derive(Debug)]
pub(super) struct Table {
    routes: Vec<Compiled>,
}

/// Where a route leads.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) topic: TopicId,
    pub(super) name: String,
    pub(super) encoding: Encoding,
    pub(super) tolerance_ms: u64,
}

#[derive(Debug)]
struct Compiled {
    when: Option<Condition>,
    target: Target,
}

impl Table {
    pub(super) fn new(routes: &[Route], topics: &[String]) -> Self {
        let id = |name: &str| {
            let position = topics.iter().position(|topic| topic == name).unwrap_or(0);
            TopicId(u16::try_from(position).unwrap_or(0))
        };
        let mut compiled: Vec<_> = routes
            .iter()
            .map(|route| Compiled {
                when: route.when.clone(),
                target: Target {
                    topic: id(&route.topic),
                    name: route.topic.clone(),
                    encoding: route.encoding,
                    tolerance_ms: route.tolerance_ms,
                },
            })
            .collect();
        if compiled.is_empty() {
            compiled.push(Compiled {
                when: None,
                target: Target {
                    topic: TopicId(0),
                    name: topics.first().cloned().unwrap_or_default(),
                    encoding: Encoding::Structured,
                    tolerance_ms: TOLERANCE_MS,
                },
            });
        }
        Self { routes: compiled }
    }

    pub(super) fn take(&self, event: &Event<'_>) -> Result<&Target, Reject> {
        let taken =
            self.routes.iter().find(|route| route.when.as_ref().is_none_or(|when| holds(when, event)));
        taken.map(|route| &route.target).ok_or_else(|| Reject {
            code: Code::Unrouted,
            message: format!("no route takes type `{}`", shortened(&text(event, Attribute::Type))).into(),
        })
    }
}

fn holds(when: &Condition, event: &Event<'_>) -> bool {
    when.all.iter().all(|test| match test {
        Test::Equals(attribute, expected) => text(event, *attribute) == expected.as_str(),
        Test::StartsWith(attribute, prefix) => text(event, *attribute).starts_with(prefix.as_str()),
    })
}

fn text<'a>(event: &Event<'a>, attribute: Attribute) -> Cow<'a, str> {
    let name = match attribute {
        Attribute::Type => Name::Type,
        Attribute::Source => Name::Source,
        Attribute::Topic => Name::Topic,
    };
    event.get(name).map(|value| value.text()).unwrap_or_default()
}

/// As much of a client's word as an answer repeats.
fn shortened(word: &str) -> String {
    word.chars().take(64).collect()
}
