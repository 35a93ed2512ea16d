//! Bad input on every surface: each offence its code or status, and the gateway lives on for everybody else.

use tidegate_wire::{CloseCode, GatewayFrame, Hello};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Carrier, Client, Link, hello, within};
use crate::gateway::{self, Gateway};
use crate::tls::Authority;

/// Bytes that a client sends after it was welcomed, and the CLOSE they earn.
fn offences() -> Vec<(&'static str, Vec<u8>, CloseCode)> {
    let mut too_long = vec![0x03];
    too_long.extend([0x80, 0x10, 0x00, 0x00]);
    vec![
        ("a type that does not exist", b"\x0c\x00".to_vec(), CloseCode::BadFrame),
        ("a gateway's frame", b"\x04\x00".to_vec(), CloseCode::BadFrame),
        ("a second HELLO", b"\x01\x07{\"v\":1}".to_vec(), CloseCode::BadFrame),
        ("control JSON that does not parse", b"\x05\x01{".to_vec(), CloseCode::BadFrame),
        ("records that are cut short", b"\x03\x04\x00\x01\x02\x00".to_vec(), CloseCode::BadFrame),
        ("bytes left after the last record", b"\x03\x04\x00\x01\x00\xff".to_vec(), CloseCode::BadFrame),
        ("a flag that does not exist", b"\x03\x03\x08\x01\x00".to_vec(), CloseCode::BadFrame),
        ("a number 0", b"\x03\x03\x00\x00\x00".to_vec(), CloseCode::BadFrame),
        ("gzip that does not inflate", b"\x03\x05\x01\x01\x01xx".to_vec(), CloseCode::BadFrame),
        ("more events than a frame may have", b"\x03\x04\x00\x01\x47\xd0".to_vec(), CloseCode::TooLarge),
        ("a PING of nine bytes", b"\x06\x09123456789".to_vec(), CloseCode::TooLarge),
        ("a frame beyond the limit", too_long, CloseCode::TooLarge),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_frame_ends_its_session_on_every_binary_carrier_and_no_other() {
    let gateway = Gateway::start("").await;
    let mut good = Client::open(&gateway, Carrier::WebSocket, "good", 1).await;
    for carrier in [Carrier::WebTransport, Carrier::Quic, Carrier::WebSocket] {
        for (what, bytes, code) in offences() {
            let mut client = Client::open(&gateway, carrier, "bad", 1).await;
            client.raw(&bytes).await.unwrap();
            let close = closed(&mut client).await;
            assert_eq!(close.0, code, "{what} on {carrier:?}");
            assert!(!close.1.is_empty(), "{what} on {carrier:?} says nothing");
        }
    }
    good.events(1, &[r#"{"type":"t"}"#]).await.unwrap();
    let GatewayFrame::Ack(ack) = good.next().await.unwrap() else { panic!("expected ACK") };
    assert_eq!(ack.upto, 1);
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_json_frame_ends_its_session() {
    let gateway = Gateway::start("").await;
    let cases = [
        ("not JSON", "{", CloseCode::BadFrame),
        ("no name", "{}", CloseCode::BadFrame),
        ("events that are no list", r#"{"t":"ev","s":1,"e":{}}"#, CloseCode::BadFrame),
        ("a number 0", r#"{"t":"ev","s":0,"e":[]}"#, CloseCode::BadFrame),
        ("no number", r#"{"t":"ev","e":[]}"#, CloseCode::BadFrame),
        ("a gateway's frame", r#"{"t":"ack"}"#, CloseCode::BadFrame),
        ("a long PING", r#"{"t":"ping","d":"123456789"}"#, CloseCode::TooLarge),
    ];
    for (what, text, code) in cases {
        let mut client = Client::open(&gateway, Carrier::WebSocketJson, "bad", 1).await;
        client.text(text).await.unwrap();
        assert_eq!(closed(&mut client).await.0, code, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_frame_that_is_not_a_good_hello_is_refused() {
    let (_token, hash) = crate::token::make("web");
    let auth = format!(
        "auth.mode = \"tokens\"\n[[auth.tokens]]\nid = \"web\"\nhash = \"{hash}\"\nclients = \"web-*\"\n"
    );
    let gateway = Gateway::start(&auth).await;
    let with_token = |token: &str| Hello { token: Some(token.to_owned()), ..hello("web-1", 1) };
    let cases = [
        ("no token", hello("web-1", 1), CloseCode::Auth),
        ("a token without a dot", with_token("secret"), CloseCode::Auth),
        ("a wrong secret", with_token("web.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), CloseCode::Auth),
        ("an unknown id", with_token("app.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), CloseCode::Auth),
    ];
    for carrier in Carrier::ALL {
        for (what, hello, code) in &cases {
            let mut link = Link::connect(&gateway, carrier).await.unwrap();
            link.send(&tidegate_wire::ClientFrame::Hello(hello.clone())).await.unwrap();
            match within(link.next()).await.unwrap().unwrap() {
                GatewayFrame::Close(close) => assert_eq!(close.code, *code, "{what} on {carrier:?}"),
                other => panic!("{what} on {carrier:?}: {other:?}"),
            }
        }
    }
}

/// Requests as raw text: what no client library would send is the point.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_gets_its_status_and_a_problem_document() {
    let gateway = Gateway::start("limits.max_body_bytes = \"1MiB\"").await;
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let json = "content-type: application/json\r\n";
    let cases = [
        ("no such path", "GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), 404),
        ("a wrong method", "PUT /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(), 405),
        ("no content type", post("", "{}"), 415),
        ("an unknown content type", post("content-type: image/png\r\n", "{}"), 415),
        ("an unknown coding", post("content-type: application/json\r\ncontent-encoding: br\r\n", "{}"), 415),
        ("not JSON", post(json, "nonsense"), 400),
        ("neither object nor array", post(json, "17"), 400),
        ("gzip that is none", post("content-type: application/json\r\ncontent-encoding: gzip\r\n", "{}"), 400),
        ("an announced size beyond the limit", "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n".to_owned(), 413),
        ("half of the session headers", post("content-type: application/json\r\ntidegate-client: a\r\n", "{}"), 400),
        ("a foreign origin", post("content-type: application/json\r\norigin: https://evil.example\r\n", "{}"), 403),
        ("every event refused", post(json, "{}"), 422),
        ("a stream without a subprotocol", "GET /v1/stream HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".to_owned(), 400),
    ];
    for (what, request, status) in cases {
        let answer = raw(&gateway, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        if status != 422 {
            assert!(answer.contains("application/problem+json"), "{what}: {answer}");
        }
    }
    // Something that is not HTTP at all is cut off, and the next client is served.
    let _ = raw(&gateway, b"\x16\x03\x01\x00\x05hello\r\n\r\n").await;
    let answer = raw(&gateway, post(json, r#"{"type":"t"}"#).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    gateway.assert_accounted().await;
}

#[test]
fn a_bad_command_line_says_what_would_be_right() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, status, says) in [
        (vec!["--no-such-flag"], 2, "--no-such-flag"),
        (vec!["no-such-command"], 2, "no-such-command"),
        (vec!["tail", "--from", "x"], 2, "--from"),
        (vec!["--config", "/no/such/file.toml"], 78, "/no/such/file.toml"),
    ] {
        let output = gateway::command().args(&arguments).current_dir(&directory).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_bad_configuration_is_refused_with_line_caret_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    for (config, says) in [
        ("listen.secur = \"localhost:1\"", "secure"),
        ("listen.plain = \"0.0.0.0:8080\"", "auth.mode"),
        ("listen.plain = \"${NO_SUCH_VARIABLE_IS_SET}\"", "NO_SUCH_VARIABLE_IS_SET"),
        ("[[routes]]\nwhen = 'type.endWith(\"x\")'\ntopic = \"t\"", "endsWith"),
        ("[kafka]\nbrokers = \"localhost:1\"\n[kafka.properties]\nacks = \"1\"", "acks"),
    ] {
        let (status, stderr) = gateway::refused(directory.path(), config);
        assert_eq!(status, Some(78), "{config}: {stderr}");
        assert!(stderr.contains(says) && stderr.contains("tidegate.toml"), "{config}: {stderr}");
    }
}

#[test]
fn what_cannot_be_had_is_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().display();
    let base = format!("listen.ops = \"127.0.0.1:0\"\nlisten.secure = \"\"\nlog.directory = \"{dir}/log\"\n");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap();
    let unwritable = "listen.ops = \"127.0.0.1:0\"\nlisten.secure = \"\"\nlisten.plain = \"127.0.0.1:0\"\nlog.directory = \"/proc/none\"\n".to_owned();
    for (config, says) in [
        (format!("{base}listen.plain = \"{busy}\"\n"), busy.to_string()),
        (unwritable, "/proc/none".to_owned()),
    ] {
        let (status, stderr) = gateway::refused(directory.path(), &config);
        assert_eq!(status, Some(1), "{stderr}");
        assert!(stderr.lines().any(|line| line.contains(&says)), "{says} is not in: {stderr}");
        assert_eq!(stderr.matches("os error").count(), 1, "a cause is repeated: {stderr}");
    }
}

#[test]
fn what_files_and_libraries_alone_can_judge_is_shown_in_its_place_by_check_and_by_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tidegate.toml");
    let dir = directory.path().display();
    let base = format!(
        "listen.ops = \"127.0.0.1:0\"\nlisten.plain = \"\"\nlisten.secure = \"127.0.0.1:0\"\n\
         log.directory = \"{dir}/log\"\nlisten.quic_key = \"{dir}/quic.key\"\n"
    );
    Authority::write(directory.path());
    std::fs::write(directory.path().join("other.key"), "no key").unwrap();
    let properties = "[kafka]\nbrokers = \"localhost:1\"\n[kafka.properties]\n";
    for (section, line, says) in [
        (format!("[tls]\ncertificate = \"{dir}/none.crt\"\nkey = \"{dir}/tls.key\""), 7, "none.crt"),
        (format!("[tls]\ncertificate = \"{dir}/tls.crt\"\nkey = \"{dir}/other.key\""), 8, "other.key"),
        (format!("{properties}\"linger.msec\" = \"5\""), 9, "librdkafka has no property `linger.msec`"),
        (format!("{properties}\"compression.type\" = \"best\""), 9, "best"),
        (
            format!("{properties}\"security.protocol\" = \"ssl\"\n\"ssl.ca.location\" = \"/none\""),
            10,
            "ssl.ca.location",
        ),
    ] {
        std::fs::write(&path, format!("{base}{section}\n")).unwrap();
        for command in ["check", "serve"] {
            let output = gateway::command().arg("--config").arg(&path).arg(command).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{command}: {stderr}");
            let place = format!("tidegate.toml:{line}:");
            assert!(stderr.contains(&place) && stderr.contains(says), "{command}, {place} {says}: {stderr}");
        }
    }
}

async fn closed(client: &mut Client) -> (CloseCode, String) {
    loop {
        match client.next().await.unwrap() {
            GatewayFrame::Close(close) => return (close.code, close.msg.unwrap_or_default()),
            GatewayFrame::Ack(_) => {}
            other => panic!("expected CLOSE, got {other:?}"),
        }
    }
}

async fn raw(gateway: &Gateway, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.plain).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A connection that was reset has said what it had to say.
    let _ = within(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
