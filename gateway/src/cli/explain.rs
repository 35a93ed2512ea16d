//! `tidegate explain`: what the rules cost, and what they would do with events.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tidegate_cel::Fault;
use tidegate_wire::{Aliases, Limits, Raw};
use uuid::Uuid;

use crate::access::Grant;
use crate::config::{Config, Route};
use crate::pipeline::{
    Cost, Did, Encodes, Ids, Origin, Outline, Pipeline, Sender, Stamp, Step, Tally, Trace, Verdict,
};
use crate::record::{Contribution, Encoding, Record, Records};
use crate::schema::{Subjects, Unreachable};

/// The longest line, an event, that is read.
const LINE_BYTES_MAX: u64 = 2 << 20;

/// Says in which order rules are asked, what they look at and what that costs at most, and for each event what every rule
/// said and the record it would become. Nothing is sent, and nothing of a gateway that runs is touched: what rules remember begins empty
/// here, and all events come now.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ExplainArgs {
    /// Events as structured `CloudEvents`, one a line, `-` for standard input. Without it only the rules are explained.
    #[arg(value_name = "EVENTS")]
    pub events: Option<PathBuf>,
    /// The client that would send them.
    #[arg(long, value_name = "NAME", default_value = "explain")]
    pub client: String,
}

/// Runs the command.
pub(super) fn run(args: &ExplainArgs, config: &Config) -> Result<()> {
    let mut out = io::stdout().lock();
    let topics = config.topics();
    // None of their schemas is known: nothing is asked for.
    let subjects = Arc::new(Subjects::new(config.subjects(), Unreachable::Pass));
    let pipeline =
        Pipeline::with_schemas(Limits::default(), &config.routes, &topics, Encodes::ByRoute, subjects)?;
    let explained = Explained { config, topics: &topics, pipeline: &pipeline, client: &args.client };
    explained.rules(&mut out)?;
    let Some(path) = &args.events else { return Ok(()) };
    let events: Box<dyn io::Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?),
    };
    explained.events(BufReader::new(events), &mut out)
}

struct Explained<'a> {
    config: &'a Config,
    topics: &'a [String],
    pipeline: &'a Pipeline,
    client: &'a str,
}

impl Explained<'_> {
    fn rules(&self, out: &mut impl Write) -> Result<()> {
        let to_events = [Route::to_events()];
        let routes = if self.config.routes.is_empty() { &to_events[..] } else { &self.config.routes };
        for (index, (route, outline)) in routes.iter().zip(self.pipeline.rules().outlines()).enumerate() {
            let among = route.topics.as_ref().map(|topics| format!(", one of {}", topics.join(", ")));
            let (number, among) = (index + 1, among.unwrap_or_default());
            writeln!(out, "route {number}{} -> topic {}{among}", named(route), route.topic)?;
            match (&route.when, outline.condition) {
                (Some(when), Some(cost)) => writeln!(out, "  when {}\n    {}", when.one_line(), shown(cost))?,
                _ => writeln!(out, "  takes everything that comes here")?,
            }
            rules(&outline, out)?;
        }
        writeln!(out, "an event that no route takes is refused as `unrouted`")?;
        Ok(())
    }

    fn events(&self, mut events: impl BufRead, out: &mut impl Write) -> Result<()> {
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let read = events.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            ensure!(
                line.len() as u64 <= LINE_BYTES_MAX,
                "line {number} is longer than {LINE_BYTES_MAX} bytes"
            );
            let event = line.trim_ascii();
            if !event.is_empty() {
                writeln!(out, "\nline {number}")?;
                self.event(event, out)?;
            }
        }
        Ok(())
    }

    fn event(&self, event: &[u8], out: &mut impl Write) -> Result<()> {
        let source = format!("/default/{}", self.client);
        let now = super::wall_clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // All of one client, and none is lost: rules may rest on the events before.
        let ids = Ids::Unnumbered(Uuid::now_v7());
        let mut stamp = Stamp::new(now_ms, &source, Some(self.client), ids).of(Origin(0));
        let sender = Sender { grant: &Grant::open(), aliases: &Aliases::default() };
        let mut records = Records::default();
        let mut told = Told { routes: &self.config.routes, lines: Vec::new() };
        let raw = Raw::Structured(event);
        let ran = self.pipeline.rules().run(&raw, 0, sender, &mut stamp, &mut records, &mut told);
        for line in told.lines {
            writeln!(out, "  {line}")?;
        }
        match (ran, records.get(0)) {
            (Err(reject), _) => {
                let why =
                    if reject.message.is_empty() { String::new() } else { format!(": {}", reject.message) };
                writeln!(out, "  goes nowhere: {}{why}", reject.code.name())?;
            }
            (Ok(()), Some(record)) => self.record(&record, out)?,
            (Ok(()), None) => {
                for contribution in records.contributions() {
                    self.contribution(&contribution, out)?;
                }
            }
        }
        Ok(())
    }

    fn contribution(&self, contribution: &Contribution<'_>, out: &mut impl Write) -> Result<()> {
        let topic = self.topics.get(usize::from(contribution.topic.0)).map_or("", String::as_str);
        let key =
            contribution.key.map_or_else(|| "without a key".to_owned(), |key| format!("with key `{key}`"));
        writeln!(out, "  counts in the group {key}, of which a record goes to topic {topic}")?;
        for (name, number) in contribution.to.values.iter().zip(contribution.numbers) {
            match number {
                Some(number) => writeln!(out, "    {name}: {number}")?,
                None => writeln!(out, "    {name}: none")?,
            }
        }
        Ok(())
    }

    fn record(&self, record: &Record<'_>, out: &mut impl Write) -> Result<()> {
        let topic = self.topics.get(usize::from(record.topic.0)).map_or("", String::as_str);
        let key = record.key.map(String::from_utf8_lossy).unwrap_or_default();
        let encoding = if record.encoding == Encoding::Binary { "binary" } else { "structured" };
        writeln!(
            out,
            "  record for topic {topic}, {encoding}, key `{key}`, timestamp {}",
            record.timestamp_ms
        )?;
        for (name, value) in record.headers() {
            writeln!(out, "    {name}: {}", String::from_utf8_lossy(value))?;
        }
        match record.value {
            Some(value) => writeln!(out, "    {}", String::from_utf8_lossy(value))?,
            None => writeln!(out, "    without a value")?,
        }
        Ok(())
    }
}

