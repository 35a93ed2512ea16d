//! What is wrong with a configuration, shown where it is wrong and with what would be right.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Why a configuration was not accepted. `Display` is the full report: for every problem the file, line and
/// column, the line itself with a caret under the fault, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file says something that cannot be.
    #[error("{report}")]
    Invalid {
        /// Every problem found, in the order of the file.
        report: String,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Problem {
    /// Where, in bytes of the file.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What would be right.
    pub(super) help: String,
}

/// All problems of one file as one error.
pub(super) fn report(name: &str, text: &str, mut problems: Vec<Problem>) -> ConfigError {
    problems.sort_by_key(|problem| problem.span.start);
    problems.dedup();
    let reports: Vec<String> = problems.iter().map(|problem| render(name, text, problem)).collect();
    ConfigError::Invalid { report: reports.join("\n\n") }
}

fn render(name: &str, text: &str, problem: &Problem) -> String {
    // A span that does not fit the text would stop the renderer; an error without a caret is better than none.
    let fits = text.get(problem.span.clone()).is_some();
    let span = if fits { problem.span.clone() } else { 0..0 };
    let snippet = Snippet::source(text).path(name).fold(true).annotation(AnnotationKind::Primary.span(span));
    let group = Level::ERROR.primary_title(&problem.message).element(snippet);
    let group =
        if problem.help.is_empty() { group } else { group.element(Level::HELP.message(&problem.help)) };
    Renderer::plain().render(&[group])
}
