//! Topics that depend on the event: `web-{tenant}`.

use std::collections::HashSet;

use tidegate_wire::is_name;

use super::findings::Findings;
use super::routes::Route;

/// The most topics of one route.
const TOPICS_MAX: usize = 256;
const TOPIC_HELP: &str = "write 1 to 249 letters, digits, `.`, `_` or `-`";

/// A topic's name in which attributes of the event stand for parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// What it consists of, in order.
    pub parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part {
    /// The same for every event.
    Text(String),
    /// The value of the attribute with this name.
    Attribute(String),
}

impl Template {
    /// The template that `text` is; `None` if it is a name, the same for every event. What is wrong, if it is neither.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("`{{{after}` has no closing brace"))?;
            if !is_name(name) {
                return Err(format!("`{name}` cannot be the name of an attribute"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Attribute(name.to_owned()));
            rest = after;
        }
        if parts.is_empty() {
            return Ok(None);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let stray = parts.iter().find_map(|part| match part {
            Part::Text(text) if !Route::is_topic(text) && text != "." && text != ".." => Some(text),
            _ => None,
        });
        match stray {
            Some(text) => Err(format!("`{text}` cannot be part of a Kafka topic")),
            None => Ok(Some(Self { parts })),
        }
    }
}

/// Checks where the route at this position leads.
pub(super) fn check(index: usize, route: &Route, findings: &mut Findings<'_>) {
    let (at, at_topics) = (format!("routes.{index}.topic"), format!("routes.{index}.topics"));
    let help = "such as \"web-{tenant}\": letters, digits, `.`, `_`, `-`, and names of attributes, a-z and 0-9, in braces";
    let template = match Template::parse(&route.topic) {
        Ok(template) => template,
        Err(why) => return findings.refuse(&at, format!("`{}`: {why}", route.topic), help),
    };
    match (template, &route.topics) {
        (None, None) if !Route::is_topic(&route.topic) => {
            findings.refuse(&at, format!("`{}` cannot be a Kafka topic", route.topic), TOPIC_HELP);
        }
        (None, None) => {}
        (None, Some(_)) => {
            let message = format!("`{}` is the same for every event", route.topic);
            findings.refuse(
                &at_topics,
                message,
                "remove the line, or write topic = \"web-{tenant}\" or the like",
            );
        }
        (Some(_), None) => {
            let help = "write topics = [\"web-a\", \"web-b\"], all that it may give: events for another one are refused";
            findings.refuse(&at, format!("`{}` without `topics`", route.topic), help);
        }
        (Some(_), Some(topics)) => check_topics(&at_topics, topics, findings),
    }
    let names_no_subject =
        route.validate.as_ref().is_some_and(|validate| validate.registry && validate.subject.is_none());
    if names_no_subject && route.topics.is_some() {
        let help = "write subject = \"web-value\" or the like";
        findings.refuse(&format!("routes.{index}.validate"), "which subject: there are many topics", help);
    }
}

fn check_topics(at: &str, topics: &[String], findings: &mut Findings<'_>) {
    if !(1..=TOPICS_MAX).contains(&topics.len()) {
        let message = format!("{} topics in one route", topics.len());
        return findings.refuse(at, message, "write 1 to 256");
    }
    let mut above = HashSet::new();
    for (position, topic) in topics.iter().enumerate() {
        let at = format!("{at}.{position}");
        if !Route::is_topic(topic) {
            findings.refuse(&at, format!("`{topic}` cannot be a Kafka topic"), TOPIC_HELP);
        }
        if !above.insert(topic) {
            findings.refuse(&at, format!("`{topic}` is there twice"), "write it once");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn a_template_is_text_and_attributes() {
        let text = |text: &str| Part::Text(text.to_owned());
        let attribute = |name: &str| Part::Attribute(name.to_owned());
        for (template, parts) in [
            ("web-{tenant}", vec![text("web-"), attribute("tenant")]),
            ("{a}{type}.x", vec![attribute("a"), attribute("type"), text(".x")]),
            ("{a}.{b}", vec![attribute("a"), text("."), attribute("b")]),
        ] {
            assert_eq!(Template::parse(template), Ok(Some(Template { parts })), "{template}");
        }
        assert_eq!(Template::parse("web"), Ok(None));
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_what_would_be_right() {
        let many: Vec<_> = (0..257).map(|n| format!("\"web-{n}\"")).collect();
        let many = format!("topic = \"web-{{tenant}}\"\ntopics = [{}]", many.join(", "));
        for (route, message, help) in [
            (
                "topic = \"web-{tenant}\"",
                "`web-{tenant}` without `topics`",
                "topics = [\"web-a\", \"web-b\"]",
            ),
            ("topic = \"web\"\ntopics = [\"web\"]", "the same for every event", "remove the line"),
            ("topic = \"web-{tenant\"\ntopics = [\"web\"]", "no closing brace", "such as \"web-{tenant}\""),
            ("topic = \"web-{Tenant}\"\ntopics = [\"web\"]", "`Tenant` cannot be the name", "a-z and 0-9"),
            ("topic = \"web-{}\"\ntopics = [\"web\"]", "`` cannot be the name", "a-z and 0-9"),
            ("topic = \"{data}\"\ntopics = [\"web\"]", "`data` cannot be the name", "a-z and 0-9"),
            ("topic = \"we b{tenant}\"\ntopics = [\"web\"]", "`we b` cannot be part", "such as"),
            ("topic = \"{tenant}}\"\ntopics = [\"web\"]", "`}` cannot be part", "such as"),
            ("topic = \"web}\"", "`web}` cannot be a Kafka topic", "1 to 249"),
            ("topic = \"{tenant}\"\ntopics = []", "0 topics in one route", "1 to 256"),
            ("topic = \"{tenant}\"\ntopics = [\"a\", \"b c\"]", "`b c` cannot be a Kafka topic", "1 to 249"),
            ("topic = \"{tenant}\"\ntopics = [\"a\", \"a\"]", "`a` is there twice", "once"),
            (&many, "257 topics", "1 to 256"),
            (
                "topic = \"{tenant}\"\ntopics = [\"a\"]\nvalidate = { registry = true, format = \"json\" }",
                "which subject",
                "write subject = ",
            ),
            (
                "topic = \"{tenant}\"\ntopics = [\"a\", \"dead\"]\ndead_letter = \"dead\"",
                "`dead` is the topic of a route",
                "no route leads to",
            ),
            (
                "topic = \"{tenant}\"\ntopics = [\"a\", \"b\"]\nwhen = 'type == \"t\"'\n[[routes]]\ntopic = \"b\"\nlinger_ms = 7",
                "route 1 leads to `b` too, with other settings",
                "write the same",
            ),
        ] {
            let report =
                Config::parse("t.toml", &format!("[[routes]]\n{route}\n")).map(drop).unwrap_err().to_string();
            assert!(report.contains(message) && report.contains(help), "{route}:\n{report}");
        }
    }

    #[test]
    fn all_that_are_listed_are_topics_and_a_new_one_needs_a_restart() {
        let config = |topics: &str| {
            let text = format!(
                "[[routes]]\nwhen = 'type == \"t\"'\ntopic = \"web-{{tenant}}\"\ntopics = [{topics}]\npartitions = 3\n\
                 dead_letter = \"dead\"\n[[routes]]\ntopic = \"rest\"\n"
            );
            Config::parse("t.toml", &text).unwrap()
        };
        let both = config("\"web-a\", \"web-b\"");
        assert_eq!(both.topics(), ["web-a", "web-b", "rest"]);
        let kafka: Vec<_> =
            both.kafka_topics().into_iter().map(|t| (t.name, t.partitions, t.dead_letter)).collect();
        let dead = || Some("dead".to_owned());
        let expected = [
            ("web-a".to_owned(), Some(3), dead()),
            ("web-b".to_owned(), Some(3), dead()),
            ("rest".to_owned(), None, None),
            ("dead".to_owned(), None, None),
        ];
        assert_eq!(kafka, expected);
        assert_eq!(both.needs_restart(&config("\"web-b\"")), None);
        let why = both.needs_restart(&config("\"web-a\", \"web-c\"")).unwrap();
        assert!(why.contains("`web-c` is new"), "{why}");
    }

    #[test]
    fn topics_of_all_routes_are_counted_together() {
        let route = |route: usize| {
            let topics: Vec<_> = (0..250).map(|n| format!("\"t{route}-{n}\"")).collect();
            format!(
                "[[routes]]\nwhen = 'type == \"t\"'\ntopic = \"{{tenant}}\"\ntopics = [{}]\n",
                topics.join(", ")
            )
        };
        let routes = |count| (0..count).map(route).collect::<String>();
        assert_eq!(Config::parse("t.toml", &routes(40)).unwrap().topics().len(), 10_000);
        let report = Config::parse("t.toml", &routes(41)).map(drop).unwrap_err().to_string();
        assert!(report.contains("10250 topics"), "{report}");
    }
}
