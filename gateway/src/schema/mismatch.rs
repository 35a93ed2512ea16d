//! Where data does not fit its schema, and why.

use std::fmt;

/// The most characters of a path that are shown; its end tells most.
const PATH_CHARS: usize = 70;
/// The most characters of a reason that are shown.
const WHAT_CHARS: usize = 100;

/// Where data does not fit its schema, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// Steps into the data, the innermost first.
    steps: Vec<String>,
    what: String,
    is_too_large: bool,
}

impl Mismatch {
    /// A mismatch of the value at hand.
    pub fn new(what: impl Into<String>) -> Self {
        Self { steps: Vec::new(), what: what.into(), is_too_large: false }
    }

    #[cfg_attr(not(feature = "schemas"), expect(dead_code, reason = "languages say it"))]
    /// Data that may fit, but not in so many bytes.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        let what = format!("has more than {bytes_max} bytes as its schema writes it");
        Self { is_too_large: true, ..Self::new(what) }
    }

    /// Whether it is only that.
    pub fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    #[cfg_attr(not(feature = "schemas"), expect(dead_code, reason = "languages say it"))]
    /// The same, seen from the value that has it as its member `step`.
    #[must_use]
    pub(super) fn within(mut self, step: &(impl ToString + ?Sized)) -> Self {
        self.steps.push(step.to_string());
        self
    }

    #[cfg_attr(not(feature = "schemas"), expect(dead_code, reason = "languages say it"))]
    /// The same, at a JSON pointer.
    #[must_use]
    pub(super) fn at(mut self, pointer: &str) -> Self {
        self.steps = pointer.rsplit('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        self.steps.pop();
        self
    }
}

impl fmt::Display for Mismatch {
    /// The path as a JSON pointer below `data`, and the reason: at most 200 bytes where both are ASCII.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut path = String::from("data");
        for step in self.steps.iter().rev() {
            path.push('/');
            path.push_str(&step.replace('~', "~0").replace('/', "~1"));
        }
        let length = path.chars().count();
        if length > PATH_CHARS {
            path = format!("..{}", path.chars().skip(length - PATH_CHARS).collect::<String>());
        }
        write!(f, "`{path}`: ")?;
        match self.what.char_indices().nth(WHAT_CHARS) {
            Some((end, _)) => write!(f, "{}..", self.what.get(..end).unwrap_or_default()),
            None => f.write_str(&self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_and_why_and_is_short_whatever_the_client_wrote() {
        let mismatch = Mismatch::new("is no number").within("a/b").within(&3).within("items");
        assert_eq!(mismatch.to_string(), "`data/items/3/a~1b`: is no number");
        assert_eq!(Mismatch::new("x").to_string(), "`data`: x");
        assert_eq!(Mismatch::new("x").at("/items/3/a~1b").to_string(), "`data/items/3/a~1b`: x");
        assert_eq!(Mismatch::new("x").at("").to_string(), "`data`: x");
        let long = Mismatch::new("y".repeat(1_000)).within(&"z".repeat(1_000)).to_string();
        assert!(long.len() <= 200 && long.starts_with("`..zz") && long.ends_with("yy.."), "{long}");
    }
}
