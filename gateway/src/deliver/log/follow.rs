//! Shows what becomes durable to whoever watches, from outside: the gateway's own writing waits for nobody here.
//!
//! One thread reads the log back while somebody watches. It hands out pieces of text through a ring; who is slower than
//! the ring, and everybody when more is written than a round shows, is told how much was left out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast;

use super::{Cursor, LogError, Stored};
use crate::record::Encoding;

/// Between two rounds, so that the thread costs little whatever is written.
const PAUSE: Duration = Duration::from_millis(50);
/// The most records a round reads, and the most text it shows of them.
const ROUND_RECORDS: usize = 50_000;
const ROUND_BYTES: usize = 1 << 20;
/// A piece ends with the event that makes it this long; the ring of pieces is all that waits for slow readers.
const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 64;
/// Whoever was away for more records than this goes on from now.
const MISSED_MAX: u64 = 50_000;
/// Larger events are told by their size alone.
const EVENT_BYTES_MAX: usize = 4 << 10;

/// Follows one log, for any number of readers at once.
#[derive(Clone, Debug)]
pub struct Follow(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// There while the thread runs.
    pieces: Option<broadcast::Sender<Piece>>,
    /// The first sequence that no piece has told of.
    next: u64,
}

/// Whole lines about the records from `from` to before `to`.
#[derive(Clone, Debug)]
struct Piece {
    from: u64,
    to: u64,
    text: Bytes,
}

impl Follow {
    /// Follows the log in `directory` as soon as somebody reads.
    pub fn new(directory: &Path) -> Self {
        let state = Mutex::new(State { pieces: None, next: 0 });
        Self(Arc::new(Shared { directory: directory.to_owned(), state }))
    }

    /// What becomes durable from now on, or what has since the record with sequence `after`, in lines of JSON, several to
    /// an item:
    ///
    /// - `{"sequence":17,"topic":"events","event":{...}}`,
    /// - `{"sequence":17,"topic":"events","event_bytes":70000}` for an event of more than 4 KiB,
    /// - `{"skipped":420}` for so many that were not shown here.
    ///
    /// What is more than 50,000 records ago, or while others already read, is skipped. Holds at most 4.5 MiB for all
    /// readers together. Ends when the log cannot be read any more.
    pub async fn lines(
        &self,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, LogError> {
        let shared = Arc::clone(&self.0);
        let joined = tokio::task::spawn_blocking(move || shared.join(after)).await;
        let joined = joined.map_err(std::io::Error::other);
        let reader = joined.map_err(LogError::io("follow", &self.0.directory))??;
        Ok(unfold(reader, async |mut reader| Some((reader.piece().await?, reader))))
    }
}

impl Shared {
    /// A reader of what comes after now, or after that record. Starts the thread where none runs.
    fn join(self: Arc<Self>, after: Option<u64>) -> Result<Reader, LogError> {
        let mut state = self.lock();
        let pieces = if let Some(pieces) = &state.pieces {
            pieces.subscribe()
        } else {
            let cursor = self.cursor(after)?;
            let (sender, receiver) = broadcast::channel(PIECES);
            state.next = cursor.position();
            let shared = Arc::clone(&self);
            let thread =
                thread::Builder::new().name("log-follow".to_owned()).spawn(move || shared.run(cursor));
            thread.map_err(LogError::io("start a thread for", &self.directory))?;
            state.pieces = Some(sender);
            receiver
        };
        let next = after.map_or(state.next, |after| after.saturating_add(1).min(state.next));
        Ok(Reader { pieces, next })
    }

    fn cursor(&self, after: Option<u64>) -> Result<Cursor, LogError> {
        let end = Cursor::end(&self.directory)?;
        let from = after.map(|after| after.saturating_add(1));
        let from = from.filter(|from| *from < end && end - from <= MISSED_MAX);
        Cursor::open(&self.directory, from.unwrap_or(end))
    }

    /// Reads until nobody watches.
    fn run(&self, mut cursor: Cursor) {
        loop {
            if let Err(error) = self.round(&mut cursor) {
                tracing::warn!(%error, "the log is not followed any more");
                self.lock().pieces = None;
                return;
            }
            let mut state = self.lock();
            if state.pieces.as_ref().is_none_or(|pieces| pieces.receiver_count() == 0) {
                state.pieces = None;
                return;
            }
            drop(state);
            thread::sleep(PAUSE);
        }
    }

    fn round(&self, cursor: &mut Cursor) -> Result<(), LogError> {
        let mut lines = Lines::after(self.lock().next);
        let mut shown_bytes = 0;
        for _ in 0..ROUND_RECORDS {
            let Some(record) = cursor.next()? else { break };
            if shown_bytes + lines.text.len() < ROUND_BYTES {
                lines.show(&record);
            }
            if lines.text.len() >= PIECE_BYTES {
                shown_bytes += lines.text.len();
                let next = lines.to;
                self.publish(std::mem::replace(&mut lines, Lines::after(next)));
            }
        }
        lines.skip_to(cursor.position());
        self.publish(lines);
        Ok(())
    }

    fn publish(&self, lines: Lines) {
        let Lines { from, to, text } = lines;
        if to == from {
            return;
        }
        let mut state = self.lock();
        state.next = to;
        if let Some(pieces) = &state.pieces {
            // Nobody may be left to read it.
            let _ = pieces.send(Piece { from, to, text: text.into() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece that is being written.
struct Lines {
    from: u64,
    to: u64,
    text: Vec<u8>,
}

impl Lines {
    fn after(next: u64) -> Self {
        Self { from: next, to: next, text: Vec::new() }
    }

    fn show(&mut self, record: &Stored<'_>) {
        // This log is written in the structured encoding alone.
        let (Encoding::Structured, Some(event)) = (record.encoding, record.value) else { return };
        self.skip_to(record.sequence);
        self.to = record.sequence + 1;
        let topic = serde_json::Value::from(record.topic);
        // Writing into memory cannot fail.
        let _ = write!(self.text, r#"{{"sequence":{},"topic":{topic},"#, record.sequence);
        if event.len() > EVENT_BYTES_MAX {
            let _ = write!(self.text, r#""event_bytes":{}"#, event.len());
        } else {
            self.text.extend_from_slice(br#""event":"#);
            // A line break in JSON is between its tokens: strings can only have escaped ones.
            self.text
                .extend(event.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        }
        self.text.extend_from_slice(b"}\n");
    }

    fn skip_to(&mut self, sequence: u64) {
        if sequence > self.to {
            self.text.extend_from_slice(&skipped(sequence - self.to));
            self.to = sequence;
        }
    }
}

/// One who watches.
struct Reader {
    pieces: broadcast::Receiver<Piece>,
    /// The first sequence it was not told of.
    next: u64,
}

impl Reader {
    /// The next piece, after a line about what was missed before it; `None` when there will be none. Cancel safe.
    async fn piece(&mut self) -> Option<Bytes> {
        let piece = loop {
            match self.pieces.recv().await {
                Ok(piece) => break piece,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        };
        let missed = piece.from.saturating_sub(self.next);
        self.next = piece.to;
        if missed == 0 {
            return Some(piece.text);
        }
        let mut text = skipped(missed);
        text.extend_from_slice(&piece.text);
        Some(text.into())
    }
}

fn skipped(count: u64) -> Vec<u8> {
    format!("{{\"skipped\":{count}}}\n").into_bytes()
}

#[cfg(test)]
mod tests;
