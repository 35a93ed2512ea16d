//! One batch of good and bad events gets the same result for each event on all carriers.

use std::collections::BTreeMap;

use tidegate_wire::{Code, GatewayFrame, Hello};

use crate::client::{Carrier, Client};
use crate::gateway::Gateway;

const CONFIG: &str = r#"
limits.max_event_bytes = "1KiB"
auth.mode = "tokens"
[[auth.tokens]]
id = "web"
hash = "HASH"
topics = ["open"]
[[routes]]
when = 'type.startsWith("open.")'
topic = "open"
[[routes]]
when = 'type == "closed"'
topic = "closed"
"#;

fn batch() -> Vec<(Vec<u8>, Option<Code>)> {
    let large = format!(r#"{{"type":"open.large","data":"{}"}}"#, "x".repeat(2_000));
    [
        (r#"{"type":"open.a","data":{"n":1}}"#, None),
        (r#"{"data":1}"#, Some(Code::Malformed)),
        (r#"{"type":"open.b","Upper":"case"}"#, Some(Code::Malformed)),
        (large.as_str(), Some(Code::TooLarge)),
        (r#"{"type":"other"}"#, Some(Code::Unrouted)),
        (r#"{"type":"closed"}"#, Some(Code::Forbidden)),
        (r#"{"type":"open.c","expirytime":"2001-01-01T00:00:00Z"}"#, Some(Code::Expired)),
        (r#"{"type":"open.d","time":"yesterday"}"#, Some(Code::Malformed)),
        (r#"{"type":"open.e","data_base64":"AAE=","datacontenttype":"application/octet-stream"}"#, None),
        ("17", Some(Code::Malformed)),
        (r#"{"type":"open.f"}"#, None),
    ]
    .map(|(event, code)| (event.as_bytes().to_vec(), code))
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_gets_the_same_result_on_every_carrier() {
    let (token, hash) = crate::token::make("web");
    let gateway = Gateway::start(&CONFIG.replace("HASH", &hash)).await;
    let (events, expected): (Vec<_>, Vec<_>) = batch().into_iter().unzip();
    let expected: BTreeMap<u64, Code> =
        (1..).zip(expected).filter_map(|(seq, code)| Some((seq, code?))).collect();
    for carrier in Carrier::ALL {
        assert_eq!(over(&gateway, carrier, &token, &events).await, expected, "{carrier:?}");
    }
    assert_eq!(over_https(&gateway, &token, &events).await, expected, "HTTPS");
    assert_eq!(gateway.tail().len(), 5 * 3);
    gateway.assert_accounted().await;
}

async fn over(gateway: &Gateway, carrier: Carrier, token: &str, events: &[Vec<u8>]) -> BTreeMap<u64, Code> {
    let name = format!("{carrier:?}");
    let hello = Hello {
        token: Some(token.to_owned()),
        client: Some(name),
        epoch: Some(1),
        next: Some(1),
        ..Hello::default()
    };
    let mut client = Client::try_open(gateway, carrier, hello).await.unwrap();
    client.events(1, events).await.unwrap();
    let mut refused = BTreeMap::new();
    loop {
        match client.next().await.unwrap() {
            GatewayFrame::Ack(ack) => {
                refused.extend(ack.list.into_iter().map(|rejection| (rejection.seq, rejection.code)));
                if ack.upto >= events.len() as u64 {
                    client.done().await;
                    return refused;
                }
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

async fn over_https(gateway: &Gateway, token: &str, events: &[Vec<u8>]) -> BTreeMap<u64, Code> {
    let request = gateway
        .http
        .post(gateway.url("/v1/events"))
        .header("content-type", "application/x-ndjson")
        .bearer_auth(token);
    let answer: serde_json::Value =
        request.body(events.join(&b'\n')).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["accepted"], 3, "{answer}");
    let rejected = answer["rejected"].as_array().unwrap().iter();
    rejected
        .map(|rejected| {
            let code = serde_json::from_value(rejected["code"].clone()).unwrap();
            (rejected["index"].as_u64().unwrap() + 1, code)
        })
        .collect()
}
