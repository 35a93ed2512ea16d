//! A configuration with the text it came from, so that what is found wrong later is shown in its place too.

use std::path::{Path, PathBuf};

use super::document::Document;
use super::findings::Findings;
use super::interpolate::{self, Sources};
use super::problem;
use super::{Config, ConfigError, read};

/// A configuration that was read, and its text.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Where it was read; none for the defaults.
    pub path: Option<PathBuf>,
    name: String,
    text: String,
}

impl Loaded {
    /// Reads the file at `path`; without one, the defaults. Blocks while it reads.
    pub fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = read(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self { path: Some(path.to_owned()), ..Self::parse(path.display().to_string(), text)? })
    }

    /// Reads `text`; `name` is what errors call it.
    pub(super) fn parse(name: String, text: String) -> Result<Self, ConfigError> {
        let config = Config::parse(&name, &text)?;
        Ok(Self { config, path: None, name, text })
    }

    /// An error that shows the value at `key`, such as `tls.certificate`, or the nearest part that the file says: what
    /// is wrong with it, and what would be right.
    pub fn refuse(&self, key: &str, message: &str, help: &str) -> ConfigError {
        let variable = |name: &str| std::env::var(name).ok();
        let sources = Sources { variable: &variable, file: &interpolate::read_file };
        // It parsed before. Where a file that it names has gone meanwhile, that is the problem to show.
        let problems = Document::parse(&self.text, &sources).map_or_else(
            |problems| problems,
            |document| {
                let mut findings = Findings::of(&document);
                findings.refuse(key, message, help);
                findings.into_problems()
            },
        );
        problem::report(&self.name, &self.text, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_later_is_shown_in_its_place() {
        let text = "[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n";
        let loaded = Loaded::parse("t.toml".into(), text.into()).unwrap();
        let report = loaded.refuse("tls.key", "a.key is gone", "put it back").to_string();
        for part in ["error: a.key is gone", "--> t.toml:3:7", "help: put it back"] {
            assert!(report.contains(part), "{part} is not in\n{report}");
        }
    }
}
