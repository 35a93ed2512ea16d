//! From what the deserialiser says to what an operator needs: which key, and what would be right.

use std::ops::Range;

use super::document::Place;
use super::problem::Problem;

/// The reference configuration, whose lines are the examples.
const REFERENCE: &str = include_str!("../../../config/tidegate.toml");

/// What is wrong where, and what would be right.
pub(super) fn explain(error: &toml::de::Error, place: &Place) -> Problem {
    let span = error.span().unwrap_or_default();
    let message = error.message();
    if let Some(names) = message.strip_prefix("unknown field ") {
        return unknown_key(span, names, place);
    }
    if let Some(names) = message.strip_prefix("unknown variant ") {
        return unknown_word(span, names, place);
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return missing_key(span, name.trim_matches('`'));
    }
    if message.starts_with("invalid ") {
        return wrong_type(span, message, place);
    }
    // Ours: what is wrong, and on a second line what would be right.
    let (message, help) = message.split_once('\n').unwrap_or((message, ""));
    Problem { span, message: message.to_owned(), help: help.to_owned() }
}

fn unknown_key(span: Range<usize>, names: &str, place: &Place) -> Problem {
    let (unknown, known) = quoted(names);
    let section = place.path.split_last().map_or(String::new(), |(_, above)| {
        let names: Vec<&str> =
            above.iter().map(String::as_str).filter(|step| step.parse::<usize>().is_err()).collect();
        names.join(".")
    });
    let message = match section.as_str() {
        "" => format!("unknown section `{unknown}`"),
        section => format!("unknown key `{unknown}` in [{section}]"),
    };
    Problem { span, message, help: suggest(unknown, &known) }
}

fn missing_key(span: Range<usize>, name: &str) -> Problem {
    let help = match (name, example(name)) {
        ("hash", _) => "`tidegate token --id NAME` makes a token and prints this section".to_owned(),
        (_, Some(line)) => format!("add it here, such as: {line}"),
        (_, None) => format!("add {name} = ... here"),
    };
    Problem { span, message: format!("`{name}` is missing"), help }
}

fn unknown_word(span: Range<usize>, names: &str, place: &Place) -> Problem {
    let (unknown, known) = quoted(names);
    Problem {
        span,
        message: format!("{} cannot be `{unknown}`", place.key()),
        help: suggest(unknown, &known),
    }
}

fn wrong_type(span: Range<usize>, message: &str, place: &Place) -> Problem {
    let (found, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    let key = place.key();
    let (kind, shape) = match expected {
        "a string" | "path string" => ("text", format!("{key} = \"...\"")),
        "u16" | "u32" | "u64" => ("a whole number, not negative", format!("{key} = 10")),
        "a boolean" => ("true or false", format!("{key} = true")),
        "a sequence" => ("a list", format!("{key} = [\"...\"]")),
        other if other.starts_with("struct ") || other == "a map" => {
            ("a section", format!("[{}] on a line of its own, its keys below", place.dotted()))
        }
        other => (other, format!("{key} = ...")),
    };
    let shape = example(key).unwrap_or(shape);
    Problem { span, message: format!("{key} must be {kind}, not {found}"), help: format!("such as: {shape}") }
}

/// The line of the reference that sets `key`, without its comment.
fn example(key: &str) -> Option<String> {
    REFERENCE.lines().find_map(|line| {
        let line = line.trim_start_matches("# ");
        let (name, value) = line.split_once(" = ")?;
        let value = value.split_once(" #").map_or(value, |(value, _)| value).trim_end();
        (name == key).then(|| format!("{name} = {value}"))
    })
}

/// The first name in backticks, and the others.
fn quoted(names: &str) -> (&str, Vec<&str>) {
    let mut names = names.split('`').skip(1).step_by(2);
    (names.next().unwrap_or_default(), names.collect())
}

fn suggest(unknown: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|name| distance(unknown, name));
    let all = known.join(", ");
    match nearest {
        Some(name) if distance(unknown, name) <= 1 + unknown.chars().count() / 3 => {
            format!("did you mean `{name}`? Possible here: {all}")
        }
        _ => format!("possible here: {all}"),
    }
}

/// Edits (insert, remove, replace) from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.chars().take(64).enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (b, above) in to.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != *b)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, expected) in
            [("", "", 0), ("secur", "secure", 1), ("plian", "plain", 2), ("abc", "xyz", 3), ("", "abc", 3)]
        {
            assert_eq!(distance(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        assert_eq!(
            suggest("secur", &["plain", "secure"]),
            "did you mean `secure`? Possible here: plain, secure"
        );
        assert_eq!(suggest("zzz", &["plain", "ops"]), "possible here: plain, ops");
    }

    #[test]
    fn the_reference_is_the_example() {
        assert_eq!(example("sessions").as_deref(), Some("sessions = 20000"));
        assert_eq!(example("brokers").as_deref(), Some("brokers = \"kafka-1:9092,kafka-2:9092\""));
    }
}
