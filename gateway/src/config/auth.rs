//! Who may send.

use std::collections::HashSet;

use serde::Deserialize;

use super::findings::Findings;

/// What a token's `hash` starts with: HMAC-SHA-256 of the secret, keyed with the id, in 64 hexadecimal digits.
pub const HASH_PREFIX: &str = "hmac-sha256:";

/// How clients show who they are.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// `None` (not written) is `none`, but then only loopback addresses may be listened on.
    pub mode: Option<AuthMode>,
    /// The tokens of mode `tokens`.
    pub tokens: Vec<Token>,
}

/// How clients show who they are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Anyone may send.
    None,
    /// A token `id.secret`.
    Tokens,
}

/// One token: what it opens, and the keyed hash of its secret.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The part before the dot: 1 to 64 of `[A-Za-z0-9_-]`.
    pub id: String,
    /// Keyed hash of the secret, as `tidegate token` prints it.
    pub hash: String,
    /// Whose events these are: 1 to 64 of `[A-Za-z0-9._-]`.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// Client names it may use; `*` stands for any run of characters. Absent: any, and none.
    #[serde(default)]
    pub clients: Option<String>,
    /// Topics it may reach. Absent: all.
    #[serde(default)]
    pub topics: Option<Vec<String>>,
}

impl Token {
    /// The keyed hash in bytes; `None` if it is not written as it must be.
    pub fn digest(&self) -> Option<[u8; 32]> {
        let digits = self.hash.strip_prefix(HASH_PREFIX)?.as_bytes();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(digest)
    }

    /// Whether `id` can be the part before the dot.
    pub fn is_id(id: &str) -> bool {
        (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    }

    /// Whether `tenant` can name a tenant.
    pub fn is_tenant(tenant: &str) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (1..=64).contains(&tenant.len()) && tenant.bytes().all(plain)
    }

    /// Whether `pattern` can match a client's name: its characters and `*`.
    pub fn is_pattern(pattern: &str) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-' | b'*');
        (1..=128).contains(&pattern.len()) && pattern.bytes().all(plain)
    }
}

impl Auth {
    /// Whether the file has settled who may send.
    pub(super) fn is_settled(&self) -> bool {
        self.mode.is_some()
    }

    pub(super) fn check(&self, topics: &[String], findings: &mut Findings<'_>) {
        match self.mode {
            Some(AuthMode::Tokens) if self.tokens.is_empty() => findings.refuse(
                "auth.mode",
                "mode \"tokens\" without a token: nobody could send",
                "add [[auth.tokens]]; `tidegate token --id NAME` makes a token and prints that section",
            ),
            Some(AuthMode::None) | None if !self.tokens.is_empty() => findings.refuse_together(
                &["auth.mode", "auth.tokens"],
                "tokens are listed, but nobody would be asked for one",
                "write mode = \"tokens\" in [auth], or remove the tokens",
            ),
            _ => {}
        }
        let mut ids = HashSet::new();
        for (index, token) in self.tokens.iter().enumerate() {
            if !ids.insert(token.id.as_str()) {
                let path = format!("auth.tokens.{index}.id");
                findings.refuse(
                    &path,
                    format!("there is another token `{}`", token.id),
                    "each token has its own id",
                );
            }
            token.check(index, topics, findings);
        }
    }
}

impl Token {
    fn check(&self, index: usize, topics: &[String], findings: &mut Findings<'_>) {
        let at = |key: &str| format!("auth.tokens.{index}.{key}");
        if !Self::is_id(&self.id) {
            let help = "write 1 to 64 letters, digits, `_` or `-`, such as \"web\"; no dot, which ends the id in a token";
            findings.refuse(&at("id"), format!("`{}` cannot be a token's id", self.id), help);
        }
        if self.digest().is_none() {
            findings.refuse(
                &at("hash"),
                "this is not the hash of a token's secret",
                format!(
                    "write {HASH_PREFIX} and 64 hexadecimal digits, as `tidegate token --id {}` prints it",
                    self.id
                ),
            );
        }
        if !Self::is_tenant(&self.tenant) {
            let message = format!("`{}` cannot be a tenant", self.tenant);
            findings.refuse(
                &at("tenant"),
                message,
                "write 1 to 64 letters, digits, `.`, `_` or `-`, such as \"shop\"",
            );
        }
        if let Some(pattern) = self.clients.as_ref().filter(|pattern| !Self::is_pattern(pattern)) {
            let help = "write 1 to 128 letters, digits, `.`, `_`, `:`, `-`, and `*` for any run of them, such as \"web-*\"";
            findings.refuse(&at("clients"), format!("`{pattern}` matches no client's name"), help);
        }
        let wanted = self.topics.as_deref().unwrap_or_default();
        if self.topics.is_some() && wanted.is_empty() {
            let help = "name at least one topic, or remove the line to allow all";
            findings.refuse(&at("topics"), "a token that may reach no topic is of no use", help);
        }
        for (position, topic) in wanted.iter().enumerate().filter(|(_, topic)| !topics.contains(topic)) {
            let path = format!("{}.{position}", at("topics"));
            let help = format!("the routes' topics are: {}", topics.join(", "));
            findings.refuse(&path, format!("no route leads to the topic `{topic}`"), help);
        }
    }
}

fn default_tenant() -> String {
    "default".into()
}
