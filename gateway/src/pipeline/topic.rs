//! Which topic an event of a route goes to: always the same one, or what a template gives.

use std::collections::HashMap;

use tidegate_wire::{Code, Event, Reject};

use super::route::shortened;
use super::seen::Asked;
use crate::access::Grant;
use crate::config::{Part, Route, Template};
use crate::record::TopicId;

/// The longest name of a topic that Kafka has, in bytes.
const NAME_BYTES_MAX: usize = 249;

/// Topics by their names.
pub(super) type Ids<'a> = HashMap<&'a str, TopicId>;

/// The topics of a route.
#[derive(Debug)]
pub(super) enum Leads {
    /// To one, for every event.
    To(TopicId),
    /// To what the template gives, as far as it is among these.
    By { parts: Vec<Given>, topics: HashMap<String, TopicId> },
}

/// A part of a template.
#[derive(Debug)]
pub(super) enum Given {
    Text(String),
    Attribute(Asked, String),
}

impl Leads {
    pub(super) fn new(route: &Route, ids: &Ids<'_>) -> Self {
        let id = |name: &String| ids.get(name.as_str()).copied();
        let Ok(Some(Template { parts })) = Template::parse(&route.topic) else {
            return Self::To(id(&route.topic).unwrap_or(TopicId(0)));
        };
        let given = |part| match part {
            Part::Text(text) => Given::Text(text),
            Part::Attribute(name) => Given::Attribute(Asked::new(&name), name),
        };
        let listed = route.topics.iter().flatten();
        let topics = listed.filter_map(|name| Some((name.clone(), id(name)?))).collect();
        Self::By { parts: parts.into_iter().map(given).collect(), topics }
    }

    /// Whether an event may go to any of them.
    #[inline]
    pub(super) fn is_open_to(&self, grant: &Grant) -> bool {
        match self {
            Self::To(topic) => grant.allows_topic(*topic),
            Self::By { topics, .. } => topics.values().any(|topic| grant.allows_topic(*topic)),
        }
    }

    /// Where this event goes, of a sender who may go to any of them; `name` is room for the topic's name, and `template` what
    /// the sender is told of it.
    #[inline]
    pub(super) fn topic(
        &self,
        event: &Event<'_>,
        grant: &Grant,
        template: &str,
        name: &mut String,
    ) -> Result<TopicId, Reject> {
        let (parts, topics) = match self {
            Self::To(topic) => return Ok(*topic),
            Self::By { parts, topics } => (parts, topics),
        };
        name.clear();
        for part in parts {
            match part {
                Given::Text(text) => name.push_str(text),
                Given::Attribute(asked, of) => {
                    let Some(value) = asked.of(event) else {
                        return Err(unrouted(format!("for topic `{template}` the event has no `{of}`")));
                    };
                    // Borrowed, but for texts with escapes.
                    let text = value.text();
                    if name.len() + text.len() > NAME_BYTES_MAX {
                        return Err(unrouted(format!(
                            "for topic `{template}` the event's `{of}` is too long"
                        )));
                    }
                    name.push_str(&text);
                }
            }
        }
        let Some(topic) = topics.get(name.as_str()) else {
            let given = shortened(name);
            return Err(unrouted(format!(
                "topic `{template}` gives `{given}`, which is not among its topics"
            )));
        };
        if grant.allows_topic(*topic) { Ok(*topic) } else { Err(forbidden(name)) }
    }
}

/// What a sender is told who may not go to this topic.
#[cold]
pub(super) fn forbidden(name: &str) -> Reject {
    Reject { code: Code::Forbidden, message: format!("this token does not reach topic `{name}`").into() }
}

#[cold]
fn unrouted(message: String) -> Reject {
    Reject { code: Code::Unrouted, message: message.into() }
}
