//! Finds the records of one segment, whatever else is in it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::segment::{self, Check, HEADER_BYTES, RECORD_BYTES_MIN, Stored};

/// Read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// What an unreadable place costs.
const BLOCK_BYTES: u64 = 4096;
const ZEROS: [u8; 4096] = [0; 4096];

/// A place in a segment, moving from record to record over everything that is none.
#[derive(Debug)]
pub(super) struct Scan {
    file: File,
    /// The sequence the segment begins with.
    first: u64,
    /// How long the file was when last looked at.
    bytes: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
    /// Where in the buffer the search goes on.
    at: usize,
    /// Where in the buffer the last record found is.
    found: Range<usize>,
    found_end: u64,
    rubbish_end: u64,
    at_end: bool,
    /// Of a version that this build does not read.
    foreign: bool,
}

impl Scan {
    /// Begins with the first record of the segment at `path` whose name says that it begins with `first`.
    pub(super) fn open(path: &Path, first: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut header = [0; 32];
        let whole = file.read_exact_at(&mut header, 0).is_ok();
        let foreign = whole && segment::version(&header).is_some_and(|version| !segment::is_known(version));
        Ok(Self {
            file,
            first,
            bytes,
            buffer: Vec::new(),
            start: HEADER_BYTES,
            at: 0,
            found: 0..0,
            found_end: HEADER_BYTES,
            rubbish_end: HEADER_BYTES,
            at_end: foreign,
            foreign,
        })
    }

    /// Moves to the next record whose sequence is in `wanted` and returns its sequence; `None` at the end.
    pub(super) fn next(&mut self, wanted: Range<u64>) -> io::Result<Option<u64>> {
        // Sequences in a segment are dense, so its size bounds them: this keeps the search over damaged bytes cheap.
        let possible = self.first.saturating_add(self.bytes / RECORD_BYTES_MIN).saturating_add(1);
        let sequences = wanted.start..wanted.end.min(possible);
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            match segment::check(rest, &sequences) {
                Check::Record { sequence, size } => {
                    self.found = self.at..self.at + size;
                    self.at += size;
                    self.found_end = self.start + self.at as u64;
                    return Ok(Some(sequence));
                }
                Check::Short(needed) if !self.at_end => self.fill(needed)?,
                Check::Short(_) | Check::Invalid => {
                    if !self.skip() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The record that [`Scan::next`] found last.
    pub(super) fn record(&self) -> Option<Stored<'_>> {
        segment::decode(self.buffer.get(self.found.clone())?)
    }

    /// Goes back to the end of the last record found and forgets what was read beyond it.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.bytes = self.file.metadata()?.len();
        self.buffer.clear();
        self.start = self.found_end;
        self.at = 0;
        self.found = 0..0;
        self.at_end = self.foreign;
        Ok(())
    }

    /// Where in the file the last record found ends; the header's end before the first.
    pub(super) fn found_end(&self) -> u64 {
        self.found_end
    }

    /// Whether the file goes on after the last record found. One that was ended in order does not.
    pub(super) fn has_rest(&self) -> bool {
        self.bytes > self.found_end && !self.foreign
    }

    /// Where in the file the last byte was skipped that is no record and not zero.
    pub(super) fn rubbish_end(&self) -> u64 {
        self.rubbish_end
    }

    /// Whether the segment is of a version that this build does not read.
    pub(super) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Moves past what cannot be the start of a record; whether there was anything.
    fn skip(&mut self) -> bool {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let blocks = rest.chunks_exact(ZEROS.len()).take_while(|block| *block == ZEROS).count() * ZEROS.len();
        let after = rest.get(blocks..).unwrap_or_default();
        let zeros = blocks + after.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            self.rubbish_end = self.start + self.at as u64 + 1;
        }
        // The checksum of a record may begin with zeros, but its length, which follows, has a byte that is not.
        self.at += zeros.saturating_sub(7).max(1);
        true
    }

    /// Reads on until `needed` bytes are there or the file ends.
    fn fill(&mut self, needed: usize) -> io::Result<()> {
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.start += self.at as u64;
        self.at = 0;
        self.found = 0..0;
        while self.buffer.len() < needed {
            let length = self.buffer.len();
            let offset = self.start + length as u64;
            self.buffer.resize(length.max(needed) + CHUNK_BYTES, 0);
            let read = self.file.read_at(self.buffer.get_mut(length..).unwrap_or_default(), offset);
            self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => {
                    self.at_end = true;
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.fill_block(offset)?,
            }
        }
        Ok(())
    }

    /// Reads on by one block, with zeros for one that the device cannot read.
    fn fill_block(&mut self, offset: u64) -> io::Result<()> {
        let length = self.buffer.len();
        let end = ((offset / BLOCK_BYTES + 1) * BLOCK_BYTES).min(self.file.metadata()?.len());
        let block = usize::try_from(end.saturating_sub(offset)).unwrap_or(0);
        self.buffer.resize(length + block, 0);
        let read = self.file.read_exact_at(self.buffer.get_mut(length..).unwrap_or_default(), offset);
        if read.is_err() {
            if let Some(unread) = self.buffer.get_mut(length..) {
                unread.fill(0);
            }
            self.rubbish_end = end;
        }
        self.at_end |= block == 0;
        Ok(())
    }
}
