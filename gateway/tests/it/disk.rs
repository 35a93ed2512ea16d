//! A disk that is really full.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::client::{Carrier, Sender};
use crate::destination::of_log;
use crate::faults::{numbered_events, times_produced};
use crate::gateway::{Gateway, PATIENCE, command};

/// Where a path of the gateway is seen from outside: its log is on a disk that is mounted for it alone.
fn seen(gateway: &Gateway, name: &str) -> PathBuf {
    let root = format!("/proc/{}/root", gateway.pid().as_raw_nonzero());
    PathBuf::from(root).join(gateway.path(name).strip_prefix("/").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_clients_back_and_they_go_on_when_it_has_room() {
    let mut gateway = Gateway::prepare("shutdown.drain_ms = 20000");
    gateway.launch_with_small_disk("log", "64m");
    gateway.ready().await;
    let events: Vec<_> = numbered_events(10_000)
        .into_iter()
        .map(|event| [&event[..event.len() - 1], br#","pad":""#, &[b'x'; 3_500], br#""}"#].concat())
        .collect();
    let mut sender = Sender::new("device-1", &events, 20);
    sender.run(&gateway, Carrier::WebSocket, 100).await.unwrap();

    // Somebody else takes what is left of the disk.
    let others = seen(&gateway, "log/others");
    let mut file = File::create(&others).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let deadline = Instant::now() + PATIENCE;
    let mut progress = sender.progress.subscribe();
    let stuck = async {
        loop {
            let (status, why) = gateway.readiness().await;
            if status == 503 {
                assert!(why.contains("the log cannot be written"), "{why}");
                return;
            }
            assert!(Instant::now() < deadline, "still ready with a full disk");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = sender.run(&gateway, Carrier::Quic, u64::MAX) => panic!("it ended although the disk is full: {ended:?}"),
        () = stuck => {}
    }
    let upto = *progress.borrow_and_update();
    assert!(upto < 10_000);
    let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/json");
    assert_eq!(request.body(r#"{"type":"t"}"#).send().await.unwrap().status(), 503);

    std::fs::remove_file(&others).unwrap();
    drop(file);
    gateway.ready().await;
    sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
    let config = gateway.path("outside.toml");
    std::fs::write(&config, format!("log.directory = \"{}\"\n", seen(&gateway, "log").display())).unwrap();
    let tail = command().args(["tail", "--config"]).arg(config).output().unwrap();
    let tail = String::from_utf8(tail.stdout).unwrap();
    let times = times_produced(&tail.lines().map(of_log).collect::<Vec<_>>());
    assert_eq!(times.len(), 10_000);
    assert!(times.values().all(|times| *times == 1), "stored more than once: {times:?}");
    gateway.assert_accounted().await;
}
