//! What a route keeps back of payloads.

use std::fmt;

use serde::Deserialize;
use tidegate_cel::edit::{self, Path, Pattern};

use super::{OnError, check_names};
use crate::config::findings::Findings;

/// The most redactions of one route.
const REDACTIONS_MAX: usize = 64;
/// The shortest key of a hash: shorter ones are tried out.
const KEY_BYTES_MIN: usize = 16;

/// A redaction: values of the payload that go no further.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Redact {
    /// What its counters are called; its position in the route, from 1, if not written.
    #[serde(default)]
    pub name: Option<String>,
    /// Where: `data.user.email`, `data.items[*].email`, `data.**.email`.
    pub path: String,
    /// What becomes of it.
    pub action: Action,
    /// What hashes are keyed with, at least 16 bytes.
    #[serde(default)]
    pub key: Option<Secret>,
    /// A regular expression: of texts only what matches is masked or hashed.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Names of the path are compared without regard to the case of ASCII letters.
    #[serde(default)]
    pub ignore_case: bool,
    /// What becomes of events whose payload is not JSON, or of a shape that the path cannot be followed in.
    #[serde(default = "drop_it")]
    pub on_error: OnError,
    /// It changes nothing and counts what it would have changed.
    #[serde(default)]
    pub shadow: bool,
}

/// What becomes of a value that is redacted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The member or element goes.
    Remove,
    /// It becomes `"***"`.
    Mask,
    /// It becomes its keyed hash.
    Hash,
    /// An IP address becomes that of its network.
    Address,
}

/// A text that is never shown.
#[derive(Clone, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct Secret(String);

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Secret {
    /// The text, for whoever computes with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A client must not get past a redaction by another content type, or by another shape.
fn drop_it() -> OnError {
    OnError::Drop
}

impl Redact {
    /// As the pass over payloads takes it; `hash` is what its texts are hashed with.
    pub(crate) fn redaction(&self, hash: edit::Digest) -> Result<edit::Redaction, tidegate_cel::Problem> {
        let action = match self.action {
            Action::Remove => edit::Action::Remove,
            Action::Mask => edit::Action::Mask,
            Action::Hash => edit::Action::Hash(hash),
            Action::Address => edit::Action::Address,
        };
        Ok(edit::Redaction {
            path: Path::parse(&self.path)?,
            action,
            pattern: self.pattern.as_deref().map(Pattern::parse).transpose()?,
            ignore_case: self.ignore_case,
            is_shadow: self.shadow,
        })
    }
}

pub(super) fn check(route: usize, redactions: &[Redact], findings: &mut Findings<'_>) {
    let section = format!("routes.{route}.redact");
    for (index, redact) in redactions.iter().enumerate() {
        redact.check(&format!("{section}.{index}"), findings);
    }
    let names = redactions.iter().map(|redact| redact.name.as_deref());
    check_names("redaction", &section, names, findings);
    if redactions.len() > REDACTIONS_MAX {
        let message = format!("{} redactions in one route", redactions.len());
        let help = format!(
            "at most {REDACTIONS_MAX}: join some by `*`, `[*]` or `**`, or by a `|` in their pattern"
        );
        findings.refuse(&section, message, help);
    }
}

impl Redact {
    fn check(&self, place: &str, findings: &mut Findings<'_>) {
        let at = |key: &str| format!("{place}.{key}");
        let path = Path::parse(&self.path).map_err(|problem| (at("path"), problem)).err();
        let pattern = self.pattern.as_deref().map(Pattern::parse).and_then(Result::err);
        let parts = path.into_iter().chain(pattern.map(|problem| (at("pattern"), problem)));
        let mut is_whole = true;
        for (path, problem) in parts {
            findings.refuse_within(&path, &problem.at, problem.message, problem.help);
            is_whole = false;
        }
        let hash: edit::Digest = std::sync::Arc::new(|_| [0; 16]);
        if let Some(problem) = is_whole.then(|| self.redaction(hash)?.check()).and_then(Result::err) {
            findings.refuse(&at("action"), problem.message, problem.help);
        }
        // Told at the action: the line of the key is not to be shown.
        let help = "make one with `openssl rand -hex 32` and write key = \"file:/run/secrets/redact-key\" or key = \"${REDACT_KEY}\"";
        match (self.action, self.key.as_ref().map(|key| key.reveal().len())) {
            (Action::Hash, None) => findings.refuse(
                &at("action"),
                "`hash` without `key`: whoever guesses a value could verify it",
                help,
            ),
            (Action::Hash, Some(bytes)) if bytes < KEY_BYTES_MIN => {
                let message =
                    format!("the `key` of this hash has {bytes} bytes, at least {KEY_BYTES_MIN} are needed");
                findings.refuse(&at("action"), message, help);
            }
            (Action::Hash, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                findings.refuse(&at("action"), "a `key` is for `hash` alone", "leave the key out")
            }
        }
    }
}
