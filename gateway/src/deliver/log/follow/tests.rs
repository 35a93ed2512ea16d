//! What those who watch are shown of a log that is being written.

use std::pin::{Pin, pin};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config;
use crate::deliver::Sink as _;
use crate::deliver::log::Log;
use crate::metrics::LogSeries;
use crate::record::testing::structured;
use crate::ticket::testing::ticket;

struct Home {
    directory: TempDir,
    log: Log,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config::Log { directory: directory.path().to_owned(), ..config::Log::default() };
        let log = Log::open(&config, LogSeries::default(), ["events".to_owned()].into()).unwrap();
        Self { directory, log }
    }

    fn follow(&self) -> Follow {
        Follow::new(self.directory.path())
    }

    /// Returns when all are durable.
    fn store(&self, events: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let records = structured(events);
        let (ticket, settlement) = ticket(u32::try_from(records.len()).unwrap());
        let mut taken = 0;
        while taken < records.len() {
            taken += self.log.submit(&records, taken, &ticket);
        }
        settlement.recv().unwrap();
    }
}

/// Reads lines until they tell of `count` events, shown or skipped.
async fn read(mut lines: Pin<&mut impl Stream<Item = Bytes>>, count: u64) -> Vec<Value> {
    let (mut found, mut told) = (Vec::new(), 0);
    while told < count {
        let text = tokio::time::timeout(Duration::from_secs(30), lines.next()).await.unwrap().unwrap();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            told += line["skipped"].as_u64().unwrap_or(1);
            found.push(line);
        }
    }
    assert_eq!(told, count);
    found
}

#[tokio::test]
async fn what_is_written_from_now_on_is_shown_to_everybody() {
    let home = Home::new();
    home.store(["{\"before\":true}"]);
    let follow = home.follow();
    let mut first = pin!(follow.lines(None).await.unwrap());
    home.store(["{\"n\":1}", "{\"n\":\n2}"]);
    let event =
        |sequence: u64, event: Value| json!({"sequence": sequence, "topic": "events", "event": event});
    assert_eq!(read(first.as_mut(), 2).await, [event(2, json!({"n": 1})), event(3, json!({"n": 2}))]);
    let mut second = pin!(follow.lines(None).await.unwrap());
    home.store(["{\"n\":3}"]);
    for reader in [first.as_mut()] {
        assert_eq!(read(reader, 1).await, [event(4, json!({"n": 3}))]);
    }
    assert_eq!(read(second.as_mut(), 1).await, [event(4, json!({"n": 3}))]);
}

#[tokio::test]
async fn a_large_event_is_told_by_its_size() {
    let home = Home::new();
    let mut lines = pin!(home.follow().lines(None).await.unwrap());
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(EVENT_BYTES_MAX));
    home.store([&large]);
    let told = read(lines.as_mut(), 1).await;
    assert_eq!(told, [json!({"sequence": 1, "topic": "events", "event_bytes": large.len()})]);
}

#[tokio::test]
async fn who_does_not_read_is_told_how_much_it_missed() {
    let home = Home::new();
    let follow = home.follow();
    let mut slow = pin!(follow.lines(None).await.unwrap());
    let mut quick = pin!(follow.lines(None).await.unwrap());
    let event = format!("{{\"data\":\"{}\"}}", "x".repeat(4_000));
    // More than the ring holds, each round within what a round shows.
    for _ in 0..40 {
        home.store((0..50).map(|_| &event));
        read(quick.as_mut(), 50).await;
    }
    let told = read(slow.as_mut(), 2_000).await;
    let skipped = told[0]["skipped"].as_u64().unwrap();
    assert!((500..2_000).contains(&skipped), "{skipped}");
    assert_eq!(told[1]["sequence"], skipped + 1);
    assert_eq!(told.len() as u64, 2_000 - skipped + 1);
}

#[tokio::test]
async fn a_round_shows_so_much_and_counts_the_rest() {
    let home = Home::new();
    let mut lines = pin!(home.follow().lines(None).await.unwrap());
    let event = format!("{{\"data\":\"{}\"}}", "x".repeat(4_000));
    home.store((0..1_000).map(|_| &event));
    let told = read(lines.as_mut(), 1_000).await;
    let skipped: u64 = told.iter().filter_map(|line| line["skipped"].as_u64()).sum();
    assert!(skipped > 0, "4 MB may not be shown in one round");
}

#[tokio::test]
async fn the_thread_ends_with_its_last_reader_and_comes_back_with_the_next() {
    let home = Home::new();
    let follow = home.follow();
    drop(follow.lines(None).await.unwrap());
    let ended = async {
        while follow.0.lock().pieces.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    home.store(["{\"n\":1}"]);
    let mut lines = pin!(follow.lines(None).await.unwrap());
    home.store(["{\"n\":2}"]);
    assert_eq!(read(lines.as_mut(), 1).await[0]["sequence"], 2);
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was_or_is_told_what_it_missed() {
    let home = Home::new();
    home.store((0..5).map(|n| format!("{{\"n\":{n}}}")));
    let follow = home.follow();
    let mut back = pin!(follow.lines(Some(2)).await.unwrap());
    let told = read(back.as_mut(), 3).await;
    assert_eq!(told.iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5]);

    let mut later = pin!(follow.lines(Some(1)).await.unwrap());
    home.store(["{\"n\":5}"]);
    let told = read(later.as_mut(), 5).await;
    assert_eq!((&told[0], &told[1]["sequence"]), (&json!({"skipped": 4}), &json!(6)));
}

#[tokio::test]
async fn who_was_in_another_log_goes_on_from_now() {
    let home = Home::new();
    home.store(["{\"n\":1}"]);
    let follow = home.follow();
    let mut lines = pin!(follow.lines(Some(u64::MAX)).await.unwrap());
    home.store(["{\"n\":2}"]);
    assert_eq!(read(lines.as_mut(), 1).await[0]["sequence"], 2);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    let error = Follow::new(&home.path().join("nowhere")).lines(None).await.err().unwrap();
    assert!(error.to_string().contains("nowhere"), "{error}");
}