fn rules(outline: &Outline, out: &mut impl Write) -> Result<()> {
    for Step { operator, name, is_shadow, cost, does } in &outline.rules {
        let shadow = if *is_shadow { ", as a shadow: only counts" } else { "" };
        writeln!(out, "  {} {name}: {does}{shadow}", operator.name())?;
        writeln!(out, "    {}", shown(*cost))?;
    }
    match outline.fields.as_slice() {
        [] => writeln!(out, "  looks at nothing of the payload but whether it is JSON")?,
        fields => writeln!(out, "  looks in one pass for {}", fields.join(", "))?,
    }
    Ok(())
}

/// Writes down what each rule says.
struct Told<'a> {
    routes: &'a [Route],
    lines: Vec<String>,
}

impl Trace for Told<'_> {
    fn condition(&mut self, route: usize, said: Result<bool, Fault>) {
        let name = self.routes.get(route).map(named).unwrap_or_default();
        self.lines.push(format!("route {}{name}: {}", route + 1, answer(said)));
    }

    fn rule(&mut self, rule: &Tally, did: Did) {
        let then = match did.verdict {
            Verdict::Kept => "goes on",
            Verdict::Changed if rule.is_shadow() => "would be changed",
            Verdict::Changed => "goes on, changed",
            Verdict::Dropped => "dropped",
            Verdict::WouldDrop => "would be dropped",
        };
        let fault = did.fault.map(|fault| format!("no answer, {fault}, ")).unwrap_or_default();
        self.lines.push(format!("{} {}: {fault}{then}", rule.operator().name(), rule.name()));
    }
}

fn answer(said: Result<bool, Fault>) -> String {
    match said {
        Ok(true) => "yes".to_owned(),
        Ok(false) => "no".to_owned(),
        Err(fault) => format!("no answer, {fault}"),
    }
}

fn named(route: &Route) -> String {
    route.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default()
}

