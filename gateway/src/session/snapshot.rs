//! How far named clients are, in a file that carries it over a restart.
//!
//! It is written once everything has settled and nothing more is taken, and removed before the next start serves
//! anybody: what a gateway finds is therefore the last word of the one before, or nothing. After a crash there is none.
//!
//! One line says the version, how many clients follow and their checksum (CRC-32C); then comes a line of JSON for each
//! client, the longest away first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_wire::Code;

use super::window::Refusal;

const MAGIC: &str = "tidegate-sessions 1";
/// More than a registry can fill: its clients, and the refusals kept over all of them.
const BYTES_MAX: u64 = 1 << 30;

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

/// Writes the file in place of any that is there, and returns once it is on the device.
pub(super) fn write(path: &Path, clients: &[Kept]) -> io::Result<()> {
    let beside = path.with_extension("new");
    if let Some(parent) = parent(path) {
        fs::create_dir_all(parent)?;
    }
    // Client names are nobody else's business.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&encode(clients)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_parent(path)
}

/// What the file says, or `None` where there is none. It is gone when this returns, damaged or not: what this gateway
/// does from here on, it does not know.
pub(super) fn take(path: &Path) -> io::Result<Option<Vec<Kept>>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        removed => removed?,
    }
    sync_parent(path)?;
    read?;
    decode(&bytes).map(Some)
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path).unwrap_or(Path::new(".")))?.sync_all()
}

fn encode(clients: &[Kept]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    for client in clients {
        serde_json::to_writer(&mut body, client)?;
        body.push(b'\n');
    }
    let mut bytes = header(clients.len(), &body).into_bytes();
    bytes.extend_from_slice(&body);
    Ok(bytes)
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

    #[test]
    fn what_was_written_is_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/sessions.snapshot");
        assert_eq!(take(&path).unwrap(), None);
        write(&path, &[]).unwrap();
        write(&path, &clients()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(take(&path).unwrap(), Some(clients()));
        assert_eq!(take(&path).unwrap(), None, "it was used up");
    }

    #[test]
    fn nothing_is_taken_that_could_come_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.snapshot");
        write(&path, &clients()).unwrap();
        // A directory in its place stands for whatever cannot be removed.
        fs::rename(&path, directory.path().join("aside")).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(take(&path).is_err());
    }

    #[test]
    fn a_file_cut_off_anywhere_or_with_any_bit_flipped_is_refused_whole() {
        let whole = encode(&clients()).unwrap();
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
    fn a_damaged_one_is_gone_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.snapshot");
        fs::write(&path, "tidegate-sessions 2 0 00000000\n").unwrap();
        assert!(take(&path).unwrap_err().to_string().contains("version"));
        assert!(!path.exists());
    }
}
