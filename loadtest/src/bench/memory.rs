//! Memory of a process with what the kernel holds for it, by a control group of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

/// A memory control group (cgroups version 1 or 2), where this process may make one.
pub(crate) struct Group {
    directory: PathBuf,
    usage: &'static str,
}

impl Group {
    /// A new group; `None` where control groups are not ours to make.
    pub(crate) fn create() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegate-bench-{}-{number}", std::process::id());
        let one = (Path::new("/sys/fs/cgroup/memory"), "memory.usage_in_bytes");
        let two = (Path::new("/sys/fs/cgroup"), "memory.current");
        [one, two].into_iter().find_map(|(root, usage)| {
            let directory = root.join(&name);
            std::fs::create_dir(&directory).ok()?;
            if directory.join(usage).exists() {
                return Some(Self { directory, usage });
            }
            let _ = std::fs::remove_dir(&directory);
            None
        })
    }

    /// Where a process writes its number to come in.
    pub(crate) fn members(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// Bytes that its processes hold: their own pages, and sockets and other objects of the kernel.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let path = self.directory.join(self.usage);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        text.trim().parse().with_context(|| format!("{}: {text}", path.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Possible once its processes are gone; an empty group that stays costs nothing.
        let _ = std::fs::remove_dir(&self.directory);
    }
}
