//! A part of the Common Expression Language (CEL), for rules about events.
//!
//! ```text
//! text -> lex -> parse -> Expr -> compile -> Program, and its fields in the Plan
//! payload -> Plan::read (one pass) -> Findings -> Program::holds -> true | false | Fault
//! ```
//!
//! [`edit`] changes payloads in the same manner: by the places of values, found in one pass.
//!
//! Expressions are checked when they are compiled: what is accepted means what it means in CEL, but for the differences
//! that `docs/rules.md` lists. Nothing is built of the payload and nothing is allocated per event, no expression takes more than a
//! number of operations known beforehand, and regular expressions take linear time.
#![forbid(unsafe_code)]

mod arithmetic;
mod ast;
mod compare;
mod compile;
pub mod edit;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod lex;
mod moment;
mod parse;
mod plan;
mod problem;
mod program;
mod run;
mod scan;
mod types;
mod value;

pub use compile::Compiler;
pub use fault::Fault;
pub use moment::Moment;
pub use plan::Plan;
pub use problem::Problem;
pub use program::Program;
pub use run::{Attributes, Findings};
pub use scan::Malformed;
pub use value::{Text, Value};

#[cfg(test)]
mod tests;
