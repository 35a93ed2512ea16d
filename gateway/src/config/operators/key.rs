//! What rules know events by.

use serde::{Deserialize, Deserializer};

use crate::config::condition::Expression;
use crate::config::findings::Findings;

/// The most parts of a key.
const PARTS_MAX: usize = 8;
/// The most keys that a rule may remember.
const KEYS_MAX: u32 = 100_000_000;

/// The expressions whose values are an event's key together: one, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Key(pub Vec<Expression>);

impl Key {
    /// Of these expressions, without checking them.
    pub(super) fn of(parts: &[&str]) -> Self {
        Self(parts.iter().map(|part| Expression::from(*part)).collect())
    }

    /// The expressions without line breaks.
    pub fn one_line(&self) -> String {
        let parts = self.0.iter().map(|part| part.text().split_whitespace().collect::<Vec<_>>().join(" "));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Refuses what does not compile, and too many or no parts.
    pub(super) fn check(&self, path: &str, findings: &mut Findings<'_>) {
        for (index, part) in self.0.iter().enumerate() {
            let path = if self.0.len() == 1 { path.to_owned() } else { format!("{path}.{index}") };
            part.check(&path, findings);
        }
        if !(1..=PARTS_MAX).contains(&self.0.len()) {
            let message = format!("{} expressions for one key", self.0.len());
            findings.refuse(path, message, "write one, or a list of 1 to 8");
        }
    }
}

/// As a file has it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an expression as text, or a list of them")]
enum Written {
    One(Expression),
    Several(Vec<Expression>),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::One(part) => Self(vec![part]),
            Written::Several(parts) => Self(parts),
        })
    }
}

/// How many keys a rule remembers where nothing is said.
pub(super) fn default_keys_max() -> u32 {
    100_000
}

pub(super) fn check_keys_max(path: &str, keys_max: u32, findings: &mut Findings<'_>) {
    if !(1..=KEYS_MAX).contains(&keys_max) {
        let help = "write 1 to 100,000,000; docs/rules.md says what a key costs in memory";
        findings.refuse(&format!("{path}.keys_max"), format!("{keys_max} keys"), help);
    }
}
