//! Who may send, and from which pages.

use serde::Deserialize;

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
    /// The part before the dot.
    pub id: String,
    /// Keyed hash of the secret, as `tidegate token` prints it.
    pub hash: String,
    /// Whose events these are.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// Client names it may use; `*` stands for any run of characters. Absent: any, and none.
    #[serde(default)]
    pub clients: Option<String>,
    /// Topics it may reach. Absent: all.
    #[serde(default)]
    pub topics: Option<Vec<String>>,
}

fn default_tenant() -> String {
    "default".into()
}

/// Browsers' origins that may send, on every carrier.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Origins {
    /// `https://app.example.com`, or `*` for any. Empty: pages of localhost alone.
    pub allow: Vec<String>,
}
