//! Paths as they are written: `data.user.email`, `data["odd name"]`, `data.items[*].email`, `data.**.email`.

use std::ops::Range;

use crate::lex::{self, Kind, Token};
use crate::problem::Problem;

/// The longest path.
pub(super) const STEPS_MAX: usize = 16;

const HELP: &str =
    "steps are .name, [\"any name\"], [0], .* (all members), [*] (all elements) and .** (any depth)";

/// Where values stand in a payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    pub(super) steps: Vec<Step>,
}

/// A step from a value into it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Name(String),
    Index(u32),
    AnyMember,
    AnyElement,
    /// Into whatever it holds, as often as need be, or not at all.
    Deep,
}

impl Step {
    /// Whether it leads to one value at most.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Index(_))
    }
}

impl Path {
    /// Reads a path; `data` is the payload.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut parser = Parser { tokens: lex::tokens(text)?.into_iter() };
        let root = parser.next();
        if root.kind != Kind::Word("data".into()) {
            return Err(Problem::new(root.at, "a path begins with `data`, the payload", HELP));
        }
        let mut steps = Vec::new();
        while let Some((step, at)) = parser.step()? {
            if step == Step::Deep && steps.last() == Some(&Step::Deep) {
                return Err(Problem::new(at, "`**` after `**`", "one of them is any depth"));
            }
            steps.push(step);
        }
        let whole = 0..text.len();
        if steps.is_empty() {
            return Err(Problem::new(whole, "this is the whole payload", "say what in it: data.user.email"));
        }
        if steps.len() > STEPS_MAX {
            let help = format!("take at most {STEPS_MAX}");
            return Err(Problem::new(whole, format!("a path of {} steps", steps.len()), help));
        }
        Ok(Self { steps })
    }

    /// Whether it leads to one value at most.
    pub fn is_exact(&self) -> bool {
        self.steps.iter().all(Step::is_exact)
    }

    /// Whether it ends with `**`: all values at any depth that hold no others.
    pub fn ends_deep(&self) -> bool {
        self.steps.last() == Some(&Step::Deep)
    }

    /// The name of the member that it leads to.
    pub fn name(&self) -> Option<&str> {
        match self.steps.last() {
            Some(Step::Name(name)) => Some(name),
            _ => None,
        }
    }
}

struct Parser {
    tokens: std::vec::IntoIter<Token>,
}

impl Parser {
    fn next(&mut self) -> Token {
        self.tokens.next().unwrap_or(Token { kind: Kind::End, at: 0..0 })
    }

    fn takes(&mut self, mark: &'static str) -> bool {
        let is_next = self.tokens.as_slice().first().is_some_and(|token| token.kind == Kind::Mark(mark));
        if is_next {
            self.tokens.next();
        }
        is_next
    }

    fn step(&mut self) -> Result<Option<(Step, Range<usize>)>, Problem> {
        let token = self.next();
        match token.kind {
            Kind::End => Ok(None),
            Kind::Mark(".") => self.after_dot().map(Some),
            Kind::Mark("[") => {
                let step = self.bracketed()?;
                if self.takes("]") { Ok(Some(step)) } else { Err(unexpected(self.next(), "`]`")) }
            }
            _ => Err(unexpected(token, "`.` or `[`")),
        }
    }

    fn after_dot(&mut self) -> Result<(Step, Range<usize>), Problem> {
        let Token { kind, at } = self.next();
        match kind {
            Kind::Word(name) => Ok((Step::Name(name), at)),
            Kind::Mark("*") if self.takes("*") => Ok((Step::Deep, at.start..at.end + 1)),
            Kind::Mark("*") => Ok((Step::AnyMember, at)),
            kind => Err(unexpected(Token { kind, at }, "a name; another one is written [\"...\"]")),
        }
    }

    fn bracketed(&mut self) -> Result<(Step, Range<usize>), Problem> {
        let Token { kind, at } = self.next();
        let index = match kind {
            Kind::Int(index) => u32::try_from(index).ok(),
            _ => None,
        };
        match (kind, index) {
            (_, Some(index)) => Ok((Step::Index(index), at)),
            (Kind::Text(name), _) => Ok((Step::Name(name), at)),
            (Kind::Mark("*"), _) => Ok((Step::AnyElement, at)),
            (kind, _) => Err(unexpected(Token { kind, at }, "an index from 0, a text in quotes or `*`")),
        }
    }
}

fn unexpected(token: Token, expected: &str) -> Problem {
    Problem::new(token.at, format!("expected {expected}"), HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_step() {
        let name = |name: &str| Step::Name(name.to_owned());
        for (text, steps) in [
            ("data.user.email", vec![name("user"), name("email")]),
            (r#"data["odd name"]['\u0061']"#, vec![name("odd name"), name("a")]),
            ("data.in[0].x", vec![name("in"), Step::Index(0), name("x")]),
            ("data[*].*", vec![Step::AnyElement, Step::AnyMember]),
            ("data.**.email", vec![Step::Deep, name("email")]),
            ("data.a.**", vec![name("a"), Step::Deep]),
        ] {
            assert_eq!(Path::parse(text).unwrap().steps, steps, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_marked() {
        for (text, marked, said) in [
            ("", "", "begins with `data`"),
            ("user.email", "user", "begins with `data`"),
            ("data", "data", "the whole payload"),
            ("data.", "", "expected a name"),
            ("data.odd-name", "-", "expected `.` or `[`"),
            ("data[-1]", "-", "expected an index"),
            ("data[4294967296]", "4294967296", "expected an index"),
            ("data[0", "", "expected `]`"),
            ("data.a == 1", "==", "expected `.` or `[`"),
            ("data.**.**.a", "**", "any depth"),
        ] {
            let problem = Path::parse(text).unwrap_err();
            assert_eq!(text.get(problem.at.clone()), Some(marked), "{text}: {problem}");
            assert!(problem.to_string().contains(said), "{text}: {problem}");
        }
    }

    #[test]
    fn a_path_has_at_most_sixteen_steps() {
        let path = |steps: usize| format!("data{}", ".a".repeat(steps));
        assert!(Path::parse(&path(16)).is_ok());
        assert!(Path::parse(&path(17)).unwrap_err().to_string().contains("17 steps; take at most 16"));
    }
}
