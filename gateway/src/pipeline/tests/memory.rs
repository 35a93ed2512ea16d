//! Rules that remember events, through the whole pipeline: what they drop, what they count, and what outlives a change of
//! the rules.

use std::sync::atomic::Ordering;

use serde_json::Value;
use tidegate_wire::{Aliases, Code, Limits, Raw};

use crate::access::Grant;
use crate::config::Config;
use crate::pipeline::{Encodes, Ids, Origin, Pipeline, Sender, Stamp, Untold};
use crate::record::Records;

const NOW_MS: u64 = 1_790_000_000_000;

/// A pipeline, and the clock of its events.
struct Lane {
    pipeline: Pipeline,
    now_ms: u64,
}

impl Lane {
    fn new(rules: &str) -> Self {
        let config = config(rules);
        let pipeline =
            Pipeline::new(Limits::default(), &config.routes, &config.topics(), Encodes::ByRoute).unwrap();
        Self { pipeline, now_ms: NOW_MS }
    }

    fn replace(&self, rules: &str) {
        self.pipeline.replace(&config(rules).routes).unwrap();
    }

    /// One frame of these events, from the numbering `origin`, which ends as `is_durable` says, if it ends. What became of
    /// each: the record's value or the code.
    fn frame(&self, events: &[&str], origin: u64, is_durable: Option<bool>) -> Vec<Result<Value, Code>> {
        self.frame_of(&Grant::open(), events, origin, is_durable)
    }

    fn frame_of(
        &self,
        grant: &Grant,
        events: &[&str],
        origin: u64,
        is_durable: Option<bool>,
    ) -> Vec<Result<Value, Code>> {
        let ids = Ids::Numbered { prefix: "web-1-9-", first_seq: 1 };
        let mut stamp = Stamp::new(self.now_ms, "/shop/web-1", Some("web-1"), ids).of(Origin(origin));
        let sender = Sender { grant, aliases: &Aliases::default() };
        let mut became = Vec::new();
        for (index, event) in (0..).zip(events) {
            let mut records = Records::default();
            let raw = Raw::Structured(event.as_bytes());
            let ran = self.pipeline.rules().run(&raw, index, sender, &mut stamp, &mut records, &mut Untold);
            became.push(match ran {
                Ok(()) => Ok(serde_json::from_slice(records.get(0).unwrap().value.unwrap()).unwrap()),
                Err(reject) => Err(reject.code),
            });
        }
        if let (Some(fate), Some(is_durable)) = (stamp.take_fate(), is_durable) {
            fate.settle(is_durable);
        }
        became
    }

    /// One event that becomes durable, if it passes.
    fn event(&self, event: &str) -> Result<Value, Code> {
        self.frame(&[event], 1, Some(true)).remove(0)
    }

    #[track_caller]
    fn codes(&self, events: &[&str], expected: &[Result<(), Code>]) {
        let codes: Vec<_> = events.iter().map(|event| self.event(event).map(drop)).collect();
        assert_eq!(codes, expected, "{events:?}");
    }

    /// What the rules have kept, changed, dropped, and had no answer for.
    fn counts(&self) -> Vec<(&'static str, [u64; 4])> {
        let rules = self.pipeline.rules();
        let counts = rules.tallies().map(|(_, tally)| {
            let counts = tally.counts();
            let counts = [&counts.kept, &counts.changed, &counts.dropped, &counts.faults];
            (tally.operator().name(), counts.map(|count| count.load(Ordering::Relaxed)))
        });
        counts.collect()
    }
}

fn grant_of(tenant: &str) -> Grant {
    let mut grant = Grant::open();
    grant.tenant = tenant.into();
    grant
}

fn config(rules: &str) -> Config {
    Config::parse("t.toml", &format!("[[routes]]\ntopic = \"events\"\n{rules}")).unwrap()
}

