//! The log's directory: its segment files, and the file that says who writes and how far it is durable.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::LogError;

/// A segment file, by its name.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    /// The sequence it begins with.
    pub first: u64,
    /// Where it is.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// When it was last written to; `None` where the file system does not say.
    pub modified: Option<SystemTime>,
}

/// Where the segment that begins with `first` is.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.segment"))
}

/// The segments there are, oldest first. Other files are none of the log's business.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "segment") {
            continue;
        }
        let first = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let Some(first) = first else { continue };
        match fs::metadata(&path) {
            Ok(metadata) => {
                let (bytes, modified) = (metadata.len(), metadata.modified().ok());
                found.push(SegmentFile { first, path, bytes, modified });
            }
            // An operator moved it away just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable_by_key(|file| file.first);
    Ok(found)
}

/// What of a log was not forwarded, as far as is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::deliver) struct Rest {
    /// The first record that there is; where there is none, the one that is written next.
    pub begin: u64,
    /// Records before it that are in no segment any more.
    pub missing: u64,
}

/// What was not forwarded of a log that goes on with `next`.
pub(super) fn forwarded(directory: &Path, next: u64) -> io::Result<Rest> {
    let segments = match segments(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rest { begin: next, missing: 0 }),
        segments => segments?,
    };
    let told = Watermark::peek_forwarded(directory)?.and_then(|mark| mark.load());
    // One that is beyond everything is of another log, which was here before.
    let told = told.filter(|told| *told <= next);
    let begin = segments.first().map_or(next, |oldest| oldest.first).max(told.unwrap_or(0));
    Ok(Rest { begin, missing: told.map_or(0, |told| begin - told) })
}

/// Makes the directory and its parents where they are missing, durably.
pub(super) fn create(directory: &Path) -> Result<(), LogError> {
    let missing: Vec<_> =
        directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.into_iter().rev() {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(LogError::io("create the directory", path)(source)),
        }
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(LogError::io("sync the directory", parent))?;
    }
    Ok(())
}

const FORWARDED: &str = "forwarded";

/// The file `durable`: locked by the gateway that writes, it holds the first sequence that is not durable yet.
///
/// It is for readers in other processes, and tells a torn tail from damage after a crash. Losing it loses neither
/// records nor acknowledgements, so it is not synced with every group.
#[derive(Debug)]
pub(in crate::deliver) struct Watermark(File);

impl Watermark {
    /// Becomes the directory's one writer, until dropped.
    pub(super) fn claim(directory: &Path) -> Result<Self, LogError> {
        let path = directory.join("durable");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(LogError::io("open for writing", &path))?;
        // A reader holds the lock for an instant when it looks whether a gateway runs.
        for _ in 0..20 {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(25)),
                Err(TryLockError::Error(source)) => return Err(LogError::io("lock", &path)(source)),
            }
        }
        Err(LogError::InUse(directory.to_owned()))
    }

    /// The file `forwarded`: the first sequence that Kafka does not have yet, as far as it was told. Losing it makes
    /// records go to Kafka again and loses none. Made where it is missing, durably.
    pub(in crate::deliver) fn forwarded(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FORWARDED);
        let is_new = !path.exists();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if is_new {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self(file))
    }

    /// Opens `forwarded` for reading; `None` where nothing was ever forwarded.
    pub(super) fn peek_forwarded(directory: &Path) -> io::Result<Option<Self>> {
        Self::peek(&directory.join(FORWARDED))
    }

    /// Opens it for reading; `None` where no gateway ever wrote.
    pub(super) fn watch(directory: &Path) -> io::Result<Option<Self>> {
        Self::peek(&directory.join("durable"))
    }

    fn peek(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a gateway has claimed the directory.
    pub(super) fn is_claimed(&self) -> io::Result<bool> {
        match self.0.try_lock_shared() {
            Ok(()) => self.0.unlock().map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The first sequence that was not durable; `None` where the file is empty or damaged.
    pub(super) fn load(&self) -> Option<u64> {
        let mut content = [0; 12];
        self.0.read_exact_at(&mut content, 0).ok()?;
        let (sequence, sum) = content.split_first_chunk::<8>()?;
        (crc32c::crc32c(sequence).to_le_bytes() == sum).then_some(u64::from_le_bytes(*sequence))
    }

    /// Says that everything before `sequence` is durable.
    pub(in crate::deliver) fn publish(&self, sequence: u64) -> io::Result<()> {
        let mut content = [0; 12];
        let sequence = sequence.to_le_bytes();
        let sum = crc32c::crc32c(&sequence).to_le_bytes();
        for (to, from) in content.iter_mut().zip(sequence.iter().chain(&sum)) {
            *to = *from;
        }
        self.0.write_all_at(&content, 0)
    }

    /// Returns once what was published is on the device.
    pub(in crate::deliver) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_parents_are_made_and_segments_are_listed_in_order() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b/log");
        create(&directory).unwrap();
        for first in [30, 4] {
            fs::write(path(&directory, first), "x").unwrap();
        }
        fs::write(directory.join("notes.txt"), "").unwrap();
        fs::write(directory.join("x.segment"), "").unwrap();
        let firsts: Vec<_> =
            segments(&directory).unwrap().iter().map(|file| (file.first, file.bytes)).collect();
        assert_eq!(firsts, [(4, 1), (30, 1)]);
    }

    #[test]
    fn a_watermark_is_read_back_unless_it_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let mark = Watermark::claim(directory.path()).unwrap();
        assert_eq!(mark.load(), None);
        mark.publish(70_000).unwrap();
        let watch = Watermark::watch(directory.path()).unwrap().unwrap();
        assert_eq!((watch.load(), watch.is_claimed().unwrap()), (Some(70_000), true));
        drop(mark);
        assert!(!watch.is_claimed().unwrap());
        let path = directory.path().join("durable");
        let mut content = fs::read(&path).unwrap();
        content[0] ^= 1;
        fs::write(&path, content).unwrap();
        assert_eq!(watch.load(), None);
    }
}
