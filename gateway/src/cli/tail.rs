//! `tidegate tail`: prints the events of the log directory, one line of JSON each, oldest first.

use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::deliver::log::{Cursor, LogError, Stored};
use crate::record::Encoding;

/// How often `--follow` looks for new events.
const POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 150_000_000 };
/// How long output that nobody reads may hold up the end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Prints the events in the log as structured `CloudEvents`, one a line, oldest first, whether or not the gateway runs.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct TailArgs {
    /// Stay and print new events once they are durable, until interrupted. Begins at the end, unless -n or --from says
    /// otherwise.
    #[arg(short, long)]
    pub follow: bool,
    /// Begin with the last N events.
    #[arg(short = 'n', long = "last", value_name = "N", conflicts_with = "from")]
    pub last: Option<u64>,
    /// Begin with the event that is the Nth of all that were ever written to the log, counted from 1.
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
}

impl TailArgs {
    /// The sequence to begin with.
    fn begin(self, directory: &Path) -> Result<u64, LogError> {
        match (self.from, self.last) {
            (Some(from), _) => Ok(from),
            (None, Some(last)) => Ok(Cursor::end(directory)?.saturating_sub(last)),
            (None, None) if self.follow => Cursor::end(directory),
            (None, None) => Ok(1),
        }
    }
}

/// Runs the command. A reader of its output that goes away, and with `--follow` SIGINT and SIGTERM, end it in order.
pub fn run(args: TailArgs, config: &Config) -> Result<()> {
    let directory = &config.log.directory;
    if let Some(kafka) = &config.kafka {
        eprintln!(
            "tidegate: with this configuration events go to Kafka at {} in the end; this is what is still in the log in {}",
            kafka.brokers,
            directory.display()
        );
    }
    let cursor = args.begin(directory).and_then(|from| Cursor::open(directory, from));
    let cursor = cursor.context("is log.directory where the gateway writes?")?;
    let stop = Arc::new(AtomicBool::new(false));
    if !args.follow {
        return print(cursor, &mut io::stdout().lock(), false, &stop);
    }
    let (tell, ended) = sync_channel(2);
    end_on_signal(tell.clone()).context("cannot wait for signals")?;
    let stopped = stop.clone();
    // A thread of its own, since writing into a full pipe would not notice a signal.
    thread::Builder::new().name("tail".to_owned()).spawn(move || {
        let printed = print(cursor, &mut io::stdout().lock(), true, &stopped);
        // Nobody listens any more if a signal came first.
        let _ = tell.send(End::Printed(printed));
    })?;
    match ended.recv()? {
        End::Printed(printed) => printed,
        End::Signal => {
            stop.store(true, Ordering::Relaxed);
            // Lets it finish its line.
            let _ = ended.recv_timeout(PATIENCE);
            Ok(())
        }
    }
}

enum End {
    Printed(Result<()>),
    Signal,
}

fn end_on_signal(tell: SyncSender<End>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Nobody listens any more if the output ended first.
        let _ = tell.send(End::Signal);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// Prints until the end, or with `follow` until `stop` is set or nobody reads any more.
fn print(mut cursor: Cursor, out: &mut (impl Write + AsFd), follow: bool, stop: &AtomicBool) -> Result<()> {
    let mut damaged = 0;
    loop {
        let mut lines = BufWriter::with_capacity(64 << 10, &mut *out);
        let printed = print_rest(&mut cursor, &mut lines, stop).and_then(|()| Ok(lines.flush()?));
        // Not again while dropping: it has failed or there is nothing left.
        drop(lines.into_parts());
        match printed {
            Err(error) if is_closed(&error) => return Ok(()),
            printed => printed?,
        }
        if cursor.damaged() > damaged {
            eprintln!("tidegate: {} damaged records were passed over", cursor.damaged() - damaged);
            damaged = cursor.damaged();
        }
        if !follow || stop.load(Ordering::Relaxed) || was_closed(&*out) {
            return Ok(());
        }
    }
}

fn print_rest(cursor: &mut Cursor, out: &mut impl Write, stop: &AtomicBool) -> Result<()> {
    while let Some(record) = cursor.next()? {
        write_event(out, &record)?;
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Waits a moment; whether the other end of `out` went away meanwhile.
fn was_closed(out: &impl AsFd) -> bool {
    let mut watched = [PollFd::new(out, PollFlags::empty())];
    match poll(&mut watched, Some(&POLL)) {
        Ok(_) => watched.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP)),
        Err(_) => false,
    }
}

/// Writes the event as one line.
fn write_event(out: &mut impl Write, record: &Stored<'_>) -> Result<()> {
    match (record.encoding, record.value) {
        (Encoding::Structured, Some(event)) => write_line(out, event)?,
        (Encoding::Binary | Encoding::Structured, _) => write_line(out, &structured(record)?)?,
    }
    Ok(())
}

/// Writes JSON as one line: a line break in it is between its tokens, since strings can only have escaped ones.
fn write_line(out: &mut impl Write, json: &[u8]) -> io::Result<()> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let mut parts = json.split(is_break);
    out.write_all(parts.next().unwrap_or_default())?;
    for part in parts {
        out.write_all(b" ")?;
        out.write_all(part)?;
    }
    out.write_all(b"\n")
}

/// The structured form of an event in the binary encoding.
fn structured(record: &Stored<'_>) -> Result<Vec<u8>> {
    let mut event = vec![b'{'];
    let mut is_json = true;
    for (name, value) in record.headers() {
        let value = String::from_utf8_lossy(value);
        if name == "content-type" {
            is_json = value.starts_with("application/json") || value.contains("+json");
            member(&mut event, "datacontenttype", &value)?;
        } else if let Some(attribute) = name.strip_prefix("ce_") {
            member(&mut event, attribute, &value)?;
        }
    }
    if let Some(data) = record.value {
        match serde_json::from_slice::<&RawValue>(data) {
            Ok(json) if is_json => member(&mut event, "data", json)?,
            _ => member(&mut event, "data_base64", &BASE64_STANDARD.encode(data))?,
        }
    }
    event.push(b'}');
    Ok(event)
}

