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
        let cursor = Cursor::open_at_end(&self.directory)?;
        let end = cursor.position();
        match after.map(|after| after.saturating_add(1)) {
            Some(from) if from < end && end - from <= MISSED_MAX => Cursor::open(&self.directory, from),
            _ => Ok(cursor),
        }
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
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::mpsc::{SyncSender, sync_channel};

    use futures_util::StreamExt as _;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::config;
    use crate::deliver::Sink as _;
    use crate::deliver::log::Log;
    use crate::metrics::LogSeries;
    use crate::record::{Records, TopicId};
    use crate::ticket::{Settled, Settlement, Ticket};

    struct Told(SyncSender<Settlement>);

    impl Settled for Told {
        fn settled(self: Box<Self>, frame: Settlement) {
            self.0.send(frame).unwrap();
        }
    }

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
        fn store(&self, events: impl IntoIterator<Item = impl AsRef<str>>) {
            let mut records = Records::default();
            for (index, event) in (0..).zip(events) {
                let mut draft = records.draft(index, TopicId(0), Encoding::Structured, 0);
                draft.value(|out| out.extend_from_slice(event.as_ref().as_bytes()));
                draft.push();
            }
            let (told, settlement) = sync_channel(1);
            let ticket = Ticket::new(u32::try_from(records.len()).unwrap(), Box::new(Told(told)));
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
}
