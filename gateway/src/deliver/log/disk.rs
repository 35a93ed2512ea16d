//! The file operations of the writer, apart so that a test can make them fail.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// The real operations; a test overrides some.
pub(super) trait Disk: Send + 'static {
    /// A new file of `bytes` zeros whose space is reserved, so that writing into it cannot run out.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => {}
            // Not every file system reserves space; there a full disk shows itself at the write.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(bytes)?,
            Err(error) => return Err(error.into()),
        }
        Ok(file)
    }

    /// Writes all of `bytes` at `offset`.
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Returns once the content is on the device. After an error nothing written since the last success can
    /// be trusted, however often this is called again.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Renames, replacing, and returns once the directory's entry is on the device.
    fn publish(&self, from: &Path, to: &Path, directory: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        File::open(directory)?.sync_all()
    }
}

/// The operating system's.
#[derive(Debug)]
pub(super) struct Os;

impl Disk for Os {}
