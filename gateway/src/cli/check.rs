//! `tidegate check`: what a configuration comes to, once all that a start would judge has been judged.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Result;

use super::blame;
use crate::config::{AuthMode, Config, Loaded};

/// Prints one line for a configuration that holds.
pub(super) fn run(loaded: &Loaded, path: Option<&Path>) -> Result<()> {
    blame::check(loaded)?;
    let name = path.map_or("the defaults".into(), |path| path.display().to_string());
    Ok(writeln!(io::stdout(), "ok: {name}: {}", summary(&loaded.config))?)
}

fn summary(config: &Config) -> String {
    let listen = &config.listen;
    let listeners = [("secure", &listen.secure), ("plain", &listen.plain), ("ops", &listen.ops)];
    let on = listeners.into_iter().filter(|(_, address)| !address.is_empty());
    let on: Vec<String> = on.map(|(key, address)| format!("{key} {address}")).collect();
    let destination = match &config.kafka {
        Some(kafka) => format!("Kafka at {}", kafka.brokers),
        None => format!("the log in {}, at most {}", config.log.directory.display(), config.log.max_bytes),
    };
    let access = match config.auth.mode {
        Some(AuthMode::Tokens) => format!("{} tokens", config.auth.tokens.len()),
        Some(AuthMode::None) => "no authentication".to_owned(),
        None => "no authentication, loopback only".to_owned(),
    };
    format!("{}; into {destination}; topics {}; {access}", on.join(", "), config.topics().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_where_events_come_in_and_go() {
        assert_eq!(
            summary(&Config::default()),
            "secure localhost:4433, plain localhost:8080, ops localhost:9600; into the log in data/log, at most 1GiB; \
             topics events; no authentication, loopback only"
        );
        let text = "listen.secure = \"\"\nkafka.brokers = \"k:9092\"\nauth.mode = \"none\"\n";
        assert_eq!(
            summary(&Config::parse("t.toml", text).unwrap()),
            "plain localhost:8080, ops localhost:9600; into Kafka at k:9092; topics events; no authentication"
        );
    }
}