fn shown(cost: Cost) -> String {
    let looks = if cost.looks_at_payload { "into the payload" } else { "at attributes only" };
    format!("at most {} steps, looks {looks}", cost.steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        [[routes]]
        name = "sensors"
        when = 'type.startsWith("sensor.")'
        topic = "sensors"
        encoding = "binary"
        [[routes.filters]]
        name = "hot"
        keep = "data.celsius > 20.0"
        [[routes.filters]]
        drop = "data.tags.exists(t, t == 'test')"
        on_error = "drop"
        shadow = true
        [[routes]]
        topic = "rest"
    "#;

    fn explain(events: &str) -> String {
        explain_by(CONFIG, events)
    }

    fn explain_by(rules: &str, events: &str) -> String {
        let config = Config::parse("t.toml", rules).unwrap();
        let topics = config.topics();
        let pipeline = Pipeline::new(Limits::default(), &config.routes, &topics, Encodes::ByRoute).unwrap();
        let explained = Explained { config: &config, topics: &topics, pipeline: &pipeline, client: "c" };
        let mut out = Vec::new();
        match events {
            "" => explained.rules(&mut out).unwrap(),
            events => explained.events(events.as_bytes(), &mut out).unwrap(),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rules_are_shown_with_what_they_cost() {
        let expected = "\
route 1 sensors -> topic sensors
  when type.startsWith(\"sensor.\")
    at most 10 steps, looks at attributes only
  filter hot: keep data.celsius > 20.0; without an answer: goes on
    at most 3 steps, looks into the payload
  filter 2: drop data.tags.exists(t, t == 'test'); without an answer: dropped, as a shadow: only counts
    at most 1023 steps, looks into the payload
  looks in one pass for data.celsius, data.tags
route 2 -> topic rest
  takes everything that comes here
  looks at nothing of the payload but whether it is JSON
an event that no route takes is refused as `unrouted`
";
        assert_eq!(explain(""), expected);
    }

    #[test]
    fn rules_that_remember_are_shown_and_followed() {
        let rules = "[[routes]]\ntopic = \"t\"\nexpire = { after = \"1h\" }\nsample = { rate = 1 }\n\
                     dedup = { window = \"10m\" }\n\
                     deadband = { key = 'source', value = 'data.c', change = 0.5, silence_max = \"1m\", shadow = true }\n\
                     throttle = [{ name = \"slow\", key = 'source', events_per_second = 0.1, burst = 3 }]";
        let shown = explain_by(rules, "");
        for line in [
            "  expire 1: drops what happened more than 1h ago",
            "  throttle slow: lets 0.1 a second pass for each source, 3 at once; without a key: goes on",
            "  sample 1: keeps one in 1 by id; without a key: goes on",
            "  dedup 1: drops what repeats source, id within 10m; without a key: goes on",
            "  deadband 1: drops what differs in data.c by no more than 0.5 from the last of the same source within 1m; \
             without a key or number: goes on, as a shadow: only counts",
        ] {
            assert!(shown.lines().any(|other| other == line), "{line} is not in\n{shown}");
        }
        let event = r#"{"type":"a","id":"1","data":{"c":1}}"#;
        let other = r#"{"type":"a","id":"2","data":{"c":1}}"#;
        let followed = explain_by(rules, &[event, event, other, other].join("\n"));
        for line in [
            "  dedup 1: dropped",
            "  goes nowhere: duplicate",
            "  deadband 1: would be dropped",
            "  throttle slow: dropped",
            "  goes nowhere: throttled",
        ] {
            assert!(followed.lines().any(|other| other == line), "{line} is not in\n{followed}");
        }
    }

    #[test]
    fn events_are_followed_through_the_rules() {
        let shown =
            |event: &str| explain(event).lines().skip(1).map(str::trim).collect::<Vec<_>>().join(" | ");
        for (event, expected) in [
            (
                r#"{"type":"sensor.a","id":"1","time":"2020-01-01T00:00:00Z","data":{"celsius":21,"tags":["test"]}}"#,
                "line 1 | route 1 sensors: yes | filter hot: goes on | filter 2: would be dropped | \
                 record for topic sensors, binary, key `c`, timestamp ",
            ),
            (
                r#"{"type":"sensor.a","data":{"celsius":1}}"#,
                "line 1 | route 1 sensors: yes | filter hot: dropped | goes nowhere: filtered",
            ),
            (
                r#"{"type":"sensor.a","data":{"celsius":"x"}}"#,
                "line 1 | route 1 sensors: yes | filter hot: no answer, a value has another type than the rule expects, goes on | \
                 filter 2: no answer, a field is absent, would be dropped | record for topic sensors",
            ),
            (r#"{"type":"a"}"#, "line 1 | route 1 sensors: no | record for topic rest, structured, key `c`"),
            ("[]", "line 1 | goes nowhere: malformed: "),
        ] {
            assert!(shown(event).starts_with(expected), "{event}: {}", shown(event));
        }
        assert!(explain("\n\n{\"type\":\"a\"}\n").contains("line 3"));
    }

    #[test]
    fn what_an_event_gives_to_an_aggregate_is_shown() {
        let config = "[[routes]]\ntopic = \"t\"\n\
                      aggregate = { key = 'data.k', window = \"1m\", values = { n = 'data.n', m = 'data.m' } }";
        let rules = explain_by(config, "");
        let does = "  aggregate 1: one record of m = data.m, n = data.n for each 1m and data.k, at most 10000 at once; \
                    without an answer: counted without it\n";
        assert!(rules.contains(does), "{rules}");
        assert!(rules.contains("looks in one pass for data.k, data.m, data.n"), "{rules}");
        let expected = "\nline 1\n  aggregate 1: no answer, a field is absent, goes on, changed\n  \
                        counts in the group with key `a`, of which a record goes to topic t\n    m: none\n    n: 1.5\n";
        let told = explain_by(config, r#"{"type":"a","data":{"k":"a","n":1.5}}"#);
        assert!(told.ends_with(expected), "{told}");
    }
}
