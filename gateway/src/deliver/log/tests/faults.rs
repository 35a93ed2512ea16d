//! Disks that are slow, full or broken, and the end of a log.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Condvar, Mutex};

use super::*;

/// A disk whose operations fail or wait as told.
#[derive(Clone, Default)]
struct Faulty(Arc<Faults>);

#[derive(Default)]
struct Faults {
    create: AtomicBool,
    write: AtomicBool,
    sync: AtomicBool,
    held: Mutex<bool>,
    released: Condvar,
    waiting: AtomicUsize,
    /// The file whose sync failed first.
    distrusted: Mutex<Option<u64>>,
    /// Whether it was written again.
    trusted_again: AtomicBool,
}

impl Faulty {
    fn hold(&self, held: bool) {
        *self.0.held.lock().unwrap() = held;
        self.0.released.notify_all();
    }
}

fn fails(fault: &AtomicBool, error: i32) -> io::Result<()> {
    if fault.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(error)) } else { Ok(()) }
}

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

impl Disk for Faulty {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        fails(&self.0.create, ENOSPC).and_then(|()| Os.create(path, bytes))
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if *self.0.distrusted.lock().unwrap() == Some(file.metadata()?.ino()) {
            self.0.trusted_again.store(true, Ordering::SeqCst);
        }
        if fails(&self.0.write, ENOSPC).is_err() {
            // What a full disk does: some of it, then no more.
            Os.write(file, &bytes[..bytes.len() / 2], offset)?;
        }
        fails(&self.0.write, ENOSPC).and_then(|()| Os.write(file, bytes, offset))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let held = self.0.released.wait_while(self.0.held.lock().unwrap(), |held| *held);
        drop(held.unwrap());
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        if fails(&self.0.sync, EIO).is_err() {
            // Only the first: a later one may be removed and its number given to a new file.
            self.0.distrusted.lock().unwrap().get_or_insert(file.metadata()?.ino());
        }
        fails(&self.0.sync, EIO).and_then(|()| Os.sync(file))
    }
}

fn until(holds: impl Fn() -> bool) {
    let deadline = std::time::Duration::from_millis(2);
    for _ in 0..30_000 {
        if holds() {
            return;
        }
        std::thread::sleep(deadline);
    }
    panic!("it never happened");
}

#[test]
fn nothing_is_acknowledged_or_shown_before_the_sync_has_returned() {
    let home = TempDir::new().unwrap();
    let disk = Faulty::default();
    let (log, _) = open_on(disk.clone(), home.path());
    disk.hold(true);
    let told = submit(&log, &["a"]);
    until(|| disk.0.waiting.load(Ordering::SeqCst) == 1);
    assert!(told.try_recv().is_err());
    assert_eq!(read(home.path()).0, []);
    disk.hold(false);
    assert_eq!(told.recv_timeout(LONG).unwrap().stored, 1);
    assert_eq!(read(home.path()).0, [(1, "a".to_owned())]);
}

