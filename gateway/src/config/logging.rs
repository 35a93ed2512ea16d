//! The gateway's own log lines, on standard error.

use serde::Deserialize;

/// How the gateway logs.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// A level, or `tracing` directives.
    pub level: String,
    /// For people or for machines.
    pub format: Format,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: "info".into(), format: Format::Text }
    }
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