#[test]
fn each_drops_with_its_code_and_is_counted() {
    let lane = Lane::new(
        "expire = { after = \"1h\" }\n\
         dedup = { window = \"10m\" }\n\
         deadband = { key = 'source', value = 'data.celsius', change = 0.5 }\n\
         [[routes.throttle]]\nname = \"source\"\nkey = 'source'\nevents_per_second = 0.1\nburst = 4\n",
    );
    lane.codes(
        &[
            r#"{"type":"t","source":"/a","time":"2026-09-21T13:13:19Z"}"#,
            r#"{"type":"t","source":"/a","id":"1","data":{"celsius":20}}"#,
            r#"{"type":"t","source":"/a","id":"1","data":{"celsius":20}}"#,
            r#"{"type":"t","source":"/a","id":"2","data":{"celsius":20.5}}"#,
            r#"{"type":"t","source":"/a","id":"3","data":{"celsius":"x"}}"#,
            r#"{"type":"t","source":"/a","id":"4","data":{"celsius":30}}"#,
            r#"{"type":"t","source":"/b","id":"1","data":{"celsius":20}}"#,
        ],
        &[
            Err(Code::Expired),
            Ok(()),
            Err(Code::Duplicate),
            Err(Code::Filtered),
            Ok(()),
            Err(Code::Throttled),
            Ok(()),
        ],
    );
    let expected = [
        ("expire", [6, 0, 1, 0]),
        ("throttle", [5, 0, 1, 0]),
        ("dedup", [4, 0, 1, 0]),
        ("deadband", [3, 0, 1, 1]),
    ];
    assert_eq!(lane.counts(), expected);
}

