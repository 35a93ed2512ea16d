//! The embedded log: the destination where no Kafka is configured.
//!
//! ```text
//! submit -> group (filling) ~swap~> group (writing) -> segment, one fdatasync -> tickets
//! ```
//!
//! One thread writes. While it waits for the device, the next group fills; so the slower the device, the larger the
//! groups, and no record waits for a timer. A record is acknowledged after its group's sync and never before.
//! `segment` has the format, `scan` finds records among whatever else is in a file, `recover` opens what a crash left
//! behind, `reader` is for everybody else, and `follow` shows to the demo page what comes.

mod directory;
mod disk;
mod follow;
mod group;
mod reader;
mod recover;
mod retention;
mod scan;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tidegate_wire::Level;

pub use self::follow::Follow;
pub use self::reader::{Cursor, Stored};

pub(super) use self::directory::{Rest, Watermark};
pub(super) use self::group::Taken;

use self::directory::SegmentFile;
use self::disk::{Disk, Os};
use self::group::Shared;
use self::retention::Clock;
use self::writer::Writer;
use super::bell::Bell;
use super::{Health, Pending, Sink};
use crate::config::{self, ByteSize};
use crate::metrics::LogSeries;
use crate::record::Records;
use crate::ticket::Ticket;

/// Why a log cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused something.
    #[error("the log: cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two gateways may not write one log.
    #[error(
        "the log: {} is in use by another gateway; stop that one, or give this one a log.directory of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// Of a version to come, or of another program.
    #[error(
        "the log: {} was written by another version of tidegate; start that one, or move the file away: then what it holds \
         is not forwarded",
        .0.display()
    )]
    Foreign(PathBuf),
}

impl LogError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The embedded log as a destination. Dropping it lets the writer finish what was taken, without waiting for it.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    topics: Arc<[String]>,
    directory: PathBuf,
    cap: ByteSize,
    closed: Arc<AtomicBool>,
}

impl Log {
    /// Opens the log, making its directory where it is missing, and goes on where it ended. Blocks on the disk.
    ///
    /// `topics` are the names that [`crate::record::TopicId`]s stand for. Damage is counted and passed over; an error
    /// means that nothing could be written: the directory cannot be made, read or written, or is in use.
    pub fn open(config: &config::Log, metrics: LogSeries, topics: Arc<[String]>) -> Result<Self, LogError> {
        Self::open_on(Os, config, metrics, topics)
    }

    fn open_on(
        disk: impl Disk,
        config: &config::Log,
        metrics: LogSeries,
        topics: Arc<[String]>,
    ) -> Result<Self, LogError> {
        let directory = config.directory.clone();
        let bytes_max = config.max_bytes.0;
        directory::create(&directory)?;
        let watermark = Watermark::claim(&directory)?;
        let found = recover::recover(&directory, watermark.load())?;
        metrics.damaged.inc_by(found.damaged);
        let file = directory.join("durable");
        watermark
            .publish(found.next)
            .and_then(|()| watermark.sync())
            .map_err(LogError::io("write", &file))?;

        let shared = Arc::new(Shared::new(bytes_max, found.next));
        let mut writer = Writer {
            disk,
            directory: directory.clone(),
            watermark,
            shared: shared.clone(),
            metrics: metrics.clone(),
            segment_bytes: config.segment_bytes.0,
            bytes_max,
            max_age: config.max_age.map(|age| age.0),
            clock: config.max_age.map(|age| Clock::new(age.0, writer::wall_clock(), writer::now())),
            told_foreign: 0,
            tidy_at: writer::now(),
            next: found.next,
            active: None,
            sealed_bytes: 0,
            sealed_count: 0,
            told_full: false,
        };
        writer.recount();
        shared.recounted(writer.stored_bytes());
        let closed = Arc::new(AtomicBool::new(false));
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
            thread.map(drop).map_err(LogError::io("start a thread for", &directory))
        };
        spawn("log-writer", Box::new(move || writer.run()))?;
        let log = Self {
            shared,
            topics,
            directory: directory.clone(),
            cap: config.max_bytes,
            closed: closed.clone(),
        };
        if !found.older.is_empty() {
            spawn("log-survey", Box::new(move || count_damaged(&found.older, &metrics, &closed)))?;
        }
        Ok(log)
    }
}

