//! How far named clients are, in a file that carries it over a restart.
//!
//! It is written once everything has settled and nothing more is taken: what a gateway finds is the last word of the one
//! before. It stays until the next one is written, but not as a last word: once another gateway serves it is called
//! `used`, so that a gateway that comes after a crash knows that clients may be further than it says.
//!
//! One line says the version, how many clients follow and their checksum (CRC-32C); then comes a line of JSON for each
//! client, the longest away first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_wire::Code;

use super::window::Refusal;

const MAGIC: &str = "tidegate-sessions 1";
/// The most that is written: room for 100,000 clients with the longest names, and as much again for what was refused.
const BYTES_MAX: u64 = 128 << 20;
/// More than the first line ever has.
const HEADER_BYTES: u64 = 64;

/// One named client.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Kept {
    pub(super) tenant: String,
    pub(super) client: String,
    pub(super) epoch: u64,
    /// Everything up to here is settled.
    pub(super) upto: u64,
    /// Since when it has been away, Unix ms.
    pub(super) away_since: u64,
    /// Refusals that it may not have heard of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) refused: Vec<Refused>,
    /// Refusals up to here may be missing in `refused`.
    #[serde(default)]
    pub(super) forgotten_upto: u64,
}

/// Number, code and message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Refused(u64, u8, Box<str>);

impl Kept {
    fn without_refusals(&self) -> Self {
        let Self { tenant, client, epoch, upto, away_since, refused, forgotten_upto } = self;
        let newest = refused.last().map_or(0, |Refused(seq, ..)| *seq);
        Self {
            tenant: tenant.clone(),
            client: client.clone(),
            epoch: *epoch,
            upto: *upto,
            away_since: *away_since,
            refused: Vec::new(),
            forgotten_upto: newest.max(*forgotten_upto),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.seq, refusal.code.as_u8(), refusal.message)
    }
}

impl From<Refused> for Option<Refusal> {
    fn from(Refused(seq, code, message): Refused) -> Self {
        Code::from_u8(code).map(|code| Refusal { seq, code, message })
    }
}

/// What a file says.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Snapshot {
    pub(super) clients: Vec<Kept>,
    /// Whether no gateway has served since.
    pub(super) is_last_word: bool,
}

/// Writes the file in place of any that is there, and returns once it is on the device: how many clients it has. Where
/// they are too many, the longest away are left out, and before them what was refused.
pub(super) fn write(path: &Path, clients: &[Kept]) -> io::Result<usize> {
    let beside = path.with_extension("new");
    if let Some(parent) = parent(path) {
        fs::create_dir_all(parent)?;
    }
    let (bytes, written) = encode(clients, BYTES_MAX)?;
    // Client names are nobody else's business.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_parent(path)?;
    or_absent(fs::remove_file(used(path)))?;
    Ok(written)
}

/// What the newest file says, or `None` where there is none. A damaged one is removed: it says nothing to anybody.
pub(super) fn read(path: &Path) -> io::Result<Option<Snapshot>> {
    for (path, is_last_word) in [(path, true), (&used(path), false)] {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read?,
        };
        let clients = decode(&bytes).inspect_err(|_| drop(fs::remove_file(path)))?;
        return Ok(Some(Snapshot { clients, is_last_word }));
    }
    Ok(None)
}

/// Says that a gateway serves from here on: what the file says is its last word no more.
pub(super) fn use_up(path: &Path) -> io::Result<()> {
    or_absent(fs::rename(path, used(path)))?;
    sync_parent(path)
}

fn used(path: &Path) -> PathBuf {
    path.with_extension("used")
}

fn or_absent(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path).unwrap_or(Path::new(".")))?.sync_all()
}

/// The file of at most `most` bytes, and how many of `clients` are in it.
fn encode(clients: &[Kept], most: u64) -> io::Result<(Vec<u8>, usize)> {
    let mut left = most.saturating_sub(HEADER_BYTES);
    let mut lines = Vec::new();
    // The newest matter most, and that they are known more than what was refused to them.
    for client in clients.iter().rev() {
        let line = line(&client.without_refusals())?;
        let Some(rest) = left.checked_sub(line.len() as u64) else { break };
        left = rest;
        lines.push(line);
    }
    for (bare, client) in lines.iter_mut().zip(clients.iter().rev()) {
        if !client.refused.is_empty() {
            let whole = line(client)?;
            if let Some(rest) = left.checked_sub((whole.len() - bare.len()) as u64) {
                left = rest;
                *bare = whole;
            }
        }
    }
    lines.reverse();
    let body = lines.concat();
    let mut bytes = header(lines.len(), &body).into_bytes();
    bytes.extend_from_slice(&body);
    Ok((bytes, lines.len()))
}

