//! Who may send what: tokens, origins, and the grant that a session or request carries.

mod origin;
mod pattern;
mod token;

use std::sync::Arc;

use self::origin::AllowedOrigins;
use self::pattern::Pattern;
use self::token::Tokens;
use crate::config::{Auth, AuthMode, Origins};
use crate::record::TopicId;

pub use self::token::Issued;

/// What a client was authorised for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Whose events these are; `default` without authentication.
    pub tenant: Arc<str>,
    /// The id of the token, if there was one.
    pub token: Option<Arc<str>>,
    clients: Option<Pattern>,
    /// By [`TopicId`].
    topics: Option<Box<[bool]>>,
}

impl Grant {
    /// What everyone may without authentication: everything, as tenant `default`.
    pub fn open() -> Self {
        Self { tenant: "default".into(), token: None, clients: None, topics: None }
    }

    /// Whether a client of this name may be served. Takes time linear in the name.
    pub fn allows_client(&self, name: &str) -> bool {
        self.clients.as_ref().is_none_or(|pattern| pattern.matches(name))
    }

    /// Why a client of this name is not served, as a sentence for it; `None` where it is.
    pub fn refuses_client(&self, name: &str) -> Option<String> {
        let pattern = self.clients.as_ref().filter(|pattern| !pattern.matches(name))?;
        Some(format!("this token is for other clients: `{name}` is not among `{}`", pattern.as_str()))
    }

    /// Why a client without a name is not served, and what `remedy` would be, as a sentence for it; `None` where it is.
    pub fn refuses_anonymous(&self, remedy: &str) -> Option<String> {
        let pattern = self.clients.as_ref()?;
        Some(format!("this token is limited to the client names `{}`: {remedy}", pattern.as_str()))
    }

    /// Whether a client without a name may be served: not where client names are limited.
    pub fn allows_anonymous(&self) -> bool {
        self.clients.is_none()
    }

    /// Whether events may go to this topic.
    pub fn allows_topic(&self, topic: TopicId) -> bool {
        let Some(topics) = &self.topics else { return true };
        topics.get(usize::from(topic.0)).copied().unwrap_or(false)
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
    /// `None`: nobody is asked for a token, and this is what all are granted.
    tokens: Option<Tokens>,
    open: Arc<Grant>,
    origins: AllowedOrigins,
}

impl Access {
    /// Compiles tokens and origins. `topics` is the table that [`TopicId`] counts in. A token whose hash is not
    /// well-formed, which a checked configuration does not have, opens nothing.
    pub fn new(auth: &Auth, origins: &Origins, topics: &[String]) -> Self {
        let tokens = (auth.mode == Some(AuthMode::Tokens)).then(|| Tokens::new(&auth.tokens, topics));
        Self { tokens, open: Arc::new(Grant::open()), origins: AllowedOrigins::new(&origins.allow) }
    }

    /// What `token` is good for. Without authentication every token, and none, is good. Takes the same time whether
    /// the id or the secret is wrong.
    pub fn authenticate(&self, token: Option<&str>) -> Result<Arc<Grant>, Denied> {
        match (&self.tokens, token) {
            (None, _) => Ok(Arc::clone(&self.open)),
            (Some(tokens), Some(token)) => tokens.verify(token),
            (Some(_), None) => Err(Denied {
                reason: "missing",
                message: "a token is required: send `Authorization: Bearer TOKEN`, or `token` in hello"
                    .into(),
            }),
        }
    }

    /// Whether tokens are required at all.
    pub fn needs_token(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether a page of this origin (the `Origin` header as sent) may send.
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.origins.allows(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Token;

    fn issued(id: &str) -> (String, Token) {
        let issued = Issued::new(id).unwrap();
        let token = Token {
            id: id.into(),
            hash: issued.hash.clone(),
            tenant: "shop".into(),
            clients: None,
            topics: None,
        };
        (issued.token, token)
    }

    fn access(tokens: Vec<Token>) -> Access {
        let auth = Auth { mode: Some(AuthMode::Tokens), tokens };
        Access::new(&auth, &Origins::default(), &["events".into(), "audit".into()])
    }

    #[test]
    fn without_authentication_everyone_may_everything() {
        let access = Access::new(&Auth::default(), &Origins::default(), &["events".into()]);
        for token in [None, Some("anything")] {
            let grant = access.authenticate(token).unwrap();
            assert_eq!(&*grant.tenant, "default");
            assert!(grant.allows_anonymous() && grant.allows_client("c") && grant.allows_topic(TopicId(0)));
        }
        assert!(!access.needs_token());
    }

    #[test]
    fn a_token_opens_what_its_entry_says() {
        let (token, entry) = issued("web");
        let limited = Token { clients: Some("web-*".into()), topics: Some(vec!["audit".into()]), ..entry };
        let grant = access(vec![limited]).authenticate(Some(&token)).unwrap();
        assert_eq!((&*grant.tenant, grant.token.as_deref()), ("shop", Some("web")));
        assert!(grant.allows_client("web-1") && !grant.allows_client("app-1") && !grant.allows_anonymous());
        assert_eq!(grant.refuses_client("web-1"), None);
        let why = grant.refuses_client("device-1").unwrap();
        assert!(why.contains("`device-1` is not among `web-*`"), "{why}");
        let why = grant.refuses_anonymous("name yourself").unwrap();
        assert!(why.contains("`web-*`: name yourself"), "{why}");
        assert!(grant.allows_topic(TopicId(1)) && !grant.allows_topic(TopicId(0)));
        assert!(!grant.allows_topic(TopicId(2)), "topics beyond the table are nobody's");
    }

    #[test]
    fn only_the_token_itself_opens() {
        let (web, web_entry) = issued("web");
        let (app, app_entry) = issued("app");
        let access = access(vec![web_entry, app_entry]);
        assert!(access.needs_token());
        assert!(access.authenticate(Some(&web)).is_ok() && access.authenticate(Some(&app)).is_ok());
        let swapped = app.replace("app.", "web.");
        let cut = web.get(..web.len() - 1).unwrap();
        let stranger = Issued::new("web").unwrap().token;
        for (token, reason) in [
            (None, "missing"),
            (Some(""), "malformed"),
            (Some("web"), "malformed"),
            (Some("web."), "malformed"),
            (Some(".x"), "malformed"),
            (Some("w b.x"), "malformed"),
            (Some(swapped.as_str()), "unknown"),
            (Some(cut), "unknown"),
            (Some(stranger.as_str()), "unknown"),
            (Some("nobody.x"), "unknown"),
        ] {
            assert_eq!(access.authenticate(token).unwrap_err().reason, reason, "{token:?}");
        }
        assert_eq!(
            access.authenticate(Some(&format!("web.{}", "x".repeat(600)))).unwrap_err().reason,
            "malformed"
        );
    }

    #[test]
    fn a_refusal_says_the_same_of_id_and_secret() {
        let (_, entry) = issued("web");
        let access = access(vec![entry]);
        let refusal = |token| access.authenticate(Some(token)).unwrap_err();
        assert_eq!(refusal("web.wrong"), refusal("nobody.wrong"));
        assert!(!refusal("web.wrong").message.contains("wrong"), "a refusal does not repeat the secret");
    }

    #[test]
    fn an_entry_without_a_valid_hash_opens_nothing() {
        let (token, entry) = issued("web");
        let access = access(vec![Token { hash: "none".into(), ..entry }]);
        assert_eq!(access.authenticate(Some(&token)).unwrap_err().reason, "unknown");
    }
}
