//! `tidegate token`: a new token, and the section of the configuration that admits it.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use crate::access::Issued;
use crate::config::{Route, Token};

/// Makes a token `id.secret`. The first line of the output is the token; the rest goes into the configuration, which
/// keeps only a hash of the secret.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TokenArgs {
    /// The token's name: letters, digits, `_` and `-`.
    #[arg(long, value_parser = id)]
    id: String,
    /// Whose events these are.
    #[arg(long, value_parser = tenant)]
    tenant: Option<String>,
    /// Client names it may use, `*` for any run of characters; without this any, and none.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    clients: Option<String>,
    /// Topics it may reach, separated by commas; without this all.
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', value_parser = topic)]
    topics: Vec<String>,
}

/// Prints a new token.
pub(super) fn run(args: &TokenArgs) -> Result<()> {
    let issued = Issued::new(&args.id).ok().context("the system has no randomness to give")?;
    writeln!(io::stdout(), "{}\n\n{}", issued.token, section(args, &issued.hash))?;
    eprintln!(
        "tidegate: the first line is the token: hand it to the client, it cannot be shown again. The rest belongs into the \
         configuration, where [auth] says mode = \"tokens\"."
    );
    Ok(())
}

fn section(args: &TokenArgs, hash: &str) -> String {
    // None of these can hold a quote or a backslash: their alphabets were checked.
    let mut text = format!("[[auth.tokens]]\nid = \"{}\"\nhash = \"{hash}\"", args.id);
    for (key, value) in [("tenant", &args.tenant), ("clients", &args.clients)] {
        if let Some(value) = value {
            // Writing to a String does not fail.
            let _ = write!(text, "\n{key} = \"{value}\"");
        }
    }
    if !args.topics.is_empty() {
        let _ = write!(text, "\ntopics = [\"{}\"]", args.topics.join("\", \""));
    }
    text
}

fn id(text: &str) -> Result<String, String> {
    accept(text, Token::is_id, "write 1 to 64 letters, digits, `_` or `-`")
}

fn tenant(text: &str) -> Result<String, String> {
    accept(text, Token::is_tenant, "write 1 to 64 letters, digits, `.`, `_` or `-`")
}

fn pattern(text: &str) -> Result<String, String> {
    accept(
        text,
        Token::is_pattern,
        "write 1 to 128 letters, digits, `.`, `_`, `:`, `-` and `*`, such as 'web-*'",
    )
}

fn topic(text: &str) -> Result<String, String> {
    accept(text, Route::is_topic, "write 1 to 249 letters, digits, `.`, `_` or `-`")
}

fn accept(text: &str, is_right: fn(&str) -> bool, help: &str) -> Result<String, String> {
    if is_right(text) { Ok(text.to_owned()) } else { Err(help.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;
    use crate::access::Access;
    use crate::config::Config;

    fn args(line: &str) -> Result<TokenArgs, clap::Error> {
        let command = TokenArgs::augment_args(clap::Command::new("token"));
        let matches = command.try_get_matches_from(line.split(' '))?;
        TokenArgs::from_arg_matches(&matches)
    }

    #[test]
    fn what_is_printed_admits_the_token() {
        let args = args("token --id web --tenant shop --clients web-* --topics a,b").unwrap();
        let issued = Issued::new("web").unwrap();
        let routes = "[[routes]]\nwhen = 'type == \"a\"'\ntopic = \"a\"\n[[routes]]\ntopic = \"b\"";
        let text = format!("auth.mode = \"tokens\"\n{}\n{routes}", section(&args, &issued.hash));
        let config = Config::parse("t.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let access = Access::new(&config.auth, &config.origins, &config.topics());
        let grant = access.authenticate(Some(&issued.token)).unwrap();
        assert_eq!(&*grant.tenant, "shop");
        assert!(grant.allows_client("web-1") && !grant.allows_client("app"));
        assert_eq!(config.auth.tokens[0].topics.as_ref().unwrap().len(), 2);
    }

    #[test]
    fn what_the_configuration_would_refuse_is_not_made() {
        for line in [
            "token",
            "token --id a.b",
            "token --id a --tenant a/b",
            "token --id a --clients \"",
            "token --id a --topics a,",
        ] {
            assert!(args(line).is_err(), "{line}");
        }
    }
}
