//! Rules that remember events, all of them at once, as clients and operators meet them: everything is accounted for, and
//! what arrives is exactly what is due.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_wire::Code;

use crate::client::{Carrier, Sender};
use crate::gateway::Gateway;

const RULES: &str = "\
[[routes]]
name = \"sensors\"
topic = \"events\"
expire = { after = \"1h\" }
sample = { rate = 2, key = 'subject' }
dedup = { key = ['source', 'id'], window = \"1d\" }
deadband = { key = 'subject', value = 'data.celsius', change = 5 }
[[routes.throttle]]
name = \"first-few\"
key = 'subject'
events_per_second = 0.001
burst = 40
[[routes.filters]]
drop = 'data.n % 7 == 0'
";

/// 50 subjects, each with 60 events: every third of them twice, some old, each value twice.
fn events() -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for n in 0..60 {
        for subject in 0..50 {
            let time = if n % 20 == 19 { r#","time":"2020-01-01T00:00:00Z""# } else { "" };
            let celsius = n / 2 * 10;
            let event = format!(
                r#"{{"type":"t","source":"/s","id":"{subject}-{n}","subject":"s{subject}"{time},"data":{{"n":{n},"celsius":{celsius}}}}}"#
            );
            events.push(event.into_bytes());
            if n % 3 == 0 {
                events.extend(events.last().cloned());
            }
        }
    }
    events
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap().to_owned()
}

/// FNV-1a and a finaliser, written anew from the documentation.
fn is_chosen(key: &str) -> bool {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    (hash ^ (hash >> 33)) < 1 << 63
}

/// What is due to become of each event, by its number: none for what arrives.
fn due(events: &[Vec<u8>]) -> Vec<Option<Code>> {
    let mut tokens = BTreeMap::<String, u32>::new();
    let mut seen = BTreeSet::new();
    let mut last = BTreeMap::<String, i64>::new();
    let judge = |event: &Vec<u8>| {
        let event: Value = serde_json::from_slice(event).unwrap();
        let (n, celsius) = (event["data"]["n"].as_i64().unwrap(), event["data"]["celsius"].as_i64().unwrap());
        let subject = event["subject"].as_str().unwrap().to_owned();
        if event.get("time").is_some() {
            return Some(Code::Expired);
        }
        let taken = tokens.entry(subject.clone()).or_default();
        if *taken == 40 {
            return Some(Code::Throttled);
        }
        *taken += 1;
        if n % 7 == 0 {
            return Some(Code::Filtered);
        }
        if !is_chosen(&subject) {
            return Some(Code::Sampled);
        }
        if seen.contains(&id(&event)) {
            return Some(Code::Duplicate);
        }
        if last.get(&subject).is_some_and(|last| (celsius - last).abs() <= 5) {
            return Some(Code::Filtered);
        }
        seen.insert(id(&event));
        last.insert(subject, celsius);
        None
    };
    events.iter().map(judge).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rules_together_account_for_every_event_and_let_exactly_those_pass_that_are_due() {
    let gateway = Gateway::start(RULES).await;
    let events = events();
    let due = due(&events);
    let mut sender = Sender::new("station-1", &events, 25);
    // Over several connections: what was judged before is not judged again.
    for (carrier, until) in
        [(Carrier::WebSocket, 900), (Carrier::Quic, 2_300), (Carrier::WebTransport, u64::MAX)]
    {
        sender.run(&gateway, carrier, until).await.unwrap();
    }
    assert!(sender.is_done());
    let refused: BTreeMap<_, _> =
        (1..).zip(&due).filter_map(|(number, due)| Some((number, (*due)?))).collect();
    assert_eq!(sender.refused, refused);
    for code in [Code::Expired, Code::Throttled, Code::Filtered, Code::Sampled, Code::Duplicate] {
        assert!(refused.values().any(|other| *other == code), "{code:?} is not put to the test");
    }
    let stored: Vec<_> = gateway.tail().iter().map(id).collect();
    let passed = events.iter().zip(&due).filter(|(_, due)| due.is_none());
    let expected: Vec<_> = passed.map(|(event, _)| id(&serde_json::from_slice(event).unwrap())).collect();
    assert_eq!(stored, expected);
    assert!(stored.len() > 100, "{}", stored.len());
    assert!(gateway.tail().iter().all(|event| event["sampledrate"] == 2));
    let metrics = gateway.metrics().await;
    for (operator, rule) in [("expire", "1"), ("throttle", "first-few"), ("sample", "1"), ("dedup", "1")] {
        let code = match operator {
            "expire" => Code::Expired,
            "throttle" => Code::Throttled,
            "sample" => Code::Sampled,
            _ => Code::Duplicate,
        };
        let series = format!(
            "tidegate_rule_events_total{{route=\"sensors\",operator=\"{operator}\",rule=\"{rule}\",result=\"dropped\"}}"
        );
        let count = u32::try_from(refused.values().filter(|other| **other == code).count()).unwrap();
        assert_eq!(metrics.get(&series), f64::from(count), "{series}");
    }
    gateway.assert_accounted().await;
}
