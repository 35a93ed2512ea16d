//! What is judged, how it is written, and what becomes of what does not fit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_wire::{Aliases, Code, Limits, Raw, Reject};
use uuid::Uuid;

use crate::access::Grant;
use crate::config::Config;
use crate::pipeline::{Encodes, Ids, Pipeline, Sender, Stamp, Untold};
use crate::record::{Record, Records};
use crate::schema::{Format, Known, Schema, Subjects, Unreachable};

const KAFKA: &str = "kafka.brokers = \"localhost:9092\"\n";
const REGISTRY: &str = "schema_registry.url = \"http://localhost:8081\"\n";

/// A pipeline of a configuration, and what it knows of registries.
struct Judge {
    pipeline: Pipeline,
    subjects: Arc<Subjects>,
    topics: Vec<String>,
}

impl Judge {
    fn new(text: &str, unreachable: Unreachable, encodes: Encodes) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("small.json"), r#"{"properties":{"n":{"maximum":5}}}"#).unwrap();
        std::fs::write(directory.path().join("text.json"), r#"{"type":"string"}"#).unwrap();
        let config = Config::parse(&directory.path().join("t.toml").display().to_string(), text).unwrap();
        let topics: Vec<_> = config.kafka_topics().into_iter().map(|topic| topic.name).collect();
        let subjects = Arc::new(Subjects::new(config.subjects(), unreachable));
        let pipeline = Pipeline::with_schemas(
            Limits::default(),
            &config.routes,
            &topics,
            encodes,
            Arc::clone(&subjects),
        );
        Self { pipeline: pipeline.unwrap(), subjects, topics }
    }

    fn run(&self, event: &str) -> (Records, Result<(), Reject>) {
        let sender = Sender { grant: &Grant::open(), aliases: &Aliases::default() };
        let mut stamp = Stamp::new(1_790_000_000_000, "/s/c", Some("c"), Ids::Unnumbered(Uuid::nil()));
        let mut records = Records::default();
        let raw = Raw::Structured(event.as_bytes());
        let ran = self.pipeline.rules().run(&raw, 3, sender, &mut stamp, &mut records, &mut Untold);
        (records, ran)
    }

    #[track_caller]
    fn refused(&self, event: &str) -> String {
        let (records, ran) = self.run(event);
        let reject = ran.unwrap_err();
        assert_eq!((reject.code, records.len()), (Code::Schema, 0), "{event}");
        reject.message.into()
    }

    fn faults(&self) -> u64 {
        self.pipeline.rules().tallies().map(|(_, tally)| tally.counts().faults.load(Ordering::Relaxed)).sum()
    }

    fn learn(&self, subject: &str, format: Format, text: &str) {
        let schema = Schema::parse(format, text, &[]).unwrap();
        self.subjects.get(subject).unwrap().confirm(Some(Known { id: 0x0102_0304, schema }), 0);
    }
}

fn header<'a>(record: &Record<'a>, name: &str) -> Option<&'a str> {
    let found = record.headers().find(|(key, _)| *key == name);
    found.map(|(_, value)| std::str::from_utf8(value).unwrap())
}

