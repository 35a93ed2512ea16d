//! Reads a log from outside, whether or not a gateway is writing it.

use std::io;
use std::path::{Path, PathBuf};

use super::LogError;
use super::directory::{self, Watermark};
use super::scan::Scan;
pub use super::segment::Stored;

/// A place in a log, moving from record to record.
///
/// It shows only what is durable and passes over damaged records. No gateway waits for it.
#[derive(Debug)]
pub struct Cursor {
    directory: PathBuf,
    /// Records before it are not shown.
    from: u64,
    /// The sequence that the next record should have.
    expected: u64,
    /// The segment being read, and the sequence it begins with.
    open: Option<(u64, Scan)>,
    /// The sequences that segments begin with, as of the last look.
    firsts: Vec<u64>,
    /// Whether a gateway has the log. If none has, nothing is being written and all that is there is shown.
    is_claimed: bool,
    /// The first sequence that is not durable yet; after a crash, perhaps an older one.
    watermark: Option<u64>,
    /// Everything that was there at the last look has been read.
    at_end: bool,
    damaged: u64,
    stops_at_foreign: bool,
}

impl Cursor {
    /// Before the record with sequence `from`, or the first one after it that there is.
    pub fn open(directory: &Path, from: u64) -> Result<Self, LogError> {
        let mut cursor = Self {
            directory: directory.to_owned(),
            from,
            expected: from,
            open: None,
            firsts: Vec::new(),
            is_claimed: false,
            watermark: None,
            at_end: false,
            damaged: 0,
            stops_at_foreign: false,
        };
        cursor.look()?;
        Ok(cursor)
    }

    /// The same, for which a segment that this build cannot read is an error rather than passed over.
    #[must_use]
    pub(in crate::deliver) fn stopping_at_foreign(self) -> Self {
        Self { stops_at_foreign: true, ..self }
    }

    /// The sequence of the record that is next, if it is not damaged.
    pub fn position(&self) -> u64 {
        self.expected.max(self.from)
    }

    /// The sequence that the next record to become durable will have: a cursor that is opened there shows what comes from
    /// now on. Reads the newest segment through where no gateway says how far it is.
    pub fn end(directory: &Path) -> Result<u64, LogError> {
        let (is_claimed, watermark) =
            claimed(directory).map_err(LogError::io("read", &directory.join("durable")))?;
        if let Some(watermark) = watermark.filter(|_| is_claimed) {
            return Ok(watermark);
        }
        let files = directory::segments(directory).map_err(LogError::io("list", directory))?;
        let newest = files.last().map_or(watermark.unwrap_or(1), |file| file.first);
        let mut cursor = Self::open(directory, newest)?;
        while cursor.next()?.is_some() {}
        Ok(cursor.expected)
    }

    /// The next record; `None` at the end, which may have moved when asked again.
    #[expect(clippy::should_implement_trait, reason = "the record borrows from the cursor")]
    pub fn next(&mut self) -> Result<Option<Stored<'_>>, LogError> {
        if self.at_end && !self.look()? {
            return Ok(None);
        }
        loop {
            match self.advance()? {
                None => {
                    self.at_end = true;
                    return Ok(None);
                }
                Some(sequence) if sequence >= self.from => break,
                Some(_) => {}
            }
        }
        Ok(self.open.as_ref().and_then(|(_, scan)| scan.record()))
    }

    /// Records passed over because they are damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Moves to the next record, shown or not, and returns its sequence.
    fn advance(&mut self) -> Result<Option<u64>, LogError> {
        let mut has_looked = false;
        loop {
            if self.expected >= self.limit() && !self.look()? {
                return Ok(None);
            }
            let limit = self.limit();
            let Some((first, scan)) = &mut self.open else {
                if self.enter()? {
                    continue;
                }
                if !has_looked && self.is_claimed {
                    has_looked = true;
                    self.look()?;
                    continue;
                }
                // There is nothing, and what is durable was written: it was moved away.
                self.expected = self.watermark.filter(|_| self.is_claimed).unwrap_or(0).max(self.expected);
                return Ok(None);
            };
            let later = self.firsts.iter().copied().find(|later| later > first);
            // What a segment has from where the next one begins was left behind by a failed write.
            let end = later.unwrap_or(u64::MAX).min(limit);
            let found = scan.next(self.expected..end);
            if let Some(sequence) = found.map_err(LogError::io("read a segment in", &self.directory))? {
                self.damaged += sequence.saturating_sub(self.expected.max(self.from));
                self.expected = sequence + 1;
                return Ok(Some(sequence));
            }
            let durable = self.watermark.filter(|durable| *durable > self.expected);
            let Some(after) = later.or(durable) else { return Ok(None) };
            if scan.has_rest() {
                self.damaged += after.saturating_sub(self.expected.max(self.from));
            }
            self.expected = after;
            if later.is_some() {
                self.from = self.from.max(after);
                self.open = None;
            }
        }
    }

    /// Opens the segment that has the expected record, or else the one after it; whether there is one.
    fn enter(&mut self) -> Result<bool, LogError> {
        loop {
            let at = self.firsts.partition_point(|first| *first <= self.expected).saturating_sub(1);
            let Some(first) = self.firsts.get(at).copied() else { return Ok(false) };
            let path = directory::path(&self.directory, first);
            match Scan::open(&path, first) {
                Ok(scan) if scan.is_foreign() && self.stops_at_foreign => {
                    return Err(LogError::Foreign(path));
                }
                Ok(scan) => {
                    self.open = Some((first, scan));
                    self.expected = first;
                    return Ok(true);
                }
                // It was moved away since the last look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.firsts.retain(|other| *other != first);
                }
                Err(source) => return Err(LogError::io("read", &path)(source)),
            }
        }
    }

    /// No record from this sequence on is shown.
    fn limit(&self) -> u64 {
        if self.is_claimed { self.watermark.unwrap_or(0) } else { u64::MAX }
    }

    /// Looks how far the log goes now; whether there may be more to read than before.
    fn look(&mut self) -> Result<bool, LogError> {
        let (is_claimed, watermark) =
            claimed(&self.directory).map_err(LogError::io("read", &self.directory.join("durable")))?;
        let files = directory::segments(&self.directory).map_err(LogError::io("list", &self.directory))?;
        self.firsts = files.iter().map(|file| file.first).collect();
        if is_claimed != self.is_claimed {
            // A gateway that starts replaces a segment in which nothing was durable.
            self.from = self.from.max(self.expected);
            self.open = None;
        } else if let Some((_, scan)) = &mut self.open {
            scan.rewind().map_err(LogError::io("read a segment in", &self.directory))?;
        }
        (self.is_claimed, self.watermark) = (is_claimed, watermark);
        let newest = self.firsts.last().copied();
        let more = if is_claimed {
            self.expected < self.limit()
        } else {
            newest.is_some_and(|newest| self.open.as_ref().is_none_or(|(first, _)| newest > *first))
        };
        self.at_end = !more;
        Ok(more)
    }
}

/// Whether a gateway has the directory, and how far it is durable as far as is known.
fn claimed(directory: &Path) -> io::Result<(bool, Option<u64>)> {
    let Some(watermark) = Watermark::watch(directory)? else { return Ok((false, None)) };
    Ok((watermark.is_claimed()?, watermark.load()))
}
