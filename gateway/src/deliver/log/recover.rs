//! What a log holds when it is opened, and what of it is damaged.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use super::LogError;
use super::directory::{self, SegmentFile};
use super::scan::Scan;
use super::segment::{HEADER_BYTES, RECORD_BYTES_MIN};

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The sequence the log goes on with.
    pub next: u64,
    /// Records of the newest segment that cannot be read.
    pub damaged: u64,
    /// The segments before the newest one, each with the sequence that the one after it begins with. Their
    /// records are not looked at yet: see [`survey`].
    pub older: Vec<(SegmentFile, u64)>,
}

/// Reads the newest segment and cuts its torn tail. `durable` is the first sequence that was not durable, as far as
/// the directory's watermark knows.
pub(super) fn recover(directory: &Path, durable: Option<u64>) -> Result<Recovered, LogError> {
    let mut files = directory::segments(directory).map_err(LogError::io("list", directory))?;
    let Some(newest) = files.pop() else {
        return Ok(Recovered { next: durable.unwrap_or(1).max(1), damaged: 0, older: Vec::new() });
    };
    let found = survey(&newest, durable, u64::MAX).map_err(LogError::io("read", &newest.path))?;
    let next = found.next.max(durable.unwrap_or(0)).max(1);
    cut(&newest, &found, next).map_err(LogError::io("cut the torn tail of", &newest.path))?;
    let firsts: Vec<_> = files.iter().skip(1).map(|file| file.first).chain([newest.first]).collect();
    Ok(Recovered { next, damaged: found.damaged, older: files.into_iter().zip(firsts).collect() })
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Survey {
    /// The sequence after its last record.
    next: u64,
    /// Records that should be in it and are not.
    pub damaged: u64,
    /// Where its last record ends.
    found_end: u64,
    /// Where its last byte is that is no part of a record and not zero.
    rubbish_end: u64,
    foreign: bool,
}

/// Reads a whole segment, which should have the records before `end`, as far as known, and has none from `limit` on.
pub(super) fn survey(file: &SegmentFile, end: Option<u64>, limit: u64) -> io::Result<Survey> {
    let mut scan = Scan::open(&file.path, file.first)?;
    let mut next = file.first;
    let mut damaged = 0;
    while let Some(sequence) = scan.next(next..limit)? {
        damaged += sequence - next;
        next = sequence + 1;
    }
    // What is missing behind a segment that was ended in order is not damaged but elsewhere.
    if scan.has_rest() {
        damaged += end.unwrap_or(0).saturating_sub(next);
    }
    if scan.is_foreign() {
        // Its records cannot be counted, and none of their sequences may be used again.
        next = file.first.saturating_add(file.bytes / RECORD_BYTES_MIN + 1);
    }
    let (found_end, rubbish_end) = (scan.found_end(), scan.rubbish_end());
    Ok(Survey { next, damaged, found_end, rubbish_end, foreign: scan.is_foreign() })
}

/// Cuts what follows the last record, or only the zeros where damaged records may be rescued by hand.
fn cut(file: &SegmentFile, found: &Survey, next: u64) -> io::Result<()> {
    if found.foreign {
        tracing::warn!(path = %file.path.display(), "written by another version of tidegate: left as it is");
        return Ok(());
    }
    if next == file.first {
        // Nothing in it was durable and the next segment needs its name.
        if found.rubbish_end > HEADER_BYTES {
            let aside = file.path.with_extension("damaged");
            tracing::warn!(path = %aside.display(), "a segment without one whole record was set aside");
            return fs::rename(&file.path, aside);
        }
        return fs::remove_file(&file.path);
    }
    let end = if next > found.next { found.rubbish_end.max(found.found_end) } else { found.found_end };
    if found.rubbish_end > found.found_end {
        let bytes = found.rubbish_end - found.found_end;
        tracing::warn!(path = %file.path.display(), bytes, damaged = found.damaged, "the segment ends in bytes that are no record");
    }
    let content = OpenOptions::new().write(true).open(&file.path)?;
    if file.bytes > end {
        content.set_len(end)?;
    }
    content.sync_all()
}