#[test]
fn what_is_sampled_says_so_and_multiplies_what_it_said() {
    let lane = Lane::new("sample = { rate = 2, key = 'data.n' }");
    let passed = |before: &str| {
        let events = (0..1_000).map(|n| format!("{{\"type\":\"t\"{before},\"data\":{{\"n\":{n}}}}}"));
        let became: Vec<_> = events.map(|event| lane.event(&event)).collect();
        assert!(became.iter().all(|became| !matches!(became, Err(code) if *code != Code::Sampled)));
        became.into_iter().filter_map(Result::ok).collect::<Vec<_>>()
    };
    let once = passed("");
    assert!(once.len().abs_diff(500) < 80, "{}", once.len());
    assert!(once.iter().all(|event| event["sampledrate"] == 2));
    for (before, after) in
        [("5", 10_u32), ("\"5\"", 10), ("0", 2), ("\"x\"", 2), ("2000000000", 2_147_483_647)]
    {
        let events = passed(&format!(",\"sampledrate\":{before}"));
        assert!(!events.is_empty() && events.iter().all(|event| event["sampledrate"] == after), "{before}");
    }
    let all = Lane::new("sample = { rate = 1 }");
    assert_eq!(all.event(r#"{"type":"t"}"#).unwrap().get("sampledrate"), None);
}

#[test]
fn an_event_that_was_lost_passes_when_it_is_sent_again() {
    let events = [
        r#"{"type":"t","source":"/a","id":"1","data":{"celsius":20}}"#,
        r#"{"type":"t","source":"/a","id":"1","data":{"celsius":20}}"#,
        r#"{"type":"t","source":"/a","id":"2","data":{"celsius":20.1}}"#,
    ];
    for (rules, code) in [
        ("dedup = { key = 'source', window = \"10m\" }", Code::Duplicate),
        ("deadband = { value = 'data.celsius', change = 1 }", Code::Filtered),
    ] {
        let codes = |became: Vec<Result<Value, Code>>| {
            became.into_iter().map(|became| became.map(drop)).collect::<Vec<_>>()
        };
        let lane = Lane::new(rules);
        let first_alone = [Ok(()), Err(code), Err(code)];
        assert_eq!(codes(lane.frame(&events, 1, Some(false))), first_alone, "the frame is lost: {rules}");
        assert_eq!(
            codes(lane.frame(&events, 2, None)),
            first_alone,
            "it comes again, and is under way: {rules}"
        );
        assert_eq!(codes(lane.frame(&events[1..], 2, None)), [Err(code); 2], "settles with it: {rules}");
        // Whoever does not settle with it does not rest on it.
        assert_eq!(codes(lane.frame(&events, 3, Some(true))), first_alone, "{rules}");
        assert_eq!(codes(lane.frame(&events, 4, None)), [Err(code); 3], "durable at last: {rules}");
    }
}

#[test]
fn an_event_that_another_rule_refuses_makes_no_other_a_duplicate() {
    let lane = Lane::new(
        "dedup = { key = 'id', window = \"10m\" }\ndeadband = { value = 'data.celsius', change = 1 }",
    );
    let event =
        |id: &str, celsius: f64| format!(r#"{{"type":"t","id":"{id}","data":{{"celsius":{celsius}}}}}"#);
    lane.codes(
        &[&event("a", 20.0), &event("b", 20.1), &event("b", 25.0), &event("b", 50.0)],
        &[Ok(()), Err(Code::Filtered), Ok(()), Err(Code::Duplicate)],
    );
}

#[test]
fn what_is_known_outlives_a_change_of_other_rules_and_no_change_of_its_own() {
    const EVENT: &str = r#"{"type":"t","source":"/a","id":"1","data":{"celsius":20}}"#;
    for (rule, other, code) in [
        ("dedup = { window = \"10m\" }", "dedup = { window = \"11m\" }", Code::Duplicate),
        (
            "deadband = { value = 'data.celsius', change = 1 }",
            "deadband = { value = 'data.celsius', change = 2 }",
            Code::Filtered,
        ),
        (
            "throttle = [{ events_per_second = 0.1 }]",
            "throttle = [{ events_per_second = 0.2 }]",
            Code::Throttled,
        ),
    ] {
        let lane = Lane::new(rule);
        lane.codes(&[EVENT, EVENT], &[Ok(()), Err(code)]);
        lane.replace(&format!("{rule}\nfilters = [{{ keep = 'data.celsius > 0' }}]"));
        lane.codes(&[EVENT], &[Err(code)]);
        assert!(lane.counts().iter().any(|(_, counts)| *counts == [1, 0, 2, 0]), "{:?}", lane.counts());
        lane.replace(other);
        lane.codes(&[EVENT, EVENT], &[Ok(()), Err(code)]);
        lane.replace(rule);
        lane.codes(&[EVENT], &[Ok(())]);
    }
}

#[test]
fn without_a_key_events_go_on_or_not_as_is_written() {
    for (rule, code) in [
        ("sample = { rate = 1000000, key = 'data.key'", Code::Sampled),
        ("dedup = { key = 'data.key', window = \"1m\"", Code::Duplicate),
        ("deadband = { key = 'data.key', value = '1', change = 1", Code::Filtered),
        ("throttle = [{ key = ['data.key', 'source'], events_per_second = 0.1", Code::Throttled),
    ] {
        let end = if rule.contains('[') && rule.starts_with("throttle") { "}]" } else { "}" };
        for event in [r#"{"type":"t","data":{}}"#, r#"{"type":"t","data":{"key":null}}"#, r#"{"type":"t"}"#] {
            let keeps = Lane::new(&format!("{rule} {end}"));
            keeps.codes(&[event, event, event], &[Ok(()); 3]);
            assert_eq!(keeps.counts()[0].1, [3, 0, 0, 3]);
            let drops = Lane::new(&format!("{rule}, on_error = \"drop\" {end}"));
            drops.codes(&[event], &[Err(code)]);
            assert_eq!(drops.counts()[0].1, [0, 0, 1, 1]);
        }
    }
}

#[test]
fn a_shadow_counts_what_it_would_drop_and_changes_nothing() {
    const EVENT: &str = r#"{"type":"t","id":"1","time":"2020-01-01T00:00:00Z","data":{"celsius":20}}"#;
    for rule in [
        "expire = { after = \"1h\", shadow = true }",
        "throttle = [{ events_per_second = 0.1, shadow = true }]",
        "sample = { rate = 1000000000, shadow = true }",
        "dedup = { window = \"1m\", shadow = true }",
        "deadband = { value = 'data.celsius', change = 1, shadow = true }",
    ] {
        let lane = Lane::new(rule);
        let became = [lane.event(EVENT), lane.event(EVENT)];
        assert!(became.iter().all(|became| became.as_ref().unwrap().get("sampledrate").is_none()), "{rule}");
        let (_, [kept, changed, dropped, _]) = lane.counts()[0];
        let is_first_kept = !(rule.starts_with("expire") || rule.starts_with("sample"));
        assert_eq!(
            (kept, changed, dropped),
            (is_first_kept.into(), 0, 2 - u64::from(is_first_kept)),
            "{rule}"
        );
    }
}

#[test]
fn a_deadband_sees_what_edits_made_and_dedup_what_came() {
    let lane = Lane::new(
        "dedup = { key = 'data.c', window = \"1m\" }\ndeadband = { value = 'data.c', change = 0 }\n\
         [[routes.fields]]\nset = \"data.c\"\nvalue = '7'\n",
    );
    let event = |celsius: u32| format!(r#"{{"type":"t","data":{{"c":{celsius}}}}}"#);
    lane.codes(&[&event(1), &event(1), &event(2)], &[Ok(()), Err(Code::Duplicate), Err(Code::Filtered)]);
}

#[test]
fn parts_of_a_key_are_told_apart() {
    let lane = Lane::new("dedup = { key = ['source', 'id'], window = \"1m\" }");
    let event = |source: &str, id: &str| format!(r#"{{"type":"t","source":"{source}","id":"{id}"}}"#);
    lane.codes(
        &[&event("a", "bc"), &event("ab", "c"), &event("a", "\\u0062c")],
        &[Ok(()), Ok(()), Err(Code::Duplicate)],
    );
}

#[test]
fn windows_follow_the_clock_of_the_gateway() {
    const EVENT: &str = r#"{"type":"t","id":"1","time":"2020-01-01T00:00:00Z"}"#;
    let mut lane = Lane::new("dedup = { key = 'id', window = \"10s\" }");
    for (after_ms, expected) in [(0, Ok(())), (9_999, Err(Code::Duplicate)), (10_000, Ok(()))] {
        lane.now_ms = NOW_MS + after_ms;
        assert_eq!(lane.event(EVENT).map(drop), expected, "after {after_ms} ms");
    }
}

#[test]
fn what_a_client_makes_up_drops_nothing_of_another_tenant() {
    const EVENT: &str = r#"{"type":"t","source":"/a","id":"1","data":{"celsius":20}}"#;
    for (rule, code) in [
        ("dedup = { window = \"10m\" }", Code::Duplicate),
        ("deadband = { key = 'source', value = 'data.celsius', change = 1 }", Code::Filtered),
        ("throttle = [{ key = 'source', events_per_second = 0.1 }]", Code::Throttled),
    ] {
        let lane = Lane::new(rule);
        let event = |tenant: &str| {
            let grant = grant_of(tenant);
            lane.frame_of(&grant, &[EVENT], 1, Some(true)).remove(0).map(drop)
        };
        assert_eq!([event("a"), event("b")], [Ok(()), Ok(())], "{rule}");
        assert_eq!([event("a"), event("b")], [Err(code), Err(code)], "{rule}");
    }
    let whole = Lane::new("throttle = [{ events_per_second = 0.1 }]");
    let event = |tenant: &str| {
        let grant = grant_of(tenant);
        whole.frame_of(&grant, &[EVENT], 1, Some(true)).remove(0).map(drop)
    };
    assert_eq!([event("a"), event("b")], [Ok(()), Err(Code::Throttled)], "without a key: of the route");
}

#[test]
fn a_route_without_a_name_inherits_nothing_from_another() {
    const EVENT: &str = r#"{"type":"b","source":"/a","id":"1"}"#;
    const OTHER: &str = r#"{"type":"a","source":"/a","id":"1"}"#;
    let routes = |text: &str| Config::parse("t.toml", text).unwrap();
    let of = |kind: &str| {
        format!(
            "[[routes]]\nwhen = 'type == \"{kind}\"'\ntopic = \"events\"\ndedup = {{ window = \"10m\" }}\n"
        )
    };
    let both = routes(&[of("a"), of("b")].concat());
    let pipeline = Pipeline::new(Limits::default(), &both.routes, &both.topics(), Encodes::ByRoute).unwrap();
    let lane = Lane { pipeline, now_ms: NOW_MS };
    lane.codes(&[OTHER, OTHER], &[Ok(()), Err(Code::Duplicate)]);
    // The second is the first now.
    lane.pipeline.replace(&routes(&of("b")).routes).unwrap();
    lane.codes(&[EVENT], &[Ok(())]);
    assert_eq!(lane.counts(), [("dedup", [1, 0, 0, 0])]);
    lane.pipeline.replace(&routes(&of("b")).routes).unwrap();
    lane.codes(&[EVENT], &[Err(Code::Duplicate)]);
}
