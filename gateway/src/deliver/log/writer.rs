//! The one thread that writes: a group at a time, one sync a group, then its tickets.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::at_cap;
use super::directory::{self, Watermark};
use super::disk::Disk;
use super::group::{Shared, Tickets, Work};
use super::retention::{self, Clock, Going};
use super::scan::Scan;
use super::segment::{self, HEADER_BYTES};
use crate::config::ByteSize;
use crate::metrics::LogSeries;

/// How often a log at its cap looks whether segments were moved away.
const AT_CAP_EVERY: Duration = Duration::from_millis(250);
/// How often it looks otherwise, at least: for what has become too old.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// What is kept of the memory of a group that was written.
const KEEP_BYTES: usize = 1 << 20;
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Owns the directory while the log is open.
pub(super) struct Writer<D> {
    pub disk: D,
    pub directory: PathBuf,
    pub watermark: Watermark,
    pub shared: Arc<Shared>,
    pub metrics: LogSeries,
    pub segment_bytes: u64,
    pub bytes_max: u64,
    /// What is older is deleted.
    pub max_age: Option<Duration>,
    /// Says how late it is, where that matters.
    pub clock: Option<Clock>,
    /// Up to which sequence an operator knows that segments of another version are kept.
    pub told_foreign: u64,
    /// When to look next for what is.
    pub tidy_at: Instant,
    /// The sequence of the next record.
    pub next: u64,
    pub active: Option<Active>,
    /// Bytes of the other segments, and how many there are.
    pub sealed_bytes: u64,
    pub sealed_count: usize,
    /// Whether the gateway's log says that this one is full.
    pub told_full: bool,
}

/// The segment that is being written. It exists from the first group on.
pub(super) struct Active {
    file: File,
    first: u64,
    /// Durable content.
    used: u64,
    capacity: u64,
    begun_at: Instant,
}

