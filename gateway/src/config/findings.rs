//! Collects what is wrong with values that each are of the right type.

use std::ops::Range;

use super::document::Document;
use super::problem::Problem;

/// The problems found so far in one file.
pub(super) struct Findings<'a> {
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    pub(super) fn of(document: &'a Document<'a>) -> Self {
        Self { document, problems: Vec::new() }
    }

    /// Refuses the value at `path`, such as `listen.secure`: what is wrong, and what would be right.
    pub(super) fn refuse(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let span = self.document.span_of(path);
        self.problems.push(Problem { span, message: message.into(), help: help.into() });
    }

    /// Refuses a `part` of the text at `path`.
    pub(super) fn refuse_within(
        &mut self,
        path: &str,
        part: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let span = self.document.within(&self.document.span_of(path), part);
        self.problems.push(Problem { span, message: message.into(), help: help.into() });
    }

    /// Refuses values that do not fit each other, at the first of `paths` that the file itself says.
    pub(super) fn refuse_together(
        &mut self,
        paths: &[&str],
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let said = paths.iter().find(|path| self.document.says(path)).or(paths.first());
        self.refuse(said.copied().unwrap_or_default(), message, help);
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
