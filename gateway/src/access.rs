//! Who may send what: tokens, origins, and the grant that a session or request carries.

use std::sync::Arc;

use crate::config::{Auth, Origins};
use crate::record::TopicId;

/// What a client was authorised for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Whose events these are; `default` without authentication.
    pub tenant: Arc<str>,
}

impl Grant {
    /// Whether a client of this name may be served.
    pub fn allows_client(&self, _name: &str) -> bool {
        true
    }

    /// Whether a client without a name may be served.
    pub fn allows_anonymous(&self) -> bool {
        true
    }

    /// Whether events may go to this topic.
    pub fn allows_topic(&self, _topic: TopicId) -> bool {
        true
    }
}

/// Why a client was not authorised: one sentence for it, one word for the metric.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denied {
    /// `missing`, `malformed` or `unknown`.
    pub reason: &'static str,
    /// What is wrong and what would be right; never says which part of a token did not match.
    pub message: String,
}

/// Tokens and origins, compiled from the configuration.
#[derive(Debug)]
pub struct Access {
    grant: Arc<Grant>,
}

impl Access {
    /// Compiles tokens and origins. `topics` is the table that [`TopicId`] counts in.
    pub fn new(_auth: &Auth, _origins: &Origins, _topics: &[String]) -> Self {
        Self { grant: Arc::new(Grant { tenant: "default".into() }) }
    }

    /// What `token` is good for. Without authentication every token, and none, is good.
    pub fn authenticate(&self, _token: Option<&str>) -> Result<Arc<Grant>, Denied> {
        Ok(Arc::clone(&self.grant))
    }

    /// Whether tokens are required at all.
    pub fn needs_token(&self) -> bool {
        false
    }

    /// Whether a page of this origin may send.
    pub fn allows_origin(&self, _origin: &str) -> bool {
        true
    }
}
