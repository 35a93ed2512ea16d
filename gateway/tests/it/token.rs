//! Tokens as an operator makes them.

use crate::gateway::command;

/// Runs `tidegate token --id ID`: the token, and the hash for the configuration.
pub fn make(id: &str) -> (String, String) {
    let output = command().args(["token", "--id", id]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let start = format!("{id}.");
    let token = text.split_whitespace().find(|word| word.starts_with(&start)).expect("a token").to_owned();
    let hash = text.lines().find_map(|line| line.trim().strip_prefix("hash = \"")).expect("a hash");
    (token, hash.trim_end_matches('"').to_owned())
}
