//! What happens to an event that goes on: edits, what is added, and where it goes under which key.

use tidegate_cel::{Compiler, Problem, Program};

use super::look::Sight;
use crate::config::Route;

/// The longest key that an expression may give, in bytes.
const KEY_BYTES_MAX: usize = 4_096;

/// The part of a route that comes after all have judged.
#[derive(Debug)]
pub(super) struct Onward {
    key: Option<Program>,
}

impl Onward {
    /// `None` if the route has nothing of it.
    pub(super) fn new(route: &Route, compiler: &mut Compiler) -> Result<Option<Self>, Problem> {
        let key = route.key.as_ref().map(|key| compiler.value(key.text())).transpose()?;
        Ok(key.is_some().then_some(Self { key }))
    }

    /// Writes the record's key into `key`; whether there is one other than that of every event.
    pub(super) fn key(&self, sight: &mut Sight<'_, '_>, key: &mut String) -> bool {
        let Some(program) = &self.key else { return false };
        key.clear();
        let mut escaped = String::new();
        let written = sight.value(program, |value| value.write_text(key, &mut escaped));
        written.is_ok() && key.len() <= KEY_BYTES_MAX
    }
}
