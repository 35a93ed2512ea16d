//! The log as its users see it: sessions that submit, clients that are told, readers, operators.

mod damage;
mod faults;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::record::testing::structured as records;
use crate::record::{Encoding, TopicId};
use crate::ticket::Settlement;
use crate::ticket::testing::ticket;

/// For what must happen, however busy the machine is.
const LONG: Duration = Duration::from_secs(60);
const SEGMENT_BYTES: u64 = 64 << 10;

fn config(directory: &Path, max_bytes: u64, segment_bytes: u64) -> config::Log {
    config::Log {
        directory: directory.to_owned(),
        max_bytes: ByteSize(max_bytes),
        segment_bytes: ByteSize(segment_bytes),
        max_age: None,
    }
}

fn topics() -> Arc<[String]> {
    ["events".to_owned(), "sensors".to_owned()].into()
}

/// A log of at most 1 MiB on a disk of choice.
fn open_on(disk: impl Disk, directory: &Path) -> (Log, LogSeries) {
    let metrics = LogSeries::default();
    let log =
        Log::open_on(disk, &config(directory, 1 << 20, SEGMENT_BYTES), metrics.clone(), topics()).unwrap();
    (log, metrics)
}

fn open(directory: &Path) -> (Log, LogSeries) {
    open_on(Os, directory)
}

/// Submits one frame that is taken whole.
#[track_caller]
fn submit<V: AsRef<[u8]>>(log: &Log, values: &[V]) -> Receiver<Settlement> {
    let (ticket, told) = ticket(u32::try_from(values.len()).unwrap());
    assert_eq!(log.submit(&records(values), 0, &ticket), values.len());
    told
}

/// Submits and waits until all of it is stored.
#[track_caller]
fn store<V: AsRef<[u8]>>(log: &Log, values: &[V]) {
    let frame = submit(log, values).recv_timeout(LONG).unwrap();
    assert_eq!((frame.stored as usize, frame.lost, frame.refused.len()), (values.len(), 0, 0));
}

/// Sequences and values of all records, and how many were damaged.
fn read(directory: &Path) -> (Vec<(u64, String)>, u64) {
    let mut cursor = Cursor::open(directory, 1).unwrap();
    let found = rest(&mut cursor);
    (found, cursor.damaged())
}

fn rest(cursor: &mut Cursor) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    while let Some(record) = cursor.next().unwrap() {
        found.push((record.sequence, String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned()));
    }
    found
}

#[track_caller]
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.unwrap() })
}

/// Ends the log in order.
fn end(log: Log) {
    block_on(log.drain(LONG));
    drop(log);
}

fn is_full(log: &Log, word: &str) -> bool {
    matches!(log.health(), Health::Away { reason: tidegate_wire::Reason::Full, detail } if detail.contains(word))
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{{\"n\":{n}}}")).collect()
}

#[test]
fn what_was_stored_is_read_back_and_numbering_goes_on_after_reopening() {
    let home = TempDir::new().unwrap();
    let directory = home.path().join("data/log");
    for round in 0..3_u64 {
        let (log, metrics) = open(&directory);
        store(&log, &["a", "b"]);
        store(&log, &["c"]);
        assert!(metrics.fsyncs.get() >= 2);
        assert_eq!(metrics.segments.get(), i64::try_from(round).unwrap() + 1);
        end(log);
    }
    let (found, damaged) = read(&directory);
    let expected: Vec<_> = (1..).zip(["a", "b", "c"].repeat(3).into_iter().map(str::to_owned)).collect();
    assert_eq!((found, damaged), (expected, 0));
}

#[test]
fn a_record_keeps_topic_key_timestamp_encoding_and_headers() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    let mut frame = Records::default();
    let mut draft = frame.draft(0, TopicId(1), Encoding::Binary, 1_700_000_000_123);
    draft.key(|out| out.extend_from_slice(b"device-1"));
    draft.value(|out| out.extend_from_slice(&[0, 255]));
    draft.header(&["ce_", "type"], |out| out.extend_from_slice(b"t"));
    draft.push();
    let (ticket, told) = ticket(1);
    assert_eq!(log.submit(&frame, 0, &ticket), 1);
    told.recv_timeout(LONG).unwrap();

    let mut cursor = Cursor::open(home.path(), 1).unwrap();
    let record = cursor.next().unwrap().unwrap();
    assert_eq!(
        (record.topic, record.encoding, record.timestamp_ms),
        ("sensors", Encoding::Binary, 1_700_000_000_123)
    );
    assert_eq!((record.key, record.value), (Some(&b"device-1"[..]), Some(&[0, 255][..])));
    assert_eq!(record.headers().collect::<Vec<_>>(), [("ce_type", &b"t"[..])]);
}

