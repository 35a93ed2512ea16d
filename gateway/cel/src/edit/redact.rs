//! What a route keeps back of payloads.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::path::Path;
use super::tree::{Rules, Tree};
use super::walk::Walk;
use super::{Buffers, EditError};
use crate::compile::regex;
use crate::problem::Problem;

/// The most redactions of a [`Redactor`].
const REDACTIONS_MAX: usize = 64;

/// A keyed hash of a text.
pub type Digest = Arc<dyn Fn(&[u8]) -> [u8; 16] + Send + Sync>;

/// What becomes of a value.
#[derive(Clone)]
pub enum Action {
    /// The member or element goes.
    Remove,
    /// It becomes `"***"`.
    Mask,
    /// It becomes the hash of its text, in 32 hexadecimal digits.
    Hash(Digest),
    /// An IP address becomes that of its network, /24 or /48; all else is masked.
    Address,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Remove => "Remove",
            Self::Mask => "Mask",
            Self::Hash(_) => "Hash",
            Self::Address => "Address",
        })
    }
}

/// Which parts of a text are meant; it takes linear time.
#[derive(Clone, Debug)]
pub struct Pattern(pub(super) Regex);

impl Pattern {
    /// Compiles a regular expression (RE2 syntax). One that matches no character at all is refused.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let whole = 0..text.len();
        let regex = regex(text).map_err(|(message, help)| Problem::new(whole.clone(), message, help))?;
        if regex.is_match("") {
            let help = "let it match a character at least, as in [0-9]+";
            return Err(Problem::new(whole, "the pattern matches an empty text", help));
        }
        Ok(Self(regex))
    }
}

/// One thing that is kept back.
#[derive(Clone, Debug)]
pub struct Redaction {
    /// Where.
    pub path: Path,
    /// What becomes of it.
    pub action: Action,
    /// Of texts, numbers and booleans only what matches, if written: of texts the matches, others whole.
    pub pattern: Option<Pattern>,
    /// Names of the path are compared without regard to the case of ASCII letters.
    pub ignore_case: bool,
    /// Nothing becomes of it; what would have is told.
    pub is_shadow: bool,
}

impl Redaction {
    /// Refuses what does not fit together.
    pub fn check(&self) -> Result<(), Problem> {
        let refuse = |message, help| Err(Problem::new(0..0, message, help));
        match self.action {
            Action::Remove | Action::Address if self.pattern.is_some() => refuse(
                "a pattern limits `mask` and `hash` alone",
                "take one of them, or leave the pattern out",
            ),
            Action::Remove if self.path.ends_deep() => refuse(
                "everything at any depth cannot be removed",
                "mask it, or remove the member that it is in: data.user",
            ),
            _ => Ok(()),
        }
    }
}

/// All that a route keeps back, found in one pass.
#[derive(Debug)]
pub struct Redactor {
    pub(super) redactions: Vec<Redaction>,
    pub(super) tree: Tree,
    pub(super) removes: Rules,
    pub(super) shadows: Rules,
    /// Those that leave nothing of any value.
    pub(super) wholes: Rules,
}

/// What a pass has done; redactions by their positions, a bit each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// Those that have changed something; of shadows, those that would have.
    pub changed: u64,
    /// Those that could not be followed: where an object or an array is expected is neither, nor null, nor nothing.
    pub faults: u64,
    /// Whether the payload is another now.
    pub is_edited: bool,
}

impl Redactor {
    /// Joins redactions; where several are for one value, each gets what those before it have left.
    pub fn new(redactions: Vec<Redaction>) -> Result<Self, Problem> {
        if redactions.len() > REDACTIONS_MAX {
            let message = format!("{} redactions", redactions.len());
            return Err(Problem::new(0..0, message, format!("take at most {REDACTIONS_MAX}")));
        }
        let (mut tree, mut removes, mut shadows, mut patterns) = (Tree::new(), 0, 0, 0);
        for (index, redaction) in redactions.iter().enumerate() {
            redaction.check()?;
            tree.add(&redaction.path, redaction.ignore_case, index);
            shadows |= Rules::from(redaction.is_shadow) << index;
            patterns |= Rules::from(redaction.pattern.is_some()) << index;
            removes |= Rules::from(matches!(redaction.action, Action::Remove)) << index;
        }
        Ok(Self { redactions, tree, removes: removes & !shadows, shadows, wholes: !(patterns | shadows) })
    }

    /// Checks that `payload` is JSON, nested at most `max_depth` deep, and puts what is left of it into `out` if it is
    /// edited. That has at most `bytes_max` bytes.
    pub fn run(
        &self,
        payload: &str,
        max_depth: u32,
        bytes_max: usize,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<Done, EditError> {
        Walk::new(self, payload, bytes_max, buffers, out).run(max_depth)
    }
}