#[test]
fn what_was_taken_has_settled_once_the_disk_has_it_and_its_tickets_are_told() {
    let (home, disk) = (TempDir::new().unwrap(), Faulty::default());
    let (log, _metrics) = open_on(disk.clone(), home.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(log.settled());
    disk.hold(true);
    let told = submit(&log, &["a"]);
    let early =
        runtime.block_on(async { tokio::time::timeout(Duration::from_millis(20), log.settled()).await });
    assert!(early.is_err(), "it is not durable");
    disk.hold(false);
    runtime.block_on(log.settled());
    assert_eq!(told.try_recv().unwrap().stored, 1, "without waiting");
}

#[test]
fn what_comes_while_the_disk_is_busy_is_one_group() {
    let home = TempDir::new().unwrap();
    let disk = Faulty::default();
    let (log, metrics) = open_on(disk.clone(), home.path());
    disk.hold(true);
    let first = submit(&log, &["first"]);
    until(|| disk.0.waiting.load(Ordering::SeqCst) == 1);
    let others: Vec<_> = (0..50).map(|n| submit(&log, &[n.to_string()])).collect();
    disk.hold(false);
    for told in others.into_iter().chain([first]) {
        assert_eq!(told.recv_timeout(LONG).unwrap().stored, 1);
    }
    assert_eq!(metrics.fsyncs.get(), 2);
}

#[test]
fn a_full_group_is_not_taken_until_there_is_room() {
    let home = TempDir::new().unwrap();
    let disk = Faulty::default();
    let config = config(home.path(), 1 << 30, 64 << 20);
    let log = Log::open_on(disk.clone(), &config, LogSeries::default(), topics()).unwrap();
    disk.hold(true);
    let frame = records(&["x".repeat(1 << 20)]);
    let mut waiting = Vec::new();
    loop {
        let (ticket, told) = ticket(1);
        if log.submit(&frame, 0, &ticket) == 0 {
            break;
        }
        waiting.push(told);
        until(|| disk.0.waiting.load(Ordering::SeqCst) == 1);
    }
    assert_eq!(waiting.len(), 8, "one group being written, one filled with what fits");
    assert_eq!(log.health(), Health::Ready);
    std::thread::scope(|scope| {
        let room = scope.spawn(|| block_on(log.room()));
        assert!(!room.is_finished());
        disk.hold(false);
        room.join().unwrap();
    });
    for told in waiting {
        assert_eq!(told.recv_timeout(LONG).unwrap().stored, 1);
    }
    store(&log, &["goes on"]);
}

/// The disk fails in one way for a while: everything submitted is acknowledged once, after it works again.
fn survives(fault: impl Fn(&Faults) -> &AtomicBool, before: usize) {
    let home = TempDir::new().unwrap();
    let disk = Faulty::default();
    let (log, metrics) = open_on(disk.clone(), home.path());
    for n in 0..before {
        store(&log, &[format!("before {n}")]);
    }
    fault(&disk.0).store(true, Ordering::SeqCst);
    let big = "x".repeat(usize::try_from(SEGMENT_BYTES).unwrap());
    let values = [&"a", &"b", &big.as_str()];
    let told = submit(&log, &values);
    until(|| metrics.failures.get() >= 3);
    assert!(told.try_recv().is_err());
    assert!(is_full(&log, home.path().to_str().unwrap()));
    assert_eq!(log.submit(&records(["c"]), 0, &ticket(1).0), 0);
    assert_eq!(read(home.path()).0.len(), before, "a reader shows only what is durable");
    fault(&disk.0).store(false, Ordering::SeqCst);
    assert_eq!(told.recv_timeout(LONG).unwrap().stored, 3);
    block_on(log.room());
    assert_eq!(log.health(), Health::Ready);
    store(&log, &["c"]);
    for closed in [false, true] {
        let (found, damaged) = read(home.path());
        let numbers: Vec<_> = found.iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(numbers, (1..=before as u64 + 4).collect::<Vec<_>>(), "closed {closed}");
        assert_eq!((found[before].1.as_str(), damaged), ("a", 0));
        block_on(log.drain(LONG));
    }
    drop(log);
    assert_eq!(open(home.path()).1.damaged.get(), 0);
}

#[test]
fn no_space_for_a_segment_is_survived() {
    survives(|faults| &faults.create, 0);
    survives(|faults| &faults.create, 2);
}

#[test]
fn failing_writes_are_survived() {
    survives(|faults| &faults.write, 0);
    survives(|faults| &faults.write, 2);
}

#[test]
fn failing_syncs_are_survived() {
    survives(|faults| &faults.sync, 0);
    survives(|faults| &faults.sync, 2);
}

#[test]
fn a_segment_whose_sync_failed_is_not_written_again() {
    let home = TempDir::new().unwrap();
    let disk = Faulty::default();
    let (log, metrics) = open_on(disk.clone(), home.path());
    store(&log, &["before"]);
    disk.0.sync.store(true, Ordering::SeqCst);
    // Keeps the file and with it its identity.
    let suspect = File::open(&directory::segments(home.path()).unwrap()[0].path).unwrap();
    let told = submit(&log, &["a"]);
    until(|| metrics.failures.get() >= 1);
    disk.0.sync.store(false, Ordering::SeqCst);
    assert_eq!(told.recv_timeout(LONG).unwrap().stored, 1);
    assert_eq!(*disk.0.distrusted.lock().unwrap(), Some(suspect.metadata().unwrap().ino()));
    assert!(!disk.0.trusted_again.load(Ordering::SeqCst));
    assert_eq!(directory::segments(home.path()).unwrap().last().unwrap().first, 2);
}

#[test]
fn a_drain_settles_what_was_taken_and_takes_no_more() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    let told: Vec<_> = (0..50).map(|n| submit(&log, &[n.to_string()])).collect();
    block_on(log.drain(LONG));
    for told in told {
        assert_eq!(told.try_recv().unwrap().stored, 1);
    }
    assert_eq!(log.submit(&records(["late"]), 0, &ticket(1).0), 0);
}

#[test]
fn a_drain_ends_at_its_deadline_and_says_what_is_lost() {
    for hanging in [true, false] {
        let home = TempDir::new().unwrap();
        let disk = Faulty::default();
        let (log, _) = open_on(disk.clone(), home.path());
        disk.hold(hanging);
        disk.0.sync.store(!hanging, Ordering::SeqCst);
        let written = submit(&log, &["being written"]);
        until(|| hanging == (disk.0.waiting.load(Ordering::SeqCst) == 1));
        let waiting = log.submit(&records(["waiting"]), 0, &ticket(1).0);
        assert!(waiting <= 1);
        block_on(log.drain(Duration::from_millis(20)));
        assert_eq!(written.recv_timeout(LONG).unwrap().lost, 1, "hanging {hanging}");
        disk.hold(false);
    }
}

#[test]
fn a_dropped_log_still_writes_what_it_took() {
    let home = TempDir::new().unwrap();
    let (log, _) = open(home.path());
    let told = submit(&log, &["a"]);
    drop(log);
    assert_eq!(told.recv_timeout(LONG).unwrap().stored, 1);
}