#[test]
fn a_log_rolls_over_many_segments_and_gives_back_what_they_do_not_use() {
    let home = TempDir::new().unwrap();
    let (log, metrics) = open(home.path());
    let value = "x".repeat(20_000);
    for _ in 0..10 {
        store(&log, &[&value]);
    }
    assert_eq!(metrics.segments.get(), 4);
    end(log);
    let on_disk: u64 = directory::segments(home.path()).unwrap().iter().map(|file| file.bytes).sum();
    assert_eq!(metrics.bytes.get(), i64::try_from(on_disk).unwrap());
    assert!(on_disk < 10 * 20_100 + 200);
    assert_eq!(read(home.path()).0.len(), 10);
}

#[test]
fn a_second_gateway_is_refused_and_told_why() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    let again = Log::open(&config(home.path(), 1 << 20, SEGMENT_BYTES), LogSeries::default(), topics());
    let message = again.unwrap_err().to_string();
    assert!(message.contains("in use") && message.contains(home.path().to_str().unwrap()), "{message}");
    end(log);
    drop(open(home.path()));
}

#[test]
fn a_directory_that_cannot_be_is_refused_by_name() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    for directory in [file.clone(), file.join("log")] {
        let refused = Log::open(&config(&directory, 1 << 20, SEGMENT_BYTES), LogSeries::default(), topics());
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(file.to_str().unwrap()), "{message}");
    }
}

#[test]
fn a_reader_follows_a_running_gateway() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    let mut cursor = Cursor::open(home.path(), 1).unwrap();
    assert_eq!(rest(&mut cursor), []);
    let big = "x".repeat(30_000);
    for n in 0..8_u64 {
        store(&log, &[&n.to_string(), &big]);
        assert_eq!(rest(&mut cursor), [(2 * n + 1, n.to_string()), (2 * n + 2, big.clone())]);
    }
    end(log);
    assert_eq!(rest(&mut cursor), []);
    let (log, _) = open(home.path());
    store(&log, &["after a restart"]);
    assert_eq!(rest(&mut cursor), [(17, "after a restart".to_owned())]);
    assert_eq!(cursor.damaged(), 0);
}

#[test]
fn a_reader_starts_where_it_is_asked_to() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    let big = "x".repeat(30_000);
    for _ in 0..6 {
        store(&log, &[&big]);
    }
    for closed in [false, true] {
        for from in 0..9 {
            let mut cursor = Cursor::open(home.path(), from).unwrap();
            let sequences: Vec<_> = rest(&mut cursor).into_iter().map(|(sequence, _)| sequence).collect();
            assert_eq!(sequences, (from.max(1)..=6).collect::<Vec<_>>(), "from {from}, closed {closed}");
            assert_eq!(cursor.damaged(), 0);
        }
        block_on(log.drain(LONG));
    }
}

#[test]
fn at_the_cap_records_wait_until_segments_are_moved_away() {
    let home = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let (log, metrics) = open(home.path());
    let frame = records(&["x".repeat(20_000)]);
    let mut stored = 0;
    loop {
        let (ticket, told) = ticket(1);
        if log.submit(&frame, 0, &ticket) == 0 {
            break;
        }
        assert_eq!(told.recv_timeout(LONG).unwrap().stored, 1);
        stored += 1;
        assert_eq!(log.health(), Health::Ready);
    }
    assert!((48..=52).contains(&stored), "{stored}");
    assert!(is_full(&log, "log.max_bytes"));
    assert!(metrics.bytes.get() <= 1 << 20);
    let on_disk: u64 = directory::segments(home.path()).unwrap().iter().map(|file| file.bytes).sum();
    assert!(on_disk <= 1 << 20, "{on_disk}");
    assert_eq!(read(home.path()).0.len(), stored);

    let oldest = directory::segments(home.path()).unwrap().remove(0).path;
    std::fs::rename(&oldest, elsewhere.path().join(oldest.file_name().unwrap())).unwrap();
    block_on(log.room());
    assert_eq!(log.health(), Health::Ready);
    store(&log, &["goes on"]);
    end(log);
    let (found, damaged) = read(home.path());
    assert_eq!((found.last().unwrap(), damaged), (&(stored as u64 + 1, "goes on".to_owned()), 0));
    assert_eq!(found.len() + read(elsewhere.path()).0.len(), stored + 1);
}

