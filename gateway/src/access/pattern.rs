//! Client names with `*` for any run of characters.

/// A compiled pattern, such as `web-*`.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// As configured.
    text: Box<str>,
    prefix: Box<str>,
    /// `None` without a `*`.
    rest: Option<Rest>,
}

/// What comes after the first `*`.
#[derive(Clone, Debug)]
struct Rest {
    /// What must follow, in this order.
    middle: Box<[Box<str>]>,
    suffix: Box<str>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut parts = text.split('*');
        let prefix = parts.next().unwrap_or_default().into();
        let rest = parts.next_back().map(|suffix| Rest {
            middle: parts.filter(|part| !part.is_empty()).map(Box::from).collect(),
            suffix: suffix.into(),
        });
        Self { text: text.into(), prefix, rest }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Takes time linear in the name: every part is looked for once, from where the one before it ended, since the
    /// earliest place is never worse than a later one.
    pub(super) fn matches(&self, name: &str) -> bool {
        let Some(mut left) = name.strip_prefix(&*self.prefix) else { return false };
        let Some(Rest { middle, suffix }) = &self.rest else { return left.is_empty() };
        for part in middle {
            let Some((_, after)) = left.split_once(&**part) else { return false };
            left = after;
        }
        left.ends_with(&**suffix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stand_for_any_run() {
        for (pattern, name, expected) in [
            ("web", "web", true),
            ("web", "web-1", false),
            ("web-*", "web-", true),
            ("web-*", "web-1", true),
            ("web-*", "app-web-1", false),
            ("*", "", true),
            ("**", "any", true),
            ("*-eu", "web-eu", true),
            ("*-eu", "web-eu-1", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "aba", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    /// The meaning of a pattern, without regard to time.
    fn model(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| model(rest, &name[skip..])),
            ([p, pattern @ ..], [n, name @ ..]) => p == n && model(pattern, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_its_meaning(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), model(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
