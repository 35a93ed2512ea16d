//! What a rule knows an event by.

use std::cell::RefCell;

use tidegate_cel::{Compiler, Fault, Problem, Program};

use crate::config::Key as Written;
use crate::pipeline::look::Sight;
use crate::pipeline::trace::Cost;

/// Between the parts of a key; it stands in no text.
const BETWEEN: u8 = 0xff;
/// What is kept of a buffer that a long key has grown.
const KEEP_BYTES: usize = 4_096;

thread_local! {
    /// One a worker thread, so that nothing is allocated for an event.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    part: String,
    escaped: String,
}

/// The expressions of a key; without any all events have the same.
#[derive(Debug)]
pub(super) struct Key {
    programs: Vec<Program>,
}

impl Key {
    pub(super) fn new(written: Option<&Written>, compiler: &mut Compiler) -> Result<Self, Problem> {
        let parts = written.iter().flat_map(|key| &key.0);
        Ok(Self { programs: parts.map(|part| compiler.value(part.text())).collect::<Result<_, _>>()? })
    }

    pub(super) fn cost(&self) -> Cost {
        Cost::of(&self.programs)
    }

    /// Calls `with` with the event's key: its parts as text, with a byte between them that stands in none.
    pub(super) fn read<T>(
        &self,
        sight: &mut Sight<'_, '_>,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Fault> {
        self.read_after("", sight, with)
    }

    /// The same for rules that remember keys, by which tenants must not meet: clients make them up. Without expressions all
    /// events have the same still.
    pub(super) fn read_of_tenant<T>(
        &self,
        sight: &mut Sight<'_, '_>,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Fault> {
        let tenant = if self.programs.is_empty() { "" } else { sight.tenant };
        self.read_after(tenant, sight, with)
    }

    fn read_after<T>(
        &self,
        tenant: &str,
        sight: &mut Sight<'_, '_>,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Fault> {
        BUFFERS.with_borrow_mut(|Buffers { key, part, escaped }| {
            key.clear();
            key.shrink_to(KEEP_BYTES);
            if !tenant.is_empty() {
                key.extend_from_slice(tenant.as_bytes());
                key.push(BETWEEN);
            }
            for (index, program) in self.programs.iter().enumerate() {
                part.clear();
                part.shrink_to(KEEP_BYTES);
                sight.value(program, |value| value.write_text(part, escaped))?;
                if index > 0 {
                    key.push(BETWEEN);
                }
                key.extend_from_slice(part.as_bytes());
            }
            Ok(with(key))
        })
    }
}