fn member(
    event: &mut Vec<u8>,
    name: &str,
    value: &(impl serde::Serialize + ?Sized),
) -> serde_json::Result<()> {
    if event.len() > 1 {
        event.push(b',');
    }
    serde_json::to_writer(&mut *event, name)?;
    event.push(b':');
    serde_json::to_writer(event, value)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, PipeWriter, Read, pipe};

    use super::*;
    use crate::config;
    use crate::deliver::Sink;
    use crate::deliver::log::Log;
    use crate::metrics::LogSeries;
    use crate::record::testing::structured;
    use crate::record::{Records, TopicId};
    use crate::ticket::testing::ticket;

    fn open(directory: &Path) -> Log {
        let config = config::Log { directory: directory.to_owned(), ..config::Log::default() };
        Log::open(&config, LogSeries::default(), ["events".to_owned()].into()).unwrap()
    }

    fn store(log: &Log, records: &Records) {
        let (ticket, settlement) = ticket(u32::try_from(records.len()).unwrap());
        assert_eq!(log.submit(records, 0, &ticket), records.len());
        settlement.recv().unwrap();
    }

    fn binary_record(content_type: &str, data: Option<&[u8]>) -> Records {
        let mut records = Records::default();
        let mut draft = records.draft(0, TopicId(0), Encoding::Binary, 0);
        draft.header(&["ce_", "id"], |out| out.extend_from_slice(b"\"1\""));
        draft.header(&["content-type"], |out| out.extend_from_slice(content_type.as_bytes()));
        if let Some(data) = data {
            draft.value(|out| out.extend_from_slice(data));
        }
        draft.push();
        records
    }

    #[track_caller]
    fn printed(records: &Records, from: u64, expected: &str) {
        let home = tempfile::tempdir().unwrap();
        let log = open(home.path());
        store(&log, records);
        let cursor = Cursor::open(home.path(), from).unwrap();
        let (mut reader, mut writer) = pipe().unwrap();
        print(cursor, &mut writer, false, &AtomicBool::new(false)).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn every_event_is_one_line() {
        let records = structured(["{\"a\":1}", "{\n \"a\" :\r\n\"x\\ny\"}", "{}"]);
        printed(&records, 1, "{\"a\":1}\n{  \"a\" :  \"x\\ny\"}\n{}\n");
        printed(&records, 3, "{}\n");
        printed(&records, 4, "");
    }

    #[test]
    fn binary_events_are_printed_in_structured_form() {
        let head = r#"{"id":"\"1\"","datacontenttype":"#;
        let cases: [(&str, Option<&[u8]>, &str); 4] = [
            ("application/json", Some(b"{\n}"), "\"application/json\",\"data\":{ }}\n"),
            ("a/b+json", Some(b"[1]"), "\"a/b+json\",\"data\":[1]}\n"),
            ("text/plain", Some(b"hi"), "\"text/plain\",\"data_base64\":\"aGk=\"}\n"),
            ("text/plain", None, "\"text/plain\"}\n"),
        ];
        for (content_type, data, tail) in cases {
            printed(&binary_record(content_type, data), 1, &format!("{head}{tail}"));
        }
    }

    #[test]
    fn following_prints_what_comes_and_ends_when_nobody_reads() {
        let home = tempfile::tempdir().unwrap();
        let log = open(home.path());
        let cursor = Cursor::open(home.path(), 1).unwrap();
        let (reader, mut writer) = pipe().unwrap();
        let follow = thread::spawn(move || print(cursor, &mut writer, true, &AtomicBool::new(false)));
        let mut reader = BufReader::new(reader);
        for n in 0..3 {
            let event = format!("{{\"n\":{n}}}");
            store(&log, &structured([&event]));
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert_eq!(line.trim_end(), event);
        }
        drop(reader);
        follow.join().unwrap().unwrap();
    }

    #[test]
    fn following_ends_when_told_to() {
        let home = tempfile::tempdir().unwrap();
        drop(open(home.path()));
        let cursor = Cursor::open(home.path(), 1).unwrap();
        let (_reader, mut writer): (_, PipeWriter) = pipe().unwrap();
        print(cursor, &mut writer, true, &AtomicBool::new(true)).unwrap();
    }

    #[test]
    fn it_begins_where_it_is_asked_to() {
        let home = tempfile::tempdir().unwrap();
        let begin = |args: TailArgs| args.begin(home.path()).unwrap();
        let (all, follow) = (TailArgs::default(), TailArgs { follow: true, ..TailArgs::default() });
        let last = |n| TailArgs { last: Some(n), ..all };
        let log = open(home.path());
        assert_eq!((begin(follow), begin(last(2))), (1, 0), "an empty log");
        store(&log, &structured(["{}"; 5]));
        let begins = || [all, follow, last(2), TailArgs { follow: true, ..last(2) }].map(begin);
        assert_eq!(begins(), [1, 6, 4, 4], "while a gateway writes");
        assert_eq!(begin(TailArgs { from: Some(3), ..follow }), 3);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(log.drain(Duration::from_secs(60)));
        drop(log);
        assert_eq!(begins(), [1, 6, 4, 4], "when none does");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.log.directory = home.path().join("nowhere");
        let error = run(TailArgs::default(), &config).unwrap_err();
        assert!(format!("{error:#}").contains("nowhere"), "{error:#}");
    }
}