#[test]
fn a_log_opened_at_its_cap_is_still_at_its_cap() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    while log.submit(&records(&["x".repeat(20_000)]), 0, &ticket(1).0) == 1 {}
    end(log);
    let (log, _) = open(home.path());
    assert_eq!(log.submit(&records(&["x".repeat(20_000)]), 0, &ticket(1).0), 0);
    assert!(is_full(&log, "cap"));
}

#[test]
fn a_record_larger_than_any_may_be_is_refused_and_the_rest_stored() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    let (ticket, told) = ticket(3);
    let frame = records(&["a".to_owned(), "x".repeat(2 << 20), "b".to_owned()]);
    assert_eq!(log.submit(&frame, 0, &ticket), 3);
    let frame = told.recv_timeout(LONG).unwrap();
    assert_eq!((frame.stored, frame.refused[0].index), (2, 1));
    assert_eq!(log.health(), Health::Ready);
}

#[test]
fn many_sessions_at_once_are_each_told_of_their_own() {
    let home = TempDir::new().unwrap();
    let metrics = LogSeries::default();
    let log = Log::open(&config(home.path(), 1 << 28, 1 << 20), metrics.clone(), topics()).unwrap();
    std::thread::scope(|scope| {
        for session in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for frame in 0..50 {
                    let values: Vec<_> = (0..20).map(|n| format!("{session} {frame} {n}")).collect();
                    store(log, &values);
                }
            });
        }
    });
    end(log);
    let (found, damaged) = read(home.path());
    assert_eq!((found.len(), damaged), (8 * 50 * 20, 0));
    for session in 0..8 {
        let own = found.iter().filter(|(_, value)| value.starts_with(&format!("{session} ")));
        let expected = (0..50).flat_map(|frame| (0..20).map(move |n| format!("{session} {frame} {n}")));
        assert!(own.map(|(_, value)| value.clone()).eq(expected), "session {session} is out of order");
    }
}

#[test]
fn what_is_too_old_is_deleted_and_counted_and_the_log_goes_on() {
    let home = TempDir::new().unwrap();
    let max_age = Some(config::Age(Duration::from_secs(1)));
    let config = config::Log { max_age, ..config(home.path(), 1 << 20, SEGMENT_BYTES) };
    let metrics = LogSeries::default();
    let log = Log::open(&config, metrics.clone(), topics()).unwrap();
    store(&log, &["a", "b"]);
    log.release(2);
    for _ in 0..30_000 {
        if metrics.segments.get() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!((metrics.segments.get(), metrics.expired.get()), (0, 1), "the first one was taken elsewhere");
    assert_eq!(read(home.path()).0, []);
    store(&log, &["c"]);
    end(log);
    assert_eq!(read(home.path()).0, [(3, "c".to_owned())]);
}

#[test]
fn what_is_due_and_of_another_version_stays() {
    let home = TempDir::new().unwrap();
    let stored = |value: &str| {
        let (log, _metrics) = open(home.path());
        store(&log, &[value]);
        end(log);
    };
    stored("a");
    let path = directory::path(home.path(), 1);
    let mut foreign = fs::read(&path).unwrap();
    foreign[8] += 1;
    let sum = crc32c::crc32c(&foreign[..28]);
    foreign[28..32].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, &foreign).unwrap();
    stored("b");
    let (log, _metrics) = open(home.path());
    let own = directory::segments(home.path()).unwrap().pop().unwrap().path;
    store(&log, &["c"]);
    log.release(log.next());
    for _ in 0..30_000 {
        if !own.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(!own.exists());
    assert_eq!(fs::read(&path).unwrap(), foreign);
}

#[test]
fn who_forwards_a_full_log_is_not_told_to_move_it_away() {
    let sentence = |is_forwarded| at_cap(Path::new("data/log"), ByteSize(1 << 30), is_forwarded);
    assert!(sentence(false).contains("move its oldest .segment files elsewhere"));
    assert!(sentence(true).contains("see why Kafka does not take it, or raise log.max_bytes"));
    let home = TempDir::new().unwrap();
    let (log, _metrics) = open(home.path());
    assert!(!log.shared.is_forwarded());
    log.release(0);
    assert!(log.shared.is_forwarded());
}

#[test]
fn a_segment_that_is_taken_away_while_it_is_written_takes_nothing_later_with_it() {
    let home = TempDir::new().unwrap();
    let (log, _metrics) = open(home.path());
    let active = || directory::segments(home.path()).unwrap().pop().unwrap().path;
    store(&log, &["a"]);
    fs::remove_file(active()).unwrap();
    store(&log, &["b"]);
    fs::rename(active(), home.path().join("aside")).unwrap();
    store(&log, &["c"]);
    end(log);
    assert_eq!(read(home.path()).0, [(3, "c".to_owned())]);
}
