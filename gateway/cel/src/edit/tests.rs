//! What edits make of payloads.

mod evasion;
mod fields;
mod random;
mod redactions;

use std::sync::Arc;

use super::{Action, Buffers, Done, EditError, Path, Pattern, Redaction, Redactor};

const BYTES_MAX: usize = 4_096;

fn redaction(path: &str, action: Action) -> Redaction {
    let path = Path::parse(path).unwrap_or_else(|problem| panic!("{path}: {problem}"));
    Redaction { path, action, pattern: None, ignore_case: false, is_shadow: false }
}

fn remove(path: &str) -> Redaction {
    redaction(path, Action::Remove)
}

fn mask(path: &str) -> Redaction {
    redaction(path, Action::Mask)
}

/// Not a hash that keeps anything back: it tells the length and the first bytes, so that tests can see what was hashed.
fn hash(path: &str) -> Redaction {
    let digest = |text: &[u8]| {
        let mut hash = [0; 16];
        hash.iter_mut().zip(text).for_each(|(hash, byte)| *hash = *byte);
        hash[15] = u8::try_from(text.len()).unwrap();
        hash
    };
    redaction(path, Action::Hash(Arc::new(digest)))
}

fn of(pattern: &str, redaction: Redaction) -> Redaction {
    Redaction { pattern: Some(Pattern::parse(pattern).unwrap()), ..redaction }
}

fn hashed(text: &str) -> String {
    let bytes = text.bytes().fold(0u128, |sum, byte| sum << 8 | u128::from(byte));
    let first = bytes << (8 * (15 - text.len()));
    format!("{first:030x}{:02x}", text.len())
}

fn run(redactions: Vec<Redaction>, payload: &str) -> Result<(String, Done), EditError> {
    let redactor = Redactor::new(redactions).unwrap();
    let (mut buffers, mut out) = (Buffers::default(), b"from before".to_vec());
    let done = redactor.run(payload, 64, BYTES_MAX, &mut buffers, &mut out)?;
    let text = if done.is_edited { String::from_utf8(out).unwrap() } else { payload.to_owned() };
    serde_json::from_str::<&serde_json::value::RawValue>(&text)
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    Ok((text, done))
}

#[track_caller]
fn becomes(redactions: Vec<Redaction>, payload: &str, expected: &str) {
    let (text, done) = run(redactions, payload).unwrap();
    assert_eq!(text, expected);
    assert_eq!(done.faults, 0);
}
