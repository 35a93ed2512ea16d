//! `${NAME}` and `file:/path` in string values: secrets and addresses come from outside the file.

use std::ops::Range;
use std::path::Path;

/// The largest file that a `file:` value may name, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where values come from.
pub(super) struct Sources<'a> {
    /// The environment.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// A file's content, or why there is none.
    pub(super) file: &'a dyn Fn(&Path) -> Result<String, String>,
}

/// Why a value could not be filled in. Never says what was filled in elsewhere: it may be secret.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// Which bytes of the value.
    pub(super) at: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What would be right.
    pub(super) help: String,
}

/// What `value` means, or `None` if it means itself. `$${` stands for `${`; what comes from outside is not looked
/// into again. A `file:` value is the file's content without one newline at its end.
pub(super) fn fill_in(value: &str, sources: &Sources<'_>) -> Result<Option<String>, Fault> {
    let text = variables(value, sources)?;
    match text.as_deref().unwrap_or(value).strip_prefix("file:").filter(|_| value.starts_with("file:")) {
        Some(path) => file(path, value, sources).map(Some),
        None => Ok(text),
    }
}

/// The environment, and the files, of this process.
pub(super) fn read_file(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

fn variables(value: &str, sources: &Sources<'_>) -> Result<Option<String>, Fault> {
    if !value.contains("${") {
        return Ok(None);
    }
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let start = value.len() - rest.len() + before.len();
        if let Some(literal) = before.strip_suffix('$') {
            filled.push_str(literal);
            filled.push_str("${");
            rest = after;
            continue;
        }
        let Some((name, tail)) = after.split_once('}') else {
            return Err(Fault {
                at: start..value.len(),
                message: "`${` without its `}`".into(),
                help: "write ${NAME} for an environment variable, or $${ for the two characters".into(),
            });
        };
        let at = start..start + name.len() + 3;
        filled.push_str(before);
        filled.push_str(&variable(name, at, sources)?);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(Some(filled))
}

fn variable(name: &str, at: Range<usize>, sources: &Sources<'_>) -> Result<String, Fault> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(Fault {
            at,
            message: format!("`{name}` is not the name of an environment variable"),
            help: "names are letters, digits and `_`: ${NAME}; there are no default values".into(),
        });
    }
    (sources.variable)(name).ok_or_else(|| Fault {
        at,
        message: format!("the environment variable {name} is not set"),
        help: format!("set {name} for the gateway's process, or write the value here"),
    })
}

fn file(path: &str, value: &str, sources: &Sources<'_>) -> Result<String, Fault> {
    let mut text = (sources.file)(Path::new(path)).map_err(|reason| Fault {
        at: 0..value.len(),
        message: format!("cannot read the file {path}: {reason}"),
        help: "the value is the content of that file: it must exist, be text and be readable by the gateway"
            .into(),
    })?;
    let length =
        text.strip_suffix('\n').map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(value: &str) -> Result<Option<String>, Fault> {
        let variable = |name: &str| (name == "HOST").then(|| "kafka-1".to_owned());
        let file = |path: &Path| match path.to_str() {
            Some("/run/kafka-1") => Ok("s3cret\n".to_owned()),
            _ => Err("no such file".to_owned()),
        };
        fill_in(value, &Sources { variable: &variable, file: &file })
    }

    #[test]
    fn variables_and_files_are_filled_in() {
        for (value, expected) in [
            ("${HOST}:9092", "kafka-1:9092"),
            ("a${HOST}b${HOST}", "akafka-1bkafka-1"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$${HOST}"),
            ("file:/run/${HOST}", "s3cret"),
        ] {
            assert_eq!(fill(value).unwrap().as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn other_text_means_itself() {
        for value in ["", "plain", "a$b", "$", "{x}"] {
            assert_eq!(fill(value), Ok(None), "{value}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        for (value, at, expected) in [
            ("a-${NOPE}-b", 2..9, "variable NOPE is not set"),
            ("${HOST", 0..6, "without its `}`"),
            ("${a-b}", 0..6, "`a-b` is not the name"),
            ("file:/run/none", 0..14, "cannot read the file /run/none: no such file"),
        ] {
            let fault = fill(value).unwrap_err();
            assert_eq!(fault.at, at, "{value}");
            assert!(fault.message.contains(expected), "{}", fault.message);
        }
    }
}
