//! The client against a registry that says what it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::schema::{Subjects, Unreachable, Wanted, read_value};

/// What is answered by path, and the requests that came.
#[derive(Default)]
struct Said {
    answers: Mutex<BTreeMap<String, (u16, String)>>,
    heard: Mutex<Vec<String>>,
}

impl Said {
    fn say(&self, path: &str, status: u16, body: &(impl ToString + ?Sized)) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, body.to_string()));
    }

    /// Serves on loopback, and returns the URL.
    async fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/apis/ccompat/v7/", listener.local_addr().unwrap());
        let said = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap().to_owned();
                said.heard.lock().unwrap().push(head);
                let path = path.strip_prefix("/apis/ccompat/v7").unwrap_or_default();
                let answer = said.answers.lock().unwrap().get(path).cloned();
                let (status, body) = answer.unwrap_or((404, r#"{"error_code":40401,"message":"no"}"#.into()));
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                // Who has seen enough hangs up.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }
}

async fn registry(said: &Arc<Said>, credentials: Credentials) -> Registry {
    Registry::new(&said.serve().await, &credentials, None, Duration::from_secs(20)).unwrap()
}

fn subject(format: Format) -> Arc<Subject> {
    let wanted = Wanted { name: "a/b value".into(), format };
    Arc::clone(Subjects::new([wanted], Unreachable::Hold).get("a/b value").unwrap())
}

const LATEST: &str = "/subjects/a%2Fb%20value/versions/latest";

#[tokio::test]
async fn the_newest_schema_is_fetched_and_known_again() {
    let said = Arc::new(Said::default());
    let registry = registry(&said, Credentials::Basic("me".into(), "secret".into())).await;
    let subject = subject(Format::Avro);
    said.say(LATEST, 200, &json!({"subject": "a", "version": 1, "id": 7, "schema": "\"int\""}));
    assert_eq!(registry.refresh(&subject, || 5).await, Answer::Fetched);
    assert_eq!(registry.refresh(&subject, || 9).await, Answer::Unchanged);
    assert_eq!((subject.known().unwrap().id, subject.confirmed_ms()), (7, 9));
    let heard = said.heard.lock().unwrap()[0].to_lowercase();
    assert!(heard.contains("authorization: basic bwu6c2vjcmv0"), "{heard}");
    assert!(heard.contains("accept: application/vnd.schemaregistry.v1+json"), "{heard}");
    said.say(LATEST, 200, &json!({"id": 8, "schema": "\"long\""}));
    assert_eq!(registry.refresh(&subject, || 10).await, Answer::Fetched);
    assert_eq!(subject.known().unwrap().id, 8);
}

#[tokio::test]
async fn what_is_known_outlives_every_answer() {
    let said = Arc::new(Said::default());
    let registry = registry(&said, Credentials::None).await;
    let subject = subject(Format::Avro);
    assert_eq!(registry.refresh(&subject, || 0).await, Answer::Missing);
    assert!(!subject.is_known());
    said.say(LATEST, 200, &json!({"id": 7, "schema": "\"int\""}));
    assert_eq!(registry.refresh(&subject, || 0).await, Answer::Fetched);
    for (status, body, answer) in [
        (404, r#"{"error_code":40401}"#.to_owned(), Answer::Missing),
        (404, "nothing is here".to_owned(), Answer::Failed),
        (401, "{}".to_owned(), Answer::Failed),
        (500, "{}".to_owned(), Answer::Failed),
        (302, String::new(), Answer::Failed),
        (200, "<html>".to_owned(), Answer::Failed),
        (200, r#"{"id":8,"schema":"{"}"#.to_owned(), Answer::Unusable),
        (200, r#"{"id":8,"schemaType":"JSON","schema":"{}"}"#.to_owned(), Answer::Unusable),
        (200, r#"{"id":8,"schemaType":"PROTOBUF","schema":"x"}"#.to_owned(), Answer::Unusable),
        (200, format!(r#"{{"id":8,"schema":"{}"}}"#, "x".repeat(SCHEMA_BYTES_MAX + 1)), Answer::Unusable),
        (200, "x".repeat(4 * SCHEMA_BYTES_MAX), Answer::Failed),
    ] {
        said.say(LATEST, status, &body);
        let shown: String = body.chars().take(60).collect();
        assert_eq!(registry.refresh(&subject, || 0).await, answer, "{status} {shown}");
        assert_eq!(subject.known().unwrap().id, 7);
        assert!(subject.note("R").unwrap().ends_with("it goes on with the schema that it had"));
    }
}

#[tokio::test]
async fn references_are_fetched_each_once_and_within_bounds() {
    let said = Arc::new(Said::default());
    let registry = registry(&said, Credentials::None).await;
    let point = |name: &str, subject: &str| json!({"name": name, "subject": subject, "version": 3});
    said.say(
        LATEST,
        200,
        &json!({"id": 7, "schemaType": "JSON", "schema": r#"{"properties":{"a":{"$ref":"a.json"}}}"#,
            "references": [point("a.json", "a")]}),
    );
    let a = json!({"schema": r#"{"$ref":"b.json"}"#, "references": [point("b.json", "b")]});
    said.say("/subjects/a/versions/3", 200, &a);
    // They may go in circles.
    let b = json!({"schema": r#"{"type":"string"}"#, "references": [point("a.json", "a")]});
    said.say("/subjects/b/versions/3", 200, &b);
    let subject = subject(Format::Json);
    assert_eq!(registry.refresh(&subject, || 0).await, Answer::Fetched, "{:?}", subject.state());
    let judge = |json: &str| {
        subject.known().unwrap().schema.judge(&read_value(json.as_bytes()).unwrap(), 1_000, &mut Vec::new())
    };
    assert_eq!(judge(r#"{"a":"x"}"#), Ok(()));
    assert!(judge(r#"{"a":1}"#).is_err());
    assert_eq!(said.heard.lock().unwrap().len(), 3);
    for n in 0..100 {
        let next =
            json!({"schema": "{}", "references": [point(&format!("n{}", n + 1), &format!("n{}", n + 1))]});
        said.say(&format!("/subjects/n{n}/versions/3"), 200, &next);
    }
    said.say(
        LATEST,
        200,
        &json!({"id": 8, "schemaType": "JSON", "schema": "{}", "references": [point("n0", "n0")]}),
    );
    assert_eq!(registry.refresh(&subject, || 0).await, Answer::Unusable);
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let registry = Registry::new(&url, &Credentials::None, None, Duration::from_millis(50)).unwrap();
    let subject = subject(Format::Avro);
    assert_eq!(registry.refresh(&subject, || 0).await, Answer::Failed);
    assert!(subject.note("R").unwrap().contains("no answer within 50 ms"));
    drop(listener);
    assert_eq!(registry.refresh(&subject, || 0).await, Answer::Failed);
    assert!(subject.note("R").unwrap().contains("cannot connect"));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let new = |url: &str, ca: Option<&[u8]>| Registry::new(url, &Credentials::None, ca, Duration::ZERO).err();
    for url in ["", "localhost:8081", "ftp://a", "http://", "http://a/?b", "http://me:secret@a"] {
        assert!(new(url, None).is_some(), "{url}");
    }
    assert!(new("https://a", Some(b"x")).unwrap().contains("CA file has no certificate"));
    assert!(new("http://[::1]:8081/a", None).is_none());
}