fn line(client: &Kept) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(client)?;
    line.push(b'\n');
    Ok(line)
}

fn header(clients: usize, body: &[u8]) -> String {
    format!("{MAGIC} {clients} {:08x}\n", crc32c::crc32c(body))
}

fn decode(bytes: &[u8]) -> io::Result<Vec<Kept>> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    if bytes.len() as u64 > BYTES_MAX {
        return Err(damaged("it is larger than any that is written"));
    }
    if !bytes.starts_with(MAGIC.as_bytes()) {
        return Err(damaged("it is not of this version"));
    }
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it is cut off"))?;
    let (first, body) = bytes.split_at(end + 1);
    let lines = || body.split_inclusive(|byte| *byte == b'\n');
    if first != header(lines().count(), body).as_bytes() {
        return Err(damaged("its checksum is wrong"));
    }
    lines()
        .map(|line| serde_json::from_slice(line).map_err(|_| damaged("a line is not understood")))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn clients() -> Vec<Kept> {
        let client = |client: &str, refused: Vec<Refused>| Kept {
            tenant: "default".into(),
            client: client.into(),
            epoch: 1,
            upto: 17,
            away_since: 1_700_000_000_000,
            refused,
            forgotten_upto: 3,
        };
        let refused = vec![Refused(16, Code::Unrouted.as_u8(), "no route\nhas \"it\"".into())];
        vec![client("a", vec![]), client("b", refused)]
    }

    fn said(clients: Vec<Kept>, is_last_word: bool) -> Snapshot {
        Snapshot { clients, is_last_word }
    }

    #[test]
    fn what_was_written_is_there_until_the_next_is_and_the_last_word_until_somebody_serves() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/sessions.snapshot");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, &[]).unwrap();
        assert_eq!(write(&path, &clients()).unwrap(), 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for _ in 0..2 {
            assert_eq!(
                read(&path).unwrap().unwrap(),
                said(clients(), true),
                "a start that fails takes nothing"
            );
        }
        for _ in 0..2 {
            use_up(&path).unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), said(clients(), false), "after a crash");
        }
        write(&path, &clients()[..1]).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), said(clients()[..1].to_vec(), true));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_too_much_is_written_without_the_refusals_and_then_without_the_longest_away() {
        let lines = |most: u64| {
            let (bytes, written) = encode(&clients(), most).unwrap();
            assert!(bytes.len() as u64 <= most, "{} of {most}", bytes.len());
            let read = decode(&bytes).unwrap();
            assert_eq!(read.len(), written);
            read.into_iter().map(|kept| (kept.client, kept.refused.len(), kept.forgotten_upto)).collect()
        };
        let (all, _) = encode(&clients(), 10_000).unwrap();
        let enough = all.len() as u64 + HEADER_BYTES;
        let whole: Vec<_> = lines(enough);
        assert_eq!(whole, [("a".to_owned(), 0, 3), ("b".to_owned(), 1, 3)]);
        let less: Vec<_> = lines(enough - 40);
        assert_eq!(less, [("a".to_owned(), 0, 3), ("b".to_owned(), 0, 16)]);
        let least: Vec<_> = lines(enough - 150);
        assert_eq!(least, [("b".to_owned(), 0, 16)]);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.snapshot");
        fs::create_dir(&path).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn a_file_cut_off_anywhere_or_with_any_bit_flipped_is_refused_whole() {
        let (whole, _) = encode(&clients(), BYTES_MAX).unwrap();
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(decode(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert_eq!(decode(&whole).unwrap(), clients());
    }

    #[test]
    fn a_damaged_one_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.snapshot");
        fs::write(&path, "tidegate-sessions 2 0 00000000\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("version"));
        assert!(!path.exists());
    }
}