#[test]
fn each_type_has_its_schema_and_data_stays_as_it_came() {
    let route = "[[routes]]\ntopic = \"a\"\n[routes.validate]\njson_schema = \"small.json\"\nschemas = { word = \"text.json\" }\n";
    let judge = Judge::new(route, Unreachable::Hold, Encodes::Structured);
    for event in
        [r#"{"type":"t","data":{ "n" : 5.0 }}"#, r#"{"type":"word","data":"x"}"#, r#"{"type":"t","data":[]}"#]
    {
        let (records, ran) = judge.run(event);
        assert_eq!(ran, Ok(()), "{event}");
        let value = String::from_utf8_lossy(records.get(0).unwrap().value.unwrap()).into_owned();
        let data = event.split_once("data\":").unwrap().1;
        assert!(value.contains(data.strip_suffix('}').unwrap()), "{value}");
    }
    assert_eq!(
        judge.refused(r#"{"type":"t","data":{"n":6}}"#),
        "`data/n`: it is greater than the maximum of 5 (`/properties/n/maximum`)"
    );
    assert!(judge.refused(r#"{"type":"word","data":7}"#).contains("string"));
    assert!(judge.refused(r#"{"type":"t","data":{"n":1,"n":9}}"#).contains("names `n` twice"));
    assert!(judge.refused(r#"{"type":"t"}"#).contains("there is none"));
    assert!(judge.refused(r#"{"type":"t","datacontenttype":"text/plain","data":"x"}"#).contains("not JSON"));
    let (_, ran) = judge.run(r#"{"type":"t","data":{"n":}}"#);
    assert_eq!(ran.unwrap_err().code, Code::Malformed, "what is no event is that first");
}

#[test]
fn other_types_go_on_and_a_shadow_refuses_nothing() {
    let route =
        "[[routes]]\ntopic = \"a\"\nvalidate = { schemas = { word = \"text.json\" }, shadow = true }\n";
    let judge = Judge::new(route, Unreachable::Hold, Encodes::Structured);
    assert_eq!(judge.run(r#"{"type":"other","data":7}"#).1, Ok(()));
    assert_eq!(judge.run(r#"{"type":"word","data":7}"#).1, Ok(()));
    let counts: Vec<_> = judge
        .pipeline
        .rules()
        .tallies()
        .map(|(_, tally)| {
            [&tally.counts().kept, &tally.counts().dropped].map(|count| count.load(Ordering::Relaxed))
        })
        .collect();
    assert_eq!(counts, [[1, 1]]);
}

#[test]
fn avro_is_written_with_the_number_of_its_schema() {
    let route = format!(
        "{KAFKA}{REGISTRY}[[routes]]\ntopic = \"a\"\nencoding = \"binary\"\nvalidate = {{ registry = true, format = \"avro\" }}\n"
    );
    let judge = Judge::new(&route, Unreachable::Refuse, Encodes::ByRoute);
    judge.learn(
        "a-value",
        Format::Avro,
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":"int"}]}"#,
    );
    let (records, ran) = judge.run(r#"{"type":"t","subject":"s","data":{"n":-1}}"#);
    assert_eq!(ran, Ok(()));
    let record = records.get(0).unwrap();
    assert_eq!(record.value, Some(&[0, 1, 2, 3, 4, 1][..]));
    assert_eq!(header(&record, "content-type"), Some("application/vnd.confluent.avro"));
    assert_eq!((header(&record, "ce_type"), header(&record, "ce_subject")), (Some("t"), Some("s")));
    assert_eq!(judge.refused(r#"{"type":"t","data":{"n":"x"}}"#), "`data/n`: is not an integer of 32 bits");
    assert!(judge.refused(r#"{"type":"t","data":{"n":1,"m":2}}"#).contains("`data/m`: is no field of `R`"));
}

#[test]
fn json_is_framed_where_its_route_says_so() {
    for (framed, begin) in [("true", &[0, 1, 2, 3, 4][..]), ("false", &[])] {
        let route = format!(
            "{KAFKA}{REGISTRY}[[routes]]\ntopic = \"a\"\nencoding = \"binary\"\n\
             validate = {{ registry = true, subject = \"own\", format = \"json\", framed = {framed} }}\n"
        );
        let judge = Judge::new(&route, Unreachable::Refuse, Encodes::ByRoute);
        judge.learn("own", Format::Json, r#"{"required":["n"]}"#);
        let (records, ran) = judge.run(r#"{"type":"t","data":{ "n":1}}"#);
        assert_eq!(ran, Ok(()));
        assert_eq!(records.get(0).unwrap().value.unwrap(), [begin, br#"{ "n":1}"#].concat());
        assert!(judge.refused(r#"{"type":"t","data":{}}"#).contains("required"));
    }
}

#[test]
fn without_a_schema_events_do_as_is_said() {
    let route =
        format!("{REGISTRY}[[routes]]\ntopic = \"a\"\nvalidate = {{ registry = true, format = \"json\" }}\n");
    let event = r#"{"type":"t","data":7}"#;
    let judge = |unreachable| Judge::new(&route, unreachable, Encodes::Structured);
    let passes = judge(Unreachable::Pass);
    assert_eq!((passes.run(event).1, passes.faults()), (Ok(()), 1));
    let refuses = judge(Unreachable::Refuse);
    assert!(refuses.refused(event).contains("its schema is not known yet"));
    let holds = judge(Unreachable::Hold);
    assert!(
        holds.pipeline.is_awaiting() && !passes.pipeline.is_awaiting() && !refuses.pipeline.is_awaiting()
    );
    for judge in [passes, refuses, holds] {
        judge.learn("a-value", Format::Json, r#"{"type":"string"}"#);
        assert!(!judge.pipeline.is_awaiting());
        assert!(judge.refused(event).contains("string"));
    }
}

#[test]
fn what_does_not_fit_goes_to_the_dead_letters_as_it_came() {
    for (encoding, content_type) in
        [("structured", "application/cloudevents+json; charset=UTF-8"), ("binary", "application/json")]
    {
        let route = format!(
            "{KAFKA}[[routes]]\ntopic = \"a\"\nencoding = \"{encoding}\"\ndead_letter = \"dead\"\n\
             validate = {{ json_schema = \"text.json\" }}\n"
        );
        let judge = Judge::new(&route, Unreachable::Hold, Encodes::ByRoute);
        let (records, ran) = judge.run(r#"{"type":"t","data":{ "n":1}}"#);
        let reject = ran.unwrap_err();
        assert_eq!(reject.code, Code::Schema);
        let letter = records.get(0).unwrap();
        assert_eq!((judge.topics[usize::from(letter.topic.0)].as_str(), letter.index), ("dead", 3));
        assert_eq!(letter.key, Some(&b"c"[..]));
        for (name, value) in [
            ("content-type", content_type),
            ("tidegate-reason", "schema"),
            ("tidegate-topic", "a"),
            ("tidegate-message", &reject.message),
        ] {
            assert_eq!(header(&letter, name), Some(value), "{name}");
        }
        let value = std::str::from_utf8(letter.value.unwrap()).unwrap();
        assert!(value.contains(r#"{ "n":1}"#), "{value}");
        assert_eq!(judge.run(r#"{"type":"t"}"#).0.len(), 1, "without data");
        assert_eq!(judge.run(r#"{"type":"t","data":{"n":}}"#).0.len(), 0, "what is no event is no letter");
    }
}

#[test]
fn what_a_route_keeps_back_is_in_no_letter_and_letters_are_counted_where_they_were_refused() {
    let route = format!(
        "{KAFKA}[[routes]]\ntopic = \"a\"\ndead_letter = \"dead\"\nvalidate = {{ json_schema = \"text.json\" }}\n\
         [[routes.redact]]\npath = \"data.secret\"\naction = \"remove\"\n"
    );
    let judge = Judge::new(&route, Unreachable::Hold, Encodes::ByRoute);
    for (data, left) in
        [(r#"{"a":1,"secret":2,"secret":2}"#, None), (r#"{"a":1,"secret":2}"#, Some(r#"{"a":1}"#))]
    {
        let (records, ran) = judge.run(&format!(r#"{{"type":"t","data":{data}}}"#));
        assert_eq!(ran.unwrap_err().code, Code::Schema);
        let letter = records.get(0).unwrap();
        assert_eq!(header(&letter, "tidegate-message"), Some("`data` does not fit its schema"));
        let value = std::str::from_utf8(letter.value.unwrap()).unwrap();
        assert!(!value.contains("secret") && left.is_none_or(|left| value.contains(left)), "{value}");
    }
    let rules = judge.pipeline.rules();
    let counted = |operator: &str| -> u64 {
        let tallies = rules.tallies().filter(|(_, tally)| tally.operator().name() == operator);
        tallies
            .flat_map(|(_, tally)| {
                let counts = tally.counts();
                [&counts.kept, &counts.changed, &counts.dropped].map(|count| count.load(Ordering::Relaxed))
            })
            .sum()
    };
    assert_eq!((counted("validate"), counted("redact")), (2, 0));
}

#[test]
fn what_a_schema_makes_too_large_is_refused_as_that() {
    let route = format!(
        "{KAFKA}{REGISTRY}[[routes]]\ntopic = \"a\"\nencoding = \"binary\"\ndead_letter = \"dead\"\n\
         validate = {{ registry = true, format = \"avro\" }}\n"
    );
    let judge = Judge::new(&route, Unreachable::Refuse, Encodes::ByRoute);
    let note = "x".repeat(1_000);
    let schema = format!(
        r#"{{"type":"array","items":{{"type":"record","name":"I","fields":[{{"name":"n","type":"string","default":"{note}"}}]}}}}"#
    );
    judge.learn("a-value", Format::Avro, &schema);
    let event = |count: usize| format!(r#"{{"type":"t","data":[{}]}}"#, vec!["{}"; count].join(","));
    assert_eq!(judge.run(&event(100)).1, Ok(()));
    let (records, ran) = judge.run(&event(50_000));
    assert_eq!((records.len(), ran.unwrap_err().code), (0, Code::TooLarge));
}