#[expect(clippy::disallowed_methods, reason = "the writer has a clock: what it keeps may become too old")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "files are dated by the wall clock")]
pub(super) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Says that the writer has ended, be it by a fault.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl<D: Disk> Writer<D> {
    /// Writes what comes until the log is closed.
    pub(super) fn run(self) {
        // Dropped after the writer, so that the directory is unlocked before anybody is told.
        let _end = End(self.shared.clone());
        let mut writer = self;
        writer.work();
    }

    fn work(&mut self) {
        let mut group = Vec::new();
        let mut tickets = Tickets::new();
        loop {
            match self.shared.next(&mut group, AT_CAP_EVERY, self.tidy_every()) {
                Work::Write => self.write(&mut group, &mut tickets),
                Work::Tidy => self.tidy(),
                Work::Finish => break,
            }
            if now() >= self.tidy_at {
                self.tidy();
            }
            self.tell_fullness();
        }
        self.seal();
        if let Err(error) = self.watermark.sync() {
            tracing::warn!(%error, "the log's watermark could not be synced");
        }
    }

    /// Says once that the log has become full, and once that there is room again.
    fn tell_fullness(&mut self) {
        let is_full = self.shared.is_at_cap();
        if is_full == self.told_full {
            return;
        }
        self.told_full = is_full;
        if is_full {
            let sentence = at_cap(&self.directory, ByteSize(self.bytes_max), self.shared.is_forwarded());
            tracing::warn!("{sentence}; until then clients wait");
        } else {
            tracing::info!("the log in {} has room again", self.directory.display());
        }
    }

    /// Makes the group durable and settles its tickets; empties both.
    fn write(&mut self, group: &mut Vec<u8>, tickets: &mut Tickets) {
        let next = segment::number(group, self.next);
        let mut delay = RETRY_FIRST;
        while let Err(error) = self.commit(group) {
            self.abandon();
            self.metrics.failures.inc();
            let directory = self.directory.display();
            tracing::error!(%directory, %error, "the log cannot be written; trying again");
            self.shared.failed(format!(
                "the log cannot be written in {directory}: {error}; nothing is acknowledged until it can"
            ));
            if !self.shared.pause(delay) {
                self.shared.lose();
                group.clear();
                return;
            }
            delay = (delay * 2).min(RETRY_MAX);
            // What is not needed any more may be just the room that is missing.
            self.delete();
        }
        self.next = next;
        self.metrics.fsyncs.inc();
        if let Err(error) = self.watermark.publish(next) {
            // Only `tail` lags until the next group.
            tracing::warn!(%error, "the log's watermark could not be written");
        }
        self.shared.written(self.stored_bytes(), next, tickets);
        for (ticket, count) in tickets.drain(..) {
            ticket.stored(count);
        }
        self.shared.told(next);
        group.clear();
        group.shrink_to(KEEP_BYTES);
    }

    /// Returns once the group is durable.
    fn commit(&mut self, group: &[u8]) -> io::Result<()> {
        let length = group.len() as u64;
        let is_over =
            |active: &Active| active.used + length > active.capacity || !self.is_in_its_place(active);
        if self.active.as_ref().is_some_and(is_over) {
            self.seal();
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.create(length)?,
        };
        let written =
            self.disk.write(&active.file, group, active.used).and_then(|()| self.disk.sync(&active.file));
        if written.is_ok() {
            active.used += length;
        }
        self.active = Some(active);
        self.count();
        written
    }

    /// Whether the active segment's file is where readers look for it. What goes into one that was moved away or deleted
    /// would be acknowledged and found by nobody.
    fn is_in_its_place(&self, active: &Active) -> bool {
        let path = directory::path(&self.directory, active.first);
        let (own, there) = (active.file.metadata(), fs::metadata(&path));
        let is_there = own.is_ok_and(|own| there.is_ok_and(|there| there.ino() == own.ino()));
        if !is_there {
            let path = path.display();
            tracing::error!(
                "{path} was moved away or deleted while it was written: the log goes on without it"
            );
        }
        is_there
    }

    /// Begins a segment with room for at least `length` bytes of records.
    fn create(&mut self, length: u64) -> io::Result<Active> {
        self.recount();
        let capacity = self.segment_bytes.min(self.bytes_max.saturating_sub(self.sealed_bytes));
        let capacity = capacity.max(HEADER_BYTES + length);
        // A segment gets its name when it is whole. If that name is taken, then by one that nothing in was
        // ever acknowledged: its first sync failed.
        let unnamed = self.directory.join("next");
        let file = self.disk.create(&unnamed, capacity)?;
        self.disk.write(&file, &segment::header(self.next), 0)?;
        file.sync_all()?;
        self.disk.publish(&unnamed, &directory::path(&self.directory, self.next), &self.directory)?;
        Ok(Active { file, first: self.next, used: HEADER_BYTES, capacity, begun_at: now() })
    }

    /// Ends the active segment, giving back what it does not use.
    fn seal(&mut self) {
        let Some(active) = self.active.take() else { return };
        self.sealed_bytes += active.used;
        self.sealed_count += 1;
        if let Err(error) = active.file.set_len(active.used) {
            // It stays longer than it need be.
            tracing::warn!(%error, first = active.first, "a segment could not be cut to its size");
        }
    }

    /// Leaves the active segment after a failure. What it held before stays; what the failed group left behind
    /// it is cut off, and where that fails too is superseded by the next segment, which has the same sequences.
    fn abandon(&mut self) {
        let Some(active) = self.active.take() else {
            // The reserved space of a half-made segment would keep the disk full.
            let _ = fs::remove_file(self.directory.join("next"));
            return;
        };
        if active.used > HEADER_BYTES {
            self.active = Some(active);
            self.seal();
        } else if let Err(error) = fs::remove_file(directory::path(&self.directory, active.first)) {
            tracing::warn!(%error, first = active.first, "an unused segment could not be removed");
        }
    }

    /// Deletes what is not needed any more, and counts what is left.
    fn tidy(&mut self) {
        self.tidy_at = now() + self.tidy_every();
        // At the cap every segment may be moved away or deleted, so none is left open; and an old one is ended in time.
        let is_old = |active: &Active| {
            active.used > HEADER_BYTES
                && self.max_age.is_some_and(|max_age| active.begun_at.elapsed() >= max_age / retention::PARTS)
        };
        if self.shared.is_at_cap() || self.active.as_ref().is_some_and(is_old) {
            self.seal();
        }
        self.delete();
        self.shared.recounted(self.stored_bytes());
    }

    fn tidy_every(&self) -> Duration {
        let parts = self.max_age.map_or(TIDY_EVERY, |max_age| max_age / retention::PARTS);
        parts.clamp(AT_CAP_EVERY, TIDY_EVERY)
    }

    /// Deletes the segments that are forwarded or too old, whole ones and the oldest first.
    fn delete(&mut self) {
        self.recount();
        let Ok(mut files) = directory::segments(&self.directory) else { return };
        let being_written = self.active.as_ref().map_or(self.next, |active| active.first);
        files.retain(|file| file.first < being_written);
        let time = self.clock.as_mut().and_then(|clock| clock.read(wall_clock(), now()));
        let going = retention::going(&files, being_written, self.shared.released(), self.max_age, time);
        let mut expired = 0;
        for going in &going {
            if self.is_foreign(going) {
                continue;
            }
            if let Err(error) = fs::remove_file(&going.path) {
                tracing::warn!(path = %going.path.display(), %error, "a segment could not be deleted");
                break;
            }
            expired += going.expired;
        }
        if going.is_empty() {
            return;
        }
        if expired > 0 {
            self.metrics.expired.inc_by(expired);
            tracing::warn!(
                records = expired,
                "the log has deleted records that were older than log.max_age and that nothing had taken"
            );
        }
        self.recount();
    }

    /// Whether a segment is of another version: then nobody can say what it holds, and it stays.
    fn is_foreign(&mut self, going: &Going) -> bool {
        let is_foreign = Scan::open(&going.path, going.first).is_ok_and(|scan| scan.is_foreign());
        if is_foreign && self.told_foreign <= going.first {
            self.told_foreign = going.first + 1;
            let path = going.path.display();
            tracing::warn!(
                "{path} was written by another version of tidegate and is not deleted, though it is due: move it away if \
                 it is not needed"
            );
        }
        is_foreign
    }

    /// Looks what is in the directory beside the active segment.
    pub(super) fn recount(&mut self) {
        match directory::segments(&self.directory) {
            Ok(mut files) => {
                // Of the segment that is about to begin there may be a first attempt, which it will replace.
                let being_written = self.active.as_ref().map_or(self.next, |active| active.first);
                files.retain(|file| file.first != being_written);
                self.sealed_bytes = files.iter().map(|file| file.bytes).sum();
                self.sealed_count = files.len();
                let oldest_end = files.get(1).map_or(being_written, |second| second.first);
                self.shared.oldest_ends(if files.is_empty() { u64::MAX } else { oldest_end });
                self.count();
            }
            Err(error) => tracing::warn!(%error, "the log's directory cannot be listed"),
        }
    }

    /// Bytes of the log that count against its cap.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.sealed_bytes + self.active.as_ref().map_or(0, |active| active.used)
    }

    fn count(&self) {
        let segments = self.sealed_count + usize::from(self.active.is_some());
        self.metrics.segments.set(i64::try_from(segments).unwrap_or(i64::MAX));
        self.metrics.bytes.set(i64::try_from(self.stored_bytes()).unwrap_or(i64::MAX));
    }
}
