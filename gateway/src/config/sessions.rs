//! What is known of clients, over a restart.

use std::path::PathBuf;

use serde::Deserialize;

/// What is known of clients, over a restart.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// The file that says how far named clients are, written at the end of a drain for the next start. Beside it
    /// lies a `.used` one while a gateway serves: what was found. Empty: nothing is kept.
    pub snapshot: PathBuf,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { snapshot: "data/sessions.snapshot".into() }
    }
}