/// What the forwarder, and who writes to Kafka and the log in turn, need beside [`Sink`].
impl Log {
    /// As [`Sink::submit`], and says which sequences the records have.
    pub(super) fn take(&self, records: &Records, from: usize, ticket: &Ticket) -> Taken {
        self.shared.take(records, from, ticket, &self.topics)
    }

    /// The sequence of the next record that is taken.
    pub(super) fn next(&self) -> u64 {
        self.shared.ends().0
    }

    /// The first sequence that is not durable.
    pub(super) fn durable(&self) -> u64 {
        self.shared.ends().1
    }

    /// Records before `sequence` are elsewhere: segments with no others are deleted, soon.
    pub(super) fn release(&self, sequence: u64) {
        self.shared.release(sequence);
    }

    /// Rings when more is durable, and when there is room again.
    pub(super) fn bell(&self) -> Arc<Bell> {
        self.shared.bell()
    }

    /// Resolves once everything taken until now is durable, and its tickets are settled. Cancel safe.
    pub(super) async fn settled(&self) {
        self.shared.settled(self.next()).await;
    }

    /// Where the segments are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// How many records the log in `directory` was given, at most, that were not forwarded; 0 where there is no log.
pub fn backlog(directory: &Path) -> Result<u64, LogError> {
    if !directory.exists() {
        return Ok(0);
    }
    let end = Cursor::end(directory)?;
    let rest = forwarded(directory, end)?;
    Ok(end.saturating_sub(rest.begin) + rest.missing)
}

/// What in `directory` was not forwarded, of a log that goes on with `next`.
pub(super) fn forwarded(directory: &Path, next: u64) -> Result<Rest, LogError> {
    directory::forwarded(directory, next).map_err(LogError::io("list", directory))
}

/// What an operator is told of a full log.
fn at_cap(directory: &Path, cap: ByteSize, is_forwarded: bool) -> String {
    let what = if is_forwarded {
        "Kafka does not have yet what it holds, all of it acknowledged: see why Kafka does not take it, or raise \
         log.max_bytes; a .segment file that is moved away is lost to Kafka"
    } else {
        "raise log.max_bytes, or move its oldest .segment files elsewhere, which also works while the gateway runs"
    };
    format!("the log in {} is at its cap of {cap}: {what}", directory.display())
}

/// Counts the damaged records of segments that opening the log did not have to read.
fn count_damaged(older: &[(SegmentFile, u64)], metrics: &LogSeries, closed: &AtomicBool) {
    for (file, end) in older {
        if closed.load(Ordering::Relaxed) {
            return;
        }
        match recover::survey(file, Some(*end), *end) {
            Ok(found) if found.damaged > 0 => {
                metrics.damaged.inc_by(found.damaged);
                tracing::warn!(path = %file.path.display(), records = found.damaged, "the log has damaged records");
            }
            Ok(_) => {}
            // It was forwarded and deleted meanwhile, or moved away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %file.path.display(), %error, "a segment cannot be read"),
        }
    }
}

impl Sink for Log {
    fn level(&self) -> Level {
        Level::Stored
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        self.take(records, from, ticket).count
    }

    fn room(&self) -> Pending<'_, ()> {
        Box::pin(self.shared.room())
    }

    fn health(&self) -> Health {
        self.shared.health(|is_forwarded| at_cap(&self.directory, self.cap, is_forwarded))
    }

    fn drain(&self, deadline: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            self.shared.close();
            if tokio::time::timeout(deadline, self.shared.finished()).await.is_err() {
                self.shared.give_up();
                self.shared.drop_tickets();
            }
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.shared.give_up();
    }
}
