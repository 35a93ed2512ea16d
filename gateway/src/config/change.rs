//! What of a configuration may change while the gateway runs: the rules of routes.

use super::Config;

impl Config {
    /// Why `new` cannot take the place of this configuration without a restart.
    pub fn needs_restart(&self, new: &Self) -> Option<String> {
        let sections = [
            ("listen", self.listen == new.listen),
            ("tls", self.tls == new.tls),
            ("kafka", self.kafka == new.kafka),
            ("log", self.log == new.log),
            ("delivery", self.delivery == new.delivery),
            ("auth", self.auth == new.auth),
            ("origins", self.origins == new.origins),
            ("schema_registry", self.schema_registry == new.schema_registry),
            ("limits", self.limits == new.limits),
            ("rates", self.rates == new.rates),
            ("shutdown", self.shutdown == new.shutdown),
            ("sessions", self.sessions == new.sessions),
            ("discovery", self.discovery == new.discovery),
            ("demo", self.demo == new.demo),
            ("logging", self.logging == new.logging),
        ];
        if let Some((section, _)) = sections.iter().find(|(_, is_same)| !is_same) {
            return Some(format!(
                "[{section}] has changed, which needs a restart; only [[routes]] may change before"
            ));
        }
        let subjects = self.subjects();
        if let Some(subject) = new.subjects().into_iter().find(|subject| !subjects.contains(subject)) {
            return Some(format!("the subject `{}` is new, which needs a restart", subject.name));
        }
        // Together with what Kafka is told of them: partitions, linger and the like.
        let topics = self.kafka_topics();
        let other = new.kafka_topics().into_iter().find(|topic| !topics.contains(topic));
        other.map(|topic| {
            let name = topic.name;
            let is_known = topics.iter().any(|topic| topic.name == name);
            let what = if is_known { "is written differently now" } else { "is new" };
            format!(
                "the topic `{name}` {what}, which needs a restart; conditions and filters may change before"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_may_change() {
        let config = |text: &str| Config::parse("t.toml", text).unwrap();
        let before = config("[[routes]]\nwhen = 'type == \"a\"'\ntopic = \"a\"\n[[routes]]\ntopic = \"b\"");
        for (after, why) in [
            ("[[routes]]\ntopic = \"b\"\n[[routes.filters]]\nkeep = 'data.a > 1'", None),
            ("[[routes]]\nwhen = 'type == \"c\"'\ntopic = \"b\"\nname = \"x\"", None),
            ("[[routes]]\ntopic = \"c\"", Some("`c` is new")),
            ("[[routes]]\ntopic = \"b\"\nlinger_ms = 7", Some("`b` is written differently")),
            ("[[routes]]\ntopic = \"b\"\ndead_letter = \"d\"", Some("`b` is written differently")),
            ("limits.sessions = 7\n[[routes]]\ntopic = \"b\"", Some("[limits] has changed")),
            ("", Some("`events` is new")),
        ] {
            let said = before.needs_restart(&config(after));
            assert_eq!(said.is_some(), why.is_some(), "{after}: {said:?}");
            assert!(said.unwrap_or_default().contains(why.unwrap_or_default()), "{after}");
        }
    }
}
