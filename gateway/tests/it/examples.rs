//! The examples, run as a reader would run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::gateway::Gateway;
use crate::token;

/// What one token of an example's gateway looks like in its configuration.
async fn gateway_with_token() -> (Gateway, String) {
    let (token, hash) = token::make("device");
    let tokens = format!(
        "auth.mode = \"tokens\"\n[[auth.tokens]]\nid = \"device\"\nhash = \"{hash}\"\ntenant = \"hall\""
    );
    (Gateway::start(&tokens).await, token)
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// The Python that `scripts/setup` has put the examples' libraries into.
fn python(name: &str) -> Command {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).unwrap();
    let python = cache.join("tidegate/venv/bin/python");
    assert!(python.exists(), "{} is missing: run scripts/setup", python.display());
    let mut command = Command::new(python);
    command.arg(example(name));
    command
}

fn run(command: &mut Command, url: &str, token: &str) -> Output {
    command.env("TIDEGATE_URL", url).env("TIDEGATE_TOKEN", token).env("NO_PROXY", "*").output().unwrap()
}

fn printed(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_in_by_curl_and_by_the_standard_sdk() {
    let (gateway, token) = gateway_with_token().await;
    let curl = run(&mut Command::new(example("first_event.sh")), &gateway.url(""), &token);
    let sdk = run(&mut python("python/standard_sdk.py"), &gateway.url(""), &token);
    for output in [curl, sdk] {
        let answer: serde_json::Value = serde_json::from_str(&printed(&output)).unwrap();
        assert_eq!(answer, serde_json::json!({"accepted": 1, "rejected": [], "level": "stored"}));
    }
    let types: Vec<_> =
        gateway.tail().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["greeting.sent", "order.placed"]);

    let refused = run(&mut Command::new(example("first_event.sh")), &gateway.url(""), "device.wrong");
    assert!(!refused.status.success(), "a refused event is a failed command");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("401"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_device_sends_over_a_restart_of_the_gateway() {
    let (mut gateway, token) = gateway_with_token().await;
    let url = format!("ws://{}/v1/stream", gateway.plain);
    let device = std::thread::spawn(move || {
        printed(&run(python("python/websocket_device.py").arg("2000"), &url, &token))
    });
    // It is under way when the gateway goes, and there are events left for the next one.
    while gateway.metrics().await.sum("tidegate_events_total", "stored") < 10.0 {
        tokio::task::yield_now().await;
    }
    gateway.kill();
    gateway.launch();
    gateway.ready().await;
    let printed = tokio::task::spawn_blocking(|| device.join().unwrap()).await.unwrap();
    let lines: Vec<String> = (1..=2000).map(|seq| format!("{seq} stored")).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines);

    let events = gateway.tail();
    assert!(events.iter().all(|event| event["source"] == "/hall/device-1"));
    let numbers =
        events.iter().map(|event| event["id"].as_str().unwrap().rsplit('-').next().unwrap().to_owned());
    let mut numbers: Vec<u32> = numbers.map(|seq| seq.parse().unwrap()).collect();
    // What was in flight when the gateway was killed may be there twice, side by side.
    numbers.dedup();
    assert_eq!(numbers, (1..=2000).collect::<Vec<u32>>());
}
