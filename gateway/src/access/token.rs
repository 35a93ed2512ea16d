//! Tokens `id.secret`. The configuration holds HMAC-SHA-256 of the secret, keyed with the id. Secrets are 256 random
//! bits, so there is nothing to guess and a fast hash is right: a slow one, made for passwords, would only let clients
//! keep the gateway busy.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::pattern::Pattern;
use super::{Denied, Grant};
use crate::config::{HASH_PREFIX, Token};

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// The tokens that are let in, by id.
#[derive(Debug)]
pub(super) struct Tokens {
    by_id: HashMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    digest: [u8; 32],
    grant: Arc<Grant>,
}

impl Tokens {
    /// `topics` is the table that a grant's topics count in.
    pub(super) fn new(tokens: &[Token], topics: &[String]) -> Self {
        let entry = |token: &Token| {
            let grant = Grant {
                tenant: token.tenant.as_str().into(),
                token: Some(token.id.as_str().into()),
                clients: token.clients.as_deref().map(Pattern::new),
                topics: token
                    .topics
                    .as_ref()
                    .map(|wanted| topics.iter().map(|t| wanted.contains(t)).collect()),
            };
            Some((token.id.as_str().into(), Entry { digest: token.digest()?, grant: Arc::new(grant) }))
        };
        Self { by_id: tokens.iter().filter_map(entry).collect() }
    }

    pub(super) fn verify(&self, token: &str) -> Result<Arc<Grant>, Denied> {
        let parts = token
            .split_once('.')
            .filter(|(id, secret)| Token::is_id(id) && !secret.is_empty() && token.len() <= TOKEN_BYTES_MAX);
        let Some((id, secret)) = parts else {
            let message = "this is not a token: tokens are `id.secret`, as `tidegate token` prints them";
            return Err(Denied { reason: "malformed", message: message.into() });
        };
        let entry = self.by_id.get(id);
        // An unknown id is hashed and compared as well, so that time does not tell which ids exist.
        let digest = entry.map_or([0; 32], |entry| entry.digest);
        let matches = constant_time::verify_slices_are_equal(hash(id, secret).as_ref(), &digest).is_ok();
        entry.filter(|_| matches).map(|entry| Arc::clone(&entry.grant)).ok_or_else(|| Denied {
            reason: "unknown",
            message: "this token is not known: it may be mistyped, or have been withdrawn".into(),
        })
    }
}

/// A token just made. The secret is in no other place.
#[derive(Clone)]
pub struct Issued {
    /// `id.secret`, for the client.
    pub token: String,
    /// For the configuration.
    pub hash: String,
}

impl Issued {
    /// Makes a token with a secret of 256 random bits. Fails only if the system has no randomness to give.
    pub fn new(id: &str) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes)?;
        let secret = URL_SAFE_NO_PAD.encode(bytes);
        let hash = format!("{HASH_PREFIX}{}", hex(hash(id, &secret).as_ref()));
        Ok(Self { token: format!("{id}.{secret}"), hash })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn hash(id: &str, secret: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, id.as_bytes()), secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_it_is_said_to_be() {
        // RFC 4231, section 4.3.
        let tag = hash("Jefe", "what do ya want for nothing?");
        assert_eq!(hex(tag.as_ref()), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn issued_tokens_differ_and_have_their_form() {
        let (one, two) = (Issued::new("web").unwrap(), Issued::new("web").unwrap());
        assert_ne!(one.token, two.token);
        let secret = one.token.strip_prefix("web.").unwrap();
        assert_eq!(secret.len(), 43, "256 bits as base64url");
        assert!(one.hash.starts_with("hmac-sha256:") && one.hash.len() == 12 + 64);
        assert!(!one.hash.contains(secret));
    }
}
