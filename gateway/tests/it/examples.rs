//! The examples, run as a reader would run them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::destination::Destination;
use crate::gateway::{self, Gateway, PATIENCE};
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
    let announced = gateway.log();
    let first = announced.lines().find(|line| line.contains("first event: curl")).unwrap();
    assert!(first.contains("authorization: Bearer TOKEN"), "it would get 401: {first}");
    let types: Vec<_> =
        gateway.tail().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["greeting.sent", "order.placed"]);

    let refused = run(&mut Command::new(example("first_event.sh")), &gateway.url(""), "device.wrong");
    assert!(!refused.status.success(), "a refused event is a failed command");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("401"));
    let refused = run(&mut python("python/standard_sdk.py"), &gateway.url(""), "device.wrong");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(why.starts_with("refused: 401") && why.contains("this token is not known"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_device_heeds_goaway_and_a_final_code_without_a_close_frame() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/stream", listener.local_addr().unwrap());
    let mut command = python("python/websocket_device.py");
    command.env("TIDEGATE_URL", &url).env("NO_PROXY", "*").stdout(Stdio::piped()).stderr(Stdio::piped());
    let device = Device(Some(command.spawn().unwrap()));
    let mut socket = accept(&listener).await;
    assert_eq!(received(&mut socket).await.unwrap()["t"], "hello");
    said(&mut socket, r#"{"t":"welcome","upto":0,"rej":[]}"#).await;
    assert_eq!(received(&mut socket).await.unwrap()["s"], 1);
    said(&mut socket, r#"{"t":"goaway","after_ms":10,"jitter_ms":10}"#).await;
    said(&mut socket, r#"{"t":"ack","upto":1,"level":"stored","rej":[]}"#).await;
    let more = received(&mut socket).await;
    assert!(more.is_none(), "sent after GOAWAY: {more:?}");
    drop(socket);

    let mut socket = accept(&listener).await;
    assert_eq!(received(&mut socket).await.unwrap()["next"], 2, "it comes back, and goes on");
    let close = CloseFrame { code: CloseCode::Library(4006), reason: "taken_over".into() };
    socket.close(Some(close)).await.unwrap();
    drop((socket, listener));
    let output = tokio::task::spawn_blocking(|| device.output()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        (output.status.code(), out.trim_end(), err.trim_end()),
        (Some(1), "1 stored", "refused: 4006 taken_over")
    );
}

/// A device that ends with its test, whatever becomes of either.
struct Device(Option<Child>);

impl Device {
    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn accept(listener: &TcpListener) -> Socket {
    let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    tokio_tungstenite::accept_async(stream).await.unwrap()
}

async fn said(socket: &mut Socket, frame: &str) {
    socket.send(Message::text(frame)).await.unwrap();
}

/// The next frame; none once the other end closes.
async fn received(socket: &mut Socket) -> Option<serde_json::Value> {
    let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
    match message {
        Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).unwrap()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_device_sends_over_a_restart_of_the_gateway() {
    let (gateway, token) = gateway_with_token().await;
    let url = format!("ws://{}/v1/stream", gateway.plain);
    sends_over_a_restart(gateway, python("python/websocket_device.py"), url, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_over_quic_sends_over_a_restart_of_the_gateway_and_names_what_is_refused() {
    let (gateway, token) = gateway_with_token().await;
    let url = format!("quic://{}", gateway.secure);
    let device = || {
        let mut command = python("python/quic_device.py");
        command.env("TIDEGATE_CA", gateway.path("tls.crt"));
        command
    };
    let refused = run(&mut device(), &url, "device.wrong");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.starts_with("refused: 4003 auth"), "{why}");
    let device = device();
    sends_over_a_restart(gateway, device, url, token).await;
}

async fn sends_over_a_restart(mut gateway: Gateway, mut command: Command, url: String, token: String) {
    let device = std::thread::spawn(move || printed(&run(command.arg("2000"), &url, &token)));
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

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_seen_in_kafka_and_tail_says_that_it_is_not_in_the_log() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    let gateway = kafka.gateway(&topic).await;
    printed(&run(&mut Command::new(example("first_event.sh")), &gateway.url(""), ""));
    let brokers = kafka.brokers().brokers();
    let port = brokers.split(',').next().unwrap().rsplit(':').next().unwrap().to_owned();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
    let line = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(script);
        command.args(["tail", &topic]).env("TIDEGATE_KAFKA_PORT", port).stdout(Stdio::piped());
        let mut consumer = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(consumer.stdout.take().unwrap()).read_line(&mut line).unwrap();
        consumer.kill().unwrap();
        consumer.wait().unwrap();
        line
    });
    let event: serde_json::Value = serde_json::from_str(&line.await.unwrap()).unwrap();
    assert_eq!(event["type"], "greeting.sent");

    std::fs::create_dir(gateway.path("log")).unwrap();
    let config = gateway.path("tidegate.toml");
    let output = gateway::command().arg("tail").arg("--config").arg(config).output().unwrap();
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.is_empty(), "{says}");
    assert!(says.contains("events go to Kafka at"), "{says}");
}
