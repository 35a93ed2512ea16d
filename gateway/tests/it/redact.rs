//! Redaction as operators rely on it: what is to be kept back leaves no trace, whichever way it comes.

use tidegate_wire::Code;

use crate::client::{Carrier, Sender};
use crate::gateway::Gateway;

const RULES: &str = r#"
    [[routes]]
    topic = "events"
    key = "data.user.email"
    [[routes.redact]]
    name = "email"
    path = "data.**.email"
    action = "remove"
    [[routes.redact]]
    name = "card"
    path = "data.card"
    action = "hash"
    key = "0123456789abcdef0123456789abcdef"
    [[routes.redact]]
    name = "city"
    path = "data.address.city"
    action = "mask"
    [[routes.fields]]
    set = "data.site"
    value = '"north"'
"#;

/// Events with the word `secret` where it is not to stay, and what becomes of them.
fn events() -> Vec<(&'static str, Option<Code>)> {
    vec![
        (r#"{"type":"t","id":"0","data":{"n":0,"user":{"email":"secret","a":1},"card":"secret"}}"#, None),
        (
            r#"{"type":"t","id":"1","data":{"n":1,"list":[[{"\u0065mail":["secret"]}]],"card":{"x":"secret"}}}"#,
            None,
        ),
        (r#"{"type":"t","id":"2","data":{"n":2,"address":{"city":"secret"}}}"#, None),
        (r#"{"type":"t","id":"3","data":{"n":3,"address":["secret"]}}"#, Some(Code::Schema)),
        (r#"{"type":"t","id":"4","data":{"n":4,"card":1,"card":"secret"}}"#, Some(Code::Malformed)),
        (r#"{"type":"t","id":"5","data":"{\"card\":\"secret\"}"}"#, Some(Code::Schema)),
        (r#"{"type":"t","id":"6","datacontenttype":"text/plain","data":"secret"}"#, Some(Code::Schema)),
        // `secret` in base64.
        (
            r#"{"type":"t","id":"7","datacontenttype":"image/png","data_base64":"c2VjcmV0"}"#,
            Some(Code::Schema),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_redacted_is_neither_in_the_log_nor_in_any_record_whatever_it_came_by() {
    let gateway = Gateway::start(&format!("{RULES}\n[logging]\nlevel = \"debug\"\n")).await;
    let events = events();
    let sent: Vec<Vec<u8>> = events.iter().map(|(event, _)| event.as_bytes().to_vec()).collect();
    let carriers = [Carrier::WebSocket, Carrier::WebTransport];
    for carrier in carriers {
        let mut sender = Sender::new(carrier.label(), &sent, 3);
        sender.run(&gateway, carrier, u64::MAX).await.unwrap();
        let codes: Vec<_> = sender.refused.values().copied().collect();
        assert_eq!(codes, events.iter().filter_map(|(_, code)| *code).collect::<Vec<_>>());
    }
    let stored = gateway.tail();
    assert_eq!(stored.len(), 3 * carriers.len());
    for event in &stored {
        assert_eq!(event["data"]["site"], "north", "{event}");
    }
    assert_eq!(stored[0]["data"]["user"], serde_json::json!({"a": 1}));
    assert_eq!(stored[0]["data"]["card"].as_str().unwrap().len(), 32);
    assert_eq!(stored[2]["data"]["address"]["city"], "***");
    for (what, text) in [("the records", gateway.tail_raw()), ("what was logged", gateway.log())] {
        for secret in ["secret", "c2VjcmV0", "0123456789abcdef"] {
            assert!(!text.contains(secret), "{secret} is in {what}:\n{text}");
        }
    }
    for file in std::fs::read_dir(gateway.path("log")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"), "{}", path.display());
    }
    let metrics = gateway.metrics().await;
    let series = |rule: &str, result: &str| {
        format!(
            "tidegate_rule_events_total{{route=\"1\",operator=\"redact\",rule=\"{rule}\",result=\"{result}\"}}"
        )
    };
    assert_eq!(metrics.get(&series("email", "changed")), 4.0);
    assert_eq!(metrics.get(&series("city", "dropped")), 2.0);
    gateway.assert_accounted().await;
}
