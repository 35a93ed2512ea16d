//! The gateway's own log lines, on standard error.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::findings::Findings;

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

impl Logging {
    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        let is_filter = !self.level.is_empty() && EnvFilter::builder().parse(&self.level).is_ok();
        // A single word that is no level would be taken for a module and switch everything else off.
        let is_word = self.level.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_level = matches!(self.level.as_str(), "off" | "error" | "warn" | "info" | "debug" | "trace");
        if !is_filter || (is_word && !is_level) {
            findings.refuse(
                "logging.level",
                format!("`{}` is not a level", self.level),
                "write error, warn, info, debug, trace or off, or directives such as \"info,tidegate::session=debug\"",
            );
        }
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
