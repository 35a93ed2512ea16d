//! `tidegate health`, as a container engine runs it beside the gateway.

use std::net::TcpListener;

use crate::gateway::{Gateway, command};

/// Exit status, standard output and standard error.
fn health(gateway: &Gateway, more: &[&str]) -> (Option<i32>, String, String) {
    let output = command()
        .arg("--config")
        .arg(gateway.path("tidegate.toml"))
        .arg("health")
        .args(more)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_works_is_healthy_until_it_is_gone() {
    let mut gateway = Gateway::start("").await;
    assert_eq!(health(&gateway, &[]), (Some(0), "ok".into(), String::new()));
    assert_eq!(health(&gateway, &["--ready"]), (Some(0), r#"{"ready":true}"#.into(), String::new()));
    gateway.kill();
    let (status, out, error) = health(&gateway, &[]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(error.contains(&gateway.ops.to_string()) && error.lines().count() == 1, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_a_gateway_is_healthy_and_not_ready() {
    // Nothing answers there, since it is closed again at once.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut gateway = Gateway::prepare(&format!("kafka.brokers = \"{nobody}\""));
    gateway.launch();
    gateway.answers().await;
    assert_eq!(health(&gateway, &[]), (Some(0), "ok".into(), String::new()));
    let (status, _, error) = health(&gateway, &["--ready"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("503") && error.contains(&nobody.to_string()), "{error}");
}

#[test]
fn a_wrong_configuration_is_told_apart_from_a_sick_gateway() {
    let gateway = Gateway::prepare("nonsense = 1");
    let (status, _, error) = health(&gateway, &[]);
    assert_eq!(status, Some(78));
    assert!(error.contains("nonsense"), "{error}");
}
